//! The first rejects of a run, in a table, for people to look at. All of them are in the run's reject file.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use records::{Reject, Violation};
use serde::{Deserialize, Serialize};
use storage::{StorageError, Tables, tables::Query};

use crate::{
    layout::run_partition,
    messages::RunId,
    runs::{from_item, to_item},
};

/// The `rejects` table.
#[derive(Clone)]
pub struct Rejects {
    tables: Arc<dyn Tables>,
    table: String,
}

#[derive(Serialize, Deserialize)]
struct RejectItem {
    #[serde(flatten)]
    violation: Violation,
    record: String,
    /// When DynamoDB may drop it, in Unix seconds.
    expires_at: i64,
}

/// A row can carry a whole record, and an item holds 400 KB: longer texts are cut here, never in the reject file.
const TEXT_CHARS_MAX: usize = 10_000;

impl Rejects {
    /// The rejects kept in `table`.
    pub fn new(tables: Arc<dyn Tables>, table: impl Into<String>) -> Self {
        Self { tables, table: table.into() }
    }

    /// Keeps rejects of a run for `days`. The same rejects again change nothing.
    pub async fn put(&self, run: &RunId, rejects: &[Reject], now: Timestamp, days: u32) -> Result<(), StorageError> {
        let expires_at = (now + SignedDuration::from_hours(24 * i64::from(days))).as_second();
        let items = rejects.iter().map(|reject| {
            let violation = Violation { message: cut(&reject.violation.message), ..reject.violation.clone() };
            let sort = format!("{:012}", violation.row);
            let mut item = to_item(&RejectItem { violation, record: cut(&reject.record), expires_at })?;
            item.insert("pk".into(), run_partition(run).into());
            item.insert("sk".into(), sort.into());
            Ok(item)
        });
        self.tables.put_many(&self.table, items.collect::<Result<_, StorageError>>()?).await
    }

    /// The rejects kept of a run, in row order, at most `limit` of them.
    pub async fn list(&self, run: &RunId, limit: usize) -> Result<Vec<Reject>, StorageError> {
        let mut query = Query { table: self.table.clone(), partition: run_partition(run), ..Query::default() };
        let mut rejects = Vec::new();
        while rejects.len() < limit {
            query.limit = Some(limit - rejects.len());
            let page = self.tables.query(&query).await?;
            for item in page.items {
                let RejectItem { violation, record, .. } = from_item(item)?;
                rejects.push(Reject { violation, record });
            }
            query.from = page.next;
            if query.from.is_none() {
                break;
            }
        }
        Ok(rejects)
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… (cut; the reject file has it whole)", text.get(..end).unwrap_or_default()),
    }
}
