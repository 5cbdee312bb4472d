//! `tieout run rejects`, and what other commands tell of rejects.

use std::collections::BTreeMap;

use intake::{
    IntakeError,
    manifest::end_key,
    messages::RunId,
    rejects::Rejects,
    runs::{RunRecord, RunStatus},
};
use records::{Reject, RejectWriter, Violation};
use report::text;
use serde::{Deserialize, Serialize};
use storage::{Location, Objects, documents};

use crate::{
    args::Download,
    download,
    error::Failure,
    installation::Installation,
    output::{Output, json, note},
    run::output_key,
};

/// Rejects that are read from the table. The reject file has all.
const REJECTS_LISTED_MAX: usize = 1_000;

#[derive(Serialize)]
struct Rejected {
    run_id: RunId,
    /// `null` of a run that failed.
    records_rejected: Option<u64>,
    /// The first of them, as long as the installation keeps them.
    rejects: Vec<Kept>,
}

#[derive(Serialize)]
struct Kept {
    #[serde(flatten)]
    violation: Violation,
    record: String,
}

pub(crate) async fn perform(download: Download, at: &Installation, output: Output) -> Result<(), Failure> {
    let record = at.run(&download.run).await?;
    if let (false, Some(key)) = (output.json, &record.rejects) {
        let from = Location::new(&at.names.data_bucket, key);
        return download::fetch(&at.objects(), &from, download.to).await;
    }
    let first = at.rejects().list(&record.run, REJECTS_LISTED_MAX).await?;
    if first.is_empty() {
        // Why a run has neither an output nor rejects is told before all else.
        output_key(&record)?;
    }
    if output.json {
        let rejects = first.into_iter().map(|Reject { violation, record }| Kept { violation, record }).collect();
        return json(&Rejected { run_id: record.run, records_rejected: record.records_rejected, rejects });
    }
    if first.is_empty() {
        note("no record was rejected");
        return Ok(());
    }
    let count = text::count(first.len() as u64);
    note(&format!("run {} has no reject file; the first {count} of its rejects were kept:", record.run));
    download::write(&csv(&first), download.to)
}

/// As a reject file has them.
fn csv(rejects: &[Reject]) -> Vec<u8> {
    let mut writer = RejectWriter::new();
    writer.write_header();
    rejects.iter().for_each(|reject| writer.write(reject));
    writer.into_bytes()
}

/// What is taken of a run's end, also of one that another version wrote.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted {
    rejected_by_rule: BTreeMap<String, u64>,
}

/// How many records each rule rejected: all of a published run's, the first ones of a run that failed. `None` where
/// there are none, and where they cannot be read: a run is shown all the same.
pub(crate) async fn by_rule(record: &RunRecord, at: &Installation) -> Option<BTreeMap<String, u64>> {
    let counted = count(record, &at.objects(), &at.names.data_bucket, &at.rejects()).await;
    counted.unwrap_or_else(|error| {
        note(&format!("the rejects cannot be counted: {}", error_class::chain(&error)));
        None
    })
}

async fn count(
    record: &RunRecord,
    objects: &dyn Objects,
    data_bucket: &str,
    kept: &Rejects,
) -> Result<Option<BTreeMap<String, u64>>, IntakeError> {
    let by_rule = match record.status {
        RunStatus::Published if record.records_rejected > Some(0) => {
            let at = Location::new(data_bucket, end_key(&record.run));
            documents::read::<Counted>(objects, &at).await?.unwrap_or_default().rejected_by_rule
        }
        RunStatus::Failed => {
            let mut by_rule = BTreeMap::new();
            for reject in kept.list(&record.run, REJECTS_LISTED_MAX).await? {
                *by_rule.entry(reject.violation.rule).or_default() += 1;
            }
            by_rule
        }
        _ => BTreeMap::new(),
    };
    Ok(Some(by_rule).filter(|by_rule| !by_rule.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use serde_json::json;
    use storage::{
        memory::{MemoryObjects, MemoryTables},
        objects::PutOptions,
    };

    use super::*;

    fn record(status: RunStatus, rejected: Option<u64>) -> RunRecord {
        serde_json::from_value(json!({
            "run": RunId::of("default", "b", "k", "v", 1), "feed": "orders", "status": status,
            "input": {"bucket": "in", "key": "default/intake/orders/o.csv"},
            "started_at": "2026-03-01T08:00:00Z", "records_rejected": rejected,
        }))
        .unwrap()
    }

    fn reject(row: u64, rule: &str) -> Reject {
        let violation =
            json!({"row": row, "byte_offset": 1, "column": "c", "value": "=1", "rule": rule, "message": "m"});
        Reject { violation: serde_json::from_value(violation).unwrap(), record: "a,=1".to_owned() }
    }

    fn table() -> Rejects {
        Rejects::new(Arc::new(MemoryTables::default()), "rejects")
    }

    #[tokio::test]
    async fn a_published_run_s_rejects_are_counted_by_its_end() {
        let (objects, run) = (MemoryObjects::default(), record(RunStatus::Published, Some(12)));
        assert_eq!(count(&run, &objects, "data", &table()).await.unwrap(), None, "it may have been deleted since");
        let end = json!({"end": "published", "rejected_by_rule": {"required": 5, "type": 7}});
        let at = Location::new("data", end_key(&run.run));
        objects.put(&at, Bytes::from(end.to_string()), PutOptions::default()).await.unwrap();
        let counted = count(&run, &objects, "data", &table()).await.unwrap().unwrap();
        assert_eq!(counted, BTreeMap::from([("required".to_owned(), 5), ("type".to_owned(), 7)]));
        let none = record(RunStatus::Published, Some(0));
        assert_eq!(count(&none, &objects, "data", &table()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_failed_run_s_rejects_are_counted_by_the_first_ones() {
        let (objects, kept, run) = (MemoryObjects::default(), table(), record(RunStatus::Failed, None));
        assert_eq!(count(&run, &objects, "data", &kept).await.unwrap(), None);
        let first = [reject(1, "type"), reject(2, "required"), reject(3, "type")];
        kept.put(&run.run, &first, "2026-03-01T08:00:00Z".parse().unwrap(), 7).await.unwrap();
        let counted = count(&run, &objects, "data", &kept).await.unwrap().unwrap();
        assert_eq!(counted, BTreeMap::from([("required".to_owned(), 1), ("type".to_owned(), 2)]));
    }

    #[test]
    fn the_first_ones_look_as_in_a_reject_file() {
        let text = String::from_utf8(csv(&[reject(3, "type")])).unwrap();
        assert_eq!(text, "row,byte_offset,column,value,rule,message,record\n3,1,c,'=1,type,m,\"a,=1\"\n");
    }
}
