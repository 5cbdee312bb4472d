//! A batch with what happened to it.

use ledger::{
    job::Job,
    manifest::{PinnedBatch, PinnedObject},
    steps::StepRecord,
};
use money::ControlTotals;
use report::text;
use serde::Serialize;

use super::{
    BatchView,
    steps::{self, in_order},
};
use crate::{
    batch::rejects::Rejected,
    ledgers::view::{JobView, REASON_CHARS_MAX},
    output::columns,
};

/// A batch that is followed no more, and what was rejected of its job.
#[derive(Debug, Serialize)]
pub(crate) struct BatchEnded {
    #[serde(flatten)]
    pub(crate) batch: BatchView,
    /// `None` where it is no longer known.
    pub(crate) rejected: Option<Rejected>,
}

impl BatchEnded {
    pub(crate) fn text(&self) -> String {
        let mut facts = self.batch.facts();
        facts.extend(Rejected::told(self.rejected.as_ref()));
        table(facts) + &self.batch.what_next()
    }
}

/// A batch with everything that happened to it.
#[derive(Debug, Serialize)]
pub(crate) struct BatchShown {
    #[serde(flatten)]
    batch: BatchView,
    why_corrected: Option<String>,
    replaces: Option<String>,
    again: Option<String>,
    objects: Option<Vec<Object>>,
    totals: Option<ControlTotals>,
    /// The job that it is in, with the other batches of it.
    of_job: Option<JobView>,
    /// What the whole job rejected; `None` where it is no longer known.
    rejected: Option<Rejected>,
    steps: Vec<StepRecord>,
}

/// An object of a batch.
#[derive(Debug, Serialize)]
struct Object {
    key: String,
    version: Option<String>,
    bytes: u64,
    records: u64,
}

impl BatchShown {
    pub(crate) fn new(
        batch: BatchView,
        pinned: Option<PinnedBatch>,
        job: Option<&Job>,
        rejected: Option<Rejected>,
        mut steps: Vec<StepRecord>,
    ) -> Self {
        in_order(&mut steps);
        let (manifest, objects) = pinned.map(|pinned| (pinned.manifest, pinned.objects)).unzip();
        let objects = objects.map(|objects| {
            let object = |object: PinnedObject| Object {
                key: object.key,
                version: object.version,
                bytes: object.bytes,
                records: object.records,
            };
            objects.into_iter().map(object).collect()
        });
        let (why_corrected, replaces, again, totals) = match manifest {
            Some(manifest) => (manifest.correction, manifest.replaces, manifest.again, Some(manifest.totals)),
            None => (None, None, None, None),
        };
        let of_job = job.map(|job| JobView::of(job, Vec::new()));
        Self { batch, why_corrected, replaces, again, objects, totals, of_job, rejected, steps }
    }

    pub(crate) fn text(&self) -> String {
        let mut facts = self.batch.facts();
        facts.push(("correction", self.why_corrected.as_ref().map(|why| text::visible(why, REASON_CHARS_MAX))));
        facts.push(("replaces", self.replaces.clone()));
        facts.push(("again", self.again.as_ref().map(|why| text::visible(why, REASON_CHARS_MAX))));
        for object in self.objects.iter().flatten() {
            let name = text::visible(&object.key, 500);
            let (events, bytes) = (text::records(object.records), text::bytes(object.bytes));
            facts.push(("object", Some(format!("{name}: {events}, {bytes}"))));
        }
        for entry in self.totals.iter().flat_map(ControlTotals::entries) {
            let currency = entry.currency.map(|currency| format!(" {currency}")).unwrap_or_default();
            let sum = text::amount(entry.total.sum);
            facts.push(("total", Some(format!("{}: {sum}{currency}", text::visible(&entry.column, 100)))));
        }
        facts.push(("job", self.of_job.as_ref().map(JobView::line)));
        facts.extend(Rejected::told(self.rejected.as_ref()));
        let steps = if self.steps.is_empty() { String::new() } else { format!("\n{}", steps::table(&self.steps)) };
        table(facts) + &steps + &self.batch.what_next()
    }
}

