//! All that a ledger holds at a time: for readers of every artifact, where [`Artifacts`](crate::artifacts) is for
//! readers of some.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use storage::{Location, Objects, Tables, documents};

use crate::{
    BatchSequence, Definition, JobNumber, Rules,
    book::Book,
    commits::{ApplyManifest, Written},
    definitions::Definitions,
    error::LedgerError,
    job::Job,
    manifest::LedgerId,
    stage::{Stage, Turn},
};

/// Manifests read at once.
const READS_AT_ONCE: usize = 32;

/// What a ledger holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// The definition in force.
    pub definition: Definition,
    /// The last batch that counts: what later ones bring is not in `parts`. 0 where there is none yet.
    pub through: BatchSequence,
    /// Every event before this instant is in `parts`, of every source.
    pub watermark: Option<Timestamp>,
    /// The part-files, those of a job behind those of the jobs before it. Together they have every version of every
    /// artifact; the latest is that which was applied through the last batch.
    pub parts: Vec<Written>,
}

/// What the ledger holds now; `None` where there is no such ledger. It is what readers of the index see: jobs that are
/// not indexed yet, and those that are void, do not count.
pub async fn contents(
    objects: &dyn Objects,
    tables: &Arc<dyn Tables>,
    ledgers_table: &str,
    data_bucket: &str,
    ledger: &LedgerId,
) -> Result<Option<Contents>, LedgerError> {
    let definitions = Definitions::new(tables.clone(), ledgers_table, Rules::default());
    let book = Book::new(tables.clone(), ledgers_table);
    let Some(version) = definitions.version(ledger).await? else { return Ok(None) };
    let definition = definitions.definition(ledger, version).await?;
    // Before the head: so the parts have at least what the watermark promises.
    let watermark = book.completeness(&definition.terms(ledger.clone(), version)).await?.watermark;
    let indexed = book.head(ledger).await?.indexed;
    let jobs: Vec<Job> = book.all(ledger, "job#").await?;
    let read = jobs.iter().filter(|job| job.number() <= indexed && !job.is_void()).map(async |job| {
        let Turn::Committed(commit) = job.turn(Stage::Apply) else {
            return Err(missing("the commit of apply".to_owned(), job.number()));
        };
        let at = Location::new(data_bucket, &commit.manifest);
        let manifest: Option<ApplyManifest> = documents::read(objects, &at).await?;
        manifest.ok_or_else(|| missing(at.to_string(), job.number()))
    });
    let manifests: Vec<ApplyManifest> = stream::iter(read).buffered(READS_AT_ONCE).try_collect().await?;
    let parts = manifests.iter().flat_map(ApplyManifest::all).map(|(_, part)| part.lines.clone()).collect();
    Ok(Some(Contents { definition, through: indexed.last_batch(), watermark, parts }))
}

fn missing(what: String, job: JobNumber) -> LedgerError {
    LedgerError::StepMissing { what, job }
}
