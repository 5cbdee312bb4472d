//! Cursors: how many of a part-file's puts, from its first artifact on, the index has acknowledged.
//!
//! One row a part-file in the table `ledgers`. It covers acknowledged puts only, so whoever goes on behind it leaves none
//! out; and it never moves back, so a worker that was overtaken undoes nothing.
//!
//! A row that nobody has touched for long expires. Should its job not be done by then, those puts are made again, and
//! stand already.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{Condition, StorageError};

use crate::{
    JobNumber,
    book::Book,
    manifest::LedgerId,
    messages::{PartRef, RunInput},
};

#[derive(Serialize, Deserialize)]
struct CursorRow {
    #[serde(flatten)]
    part: PartRef,
    confirmed: u64,
}

const CONFIRMED: &str = "confirmed";

/// Far longer than any execution lives that has read the row.
const KEPT_DAYS: i64 = 90;

/// How many puts of each part-file of a job are acknowledged; none of those that are left out.
pub(crate) async fn of_job(
    book: &Book,
    ledger: &LedgerId,
    job: JobNumber,
) -> Result<HashMap<PartRef, u64>, StorageError> {
    let rows: Vec<CursorRow> = book.all(ledger, &prefix(job)).await?;
    Ok(rows.into_iter().map(|row| (row.part, row.confirmed)).collect())
}

/// So many puts of a part-file are acknowledged. Where more are already, that stands.
pub(crate) async fn advance(
    book: &Book,
    run: &RunInput,
    part: PartRef,
    confirmed: u64,
    now: Timestamp,
) -> Result<(), StorageError> {
    let expires_at = now.saturating_add(SignedDuration::from_hours(24 * KEPT_DAYS)).unwrap_or(Timestamp::MAX);
    let set = [
        ("partition", json!(part.partition)),
        ("part", json!(part.part)),
        (CONFIRMED, json!(confirmed)),
        ("expires_at", json!(expires_at.as_second())),
    ];
    let further = Condition::Any(vec![
        Condition::Lacks(CONFIRMED.to_owned()),
        Condition::Less(CONFIRMED.to_owned(), confirmed.into()),
    ]);
    let set = set.map(|(name, value)| (name.to_owned(), value)).to_vec();
    book.update(&run.ledger, &row(run.job, part), set, further).await.map(|_| ())
}

fn prefix(job: JobNumber) -> String {
    format!("cursor#{}#", job.padded())
}

fn row(job: JobNumber, part: PartRef) -> String {
    format!("{}{}#{:06}", prefix(job), part.partition.padded(), part.part)
}