fn table(facts: Vec<(&'static str, Option<String>)>) -> String {
    let rows: Vec<_> = facts.into_iter().filter_map(|(label, value)| Some(vec![label.to_owned(), value?])).collect();
    columns(&rows, &[])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::view::{
        kit::{fault, ledger, now, of_two, record, view},
        list,
    };

    fn rejected() -> Rejected {
        let files = vec!["s3://data/r.csv".to_owned()];
        Rejected { records: 2, by_rule: [("type".to_owned(), 2)].into(), files }
    }

    #[test]
    fn what_was_not_taken_is_told_with_its_reason() {
        let text = |batch: &BatchView| BatchEnded { batch: batch.clone(), rejected: Some(Rejected::default()) }.text();
        let lost = BatchView::not_taken(&ledger(), &fault());
        assert!(lost.is_final() && text(&lost).contains("status  not taken\nreason  it cannot␇\n"), "{}", text(&lost));
        let standing = BatchView::of(&ledger(), &record(json!({})), Some(&fault()), &view(3, vec![]));
        assert_eq!(standing.status, "indexed");
        assert!(text(&standing).contains("another manifest of this name"), "{}", text(&standing));
        let listed = list(&[standing, lost], &ledger());
        assert_eq!(listed.lines().count(), 3, "{listed}");
        assert!(list(&[], &ledger()).contains("tieout --tenant acme batch submit orders"));
    }

    #[test]
    fn who_followed_a_batch_is_told_what_was_rejected() {
        let batch = BatchView::of(&ledger(), &record(json!({})), None, &view(9, vec![]));
        let ended = BatchEnded { batch, rejected: Some(rejected()) };
        let text = ended.text();
        for said in [
            "indexed",
            "2 records and events of the job, by rule: type 2\n",
            "s3://data/r.csv\n",
            "send these records alone",
        ] {
            assert!(text.contains(said), "{said:?} in:\n{text}");
        }
        let json = serde_json::to_value(&ended).unwrap();
        assert_eq!((&json["status"], &json["rejected"]["records"]), (&json!("indexed"), &json!(2)));
        let none = BatchEnded { rejected: Some(Rejected::default()), ..ended }.text();
        assert!(!none.contains("reject"), "{none}");
    }

    #[test]
    fn every_attempt_at_every_step_has_a_line() {
        let step = |value| serde_json::from_value::<StepRecord>(value).unwrap();
        let all = vec![
            step(
                json!({"job": 3, "attempt": 3, "step_attempt": 2, "step": "apply", "status": "failed", "ended_at": now(),
                "failure": {"class": "WorkerLost", "message": "gone"}}),
            ),
            step(json!({"job": 3, "attempt": 2, "step_attempt": 1, "step": "prefetch", "status": "done",
                "started_at": "2026-01-01T23:59:58Z", "ended_at": now(), "figures": {"keys": 12000, "found": 7}})),
            step(json!({"job": 3, "attempt": 1, "step_attempt": 1, "step": "combine", "status": "done",
                "figures": {"events": 3}})),
            step(json!({"job": 3, "attempt": 1, "step_attempt": 1, "step": "reduce", "status": "done"})),
            step(json!({"job": 3, "attempt": 1, "step_attempt": 1, "step": "split", "status": "done"})),
        ];
        let batch = BatchView::of(&ledger(), &record(json!({})), None, &view(1, vec![of_two()]));
        let gone = BatchShown::new(batch.clone(), None, Some(&of_two()), None, Vec::new());
        assert_eq!(serde_json::to_value(&gone).unwrap()["rejected"], json!(null), "not none at all");
        assert!(gone.text().contains("no longer known"), "{}", gone.text());
        let text = BatchShown::new(batch, None, Some(&of_two()), Some(rejected()), all).text();
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines[lines.len() - 5..],
            [
                "split 1 done",
                "reduce 1 done",
                "combine 1 done events 3",
                "prefetch 1 done 2026-01-01 23:59:58Z 2.0 s keys 12,000, found 7",
                "apply 2 failed WorkerLost: gone",
            ]
        );
        assert!(lines.contains(&"rejected 2 records and events of the job, by rule: type 2".to_owned()), "{text}");
        assert!(lines.contains(&"job 3, of batches 2 to 3: split, starting".to_owned()), "{text}");
    }
}
