//! The keys of the book's rows.

use serde_json::json;
use storage::Key;

use super::BatchRecord;
use crate::{
    BatchSequence, JobNumber,
    manifest::{ContentHash, LedgerId},
    watermark::Exception,
};

pub(super) fn partition(ledger: &LedgerId) -> String {
    format!("{}#{}", ledger.tenant, ledger.ledger)
}

pub(super) fn key(ledger: &LedgerId, row: &str) -> Key {
    Key::sorted(partition(ledger), row)
}

pub(crate) const HEAD_ROW: &str = "head";

pub(crate) fn batch_row(batch: &str) -> String {
    format!("batch#{batch}")
}

pub(super) fn fault_row(batch: &str) -> String {
    format!("fault#{batch}")
}

pub(crate) fn number_row(number: BatchSequence) -> String {
    format!("number#{}", JobNumber::from(number).padded())
}

pub(crate) fn refused_row(batch: &BatchRecord) -> String {
    format!("refused#{:012}#{}", batch.registered_at.as_second(), batch.batch)
}

pub(super) const CONTENT_ROWS: &str = "content#";

pub(super) fn content_partition(ledger: &LedgerId, sha256: &str) -> String {
    format!("{}#{sha256}", partition(ledger))
}

pub(crate) fn job_row(job: JobNumber) -> String {
    format!("job#{}", job.padded())
}

pub(crate) fn source_row(source: &str) -> String {
    format!("source#{source}")
}

pub(crate) fn coverage_row(source: &str) -> String {
    format!("coverage#{source}")
}

pub(super) fn signed_rows(source: &str) -> String {
    format!("signed#{source}#")
}

/// Of two that sign the same the later is no other.
pub(crate) fn signed_row(source: &str, exception: &Exception) -> String {
    let Exception { interval, signed_by, reason, signed_at: _ } = exception;
    let mut digest = ContentHash::default();
    digest.update(json!([interval, signed_by, reason]).to_string().as_bytes());
    format!("{}{}", signed_rows(source), digest.finish())
}
