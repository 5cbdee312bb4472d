//! Batches in the book: by name, by number, by content.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use storage::{Condition, Key, StorageError, tables::Query};

use super::{
    BatchRecord, Book, Content, NumberedBatch, RefusedBatch, from_item, item,
    rows::{CONTENT_ROWS, batch_row, content_partition, key, number_row},
    unreadable,
};
use crate::{BatchSequence, JobBatches, manifest::LedgerId};

impl Book {
    /// A batch by its name.
    pub async fn batch(&self, ledger: &LedgerId, batch: &str) -> Result<Option<BatchRecord>, StorageError> {
        self.get(ledger, &batch_row(batch)).await
    }

    /// All batches whose name begins like this, by name.
    pub async fn batch_records(&self, ledger: &LedgerId, prefix: &str) -> Result<Vec<BatchRecord>, StorageError> {
        self.all(ledger, &batch_row(prefix)).await
    }

    /// The batches of these names, as far as there are such. All are read at once.
    pub async fn named_batches(
        &self,
        ledger: &LedgerId,
        names: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<BatchRecord>, StorageError> {
        let rows: Vec<_> = names.into_iter().map(|batch| key(ledger, &batch_row(batch))).collect();
        let items = self.tables.get_many(&self.table, &rows).await?;
        items.into_iter().flatten().map(from_item).collect()
    }

    /// The batches that got a number last, then those that were refused without one, `limit` of each at most and the
    /// newest of each first. Older ones are not read.
    pub async fn newest_batches(&self, ledger: &LedgerId, limit: usize) -> Result<Vec<BatchRecord>, StorageError> {
        // A batch that was let in again has several numbers.
        let mut names = self.newest(ledger, "number#", limit, |batch: NumberedBatch| batch.batch).await?;
        names.extend(self.newest(ledger, "refused#", limit, |batch: RefusedBatch| batch.batch).await?);
        self.named_batches(ledger, names.iter().map(String::as_str)).await
    }

    /// The names that the last rows of this kind have, each once.
    async fn newest<T: DeserializeOwned>(
        &self,
        ledger: &LedgerId,
        rows: &str,
        limit: usize,
        name: impl Fn(T) -> String,
    ) -> Result<Vec<String>, StorageError> {
        let mut query = Query { descending: true, limit: Some(limit), ..self.rows(ledger, rows) };
        let mut names: Vec<String> = Vec::new();
        let mut known = BTreeSet::new();
        while names.len() < limit {
            let page = self.tables.query(&query).await?;
            for item in page.items {
                let name = name(from_item(item)?);
                if names.len() < limit && known.insert(name.clone()) {
                    names.push(name);
                }
            }
            query.from = page.next;
            if query.from.is_none() {
                break;
            }
        }
        Ok(names)
    }

    /// The manifests that have an object of this content, taken or not, as far as they give its hash.
    pub(crate) async fn contents(&self, ledger: &LedgerId, sha256: &str) -> Result<Vec<Content>, StorageError> {
        let partition = content_partition(ledger, sha256);
        self.gathered(Query { partition, ..self.rows(ledger, CONTENT_ROWS) }).await
    }

    /// Notes that a manifest has an object of this content. Doing so twice is once.
    pub(crate) async fn put_content(
        &self,
        ledger: &LedgerId,
        sha256: &str,
        content: &Content,
    ) -> Result<(), StorageError> {
        let row = format!("{CONTENT_ROWS}{}#{}", content.batch, content.digest);
        let item = item(&Key::sorted(content_partition(ledger, sha256), row), content)?;
        self.tables.put(&self.table, item, Condition::Always).await.map(drop)
    }

    /// The batches `from` to `to`, both included, as far as they are registered.
    pub async fn numbered(
        &self,
        ledger: &LedgerId,
        from: BatchSequence,
        to: BatchSequence,
    ) -> Result<Vec<NumberedBatch>, StorageError> {
        let rows = (from.get()..=to.get()).map(|number| key(ledger, &number_row(BatchSequence::new(number))));
        let items = self.tables.get_many(&self.table, &rows.collect::<Vec<_>>()).await?;
        items.into_iter().flatten().map(from_item).collect()
    }

    /// All batches of a job.
    pub(crate) async fn batches(
        &self,
        ledger: &LedgerId,
        batches: JobBatches,
    ) -> Result<Vec<NumberedBatch>, StorageError> {
        let numbered = self.numbered(ledger, batches.lo(), batches.hi()).await?;
        if numbered.len() as u64 == batches.count() {
            return Ok(numbered);
        }
        Err(unreadable(format!("batches {batches} of ledger {ledger} are not all there")))
    }
}
