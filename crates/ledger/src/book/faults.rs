//! Manifests that were not taken, in the book.

use serde_json::Value;
use storage::{
    Condition, StorageError,
    tables::{Outcome, Write},
};

use super::{
    BatchRecord, Book, FaultRecord,
    rows::{batch_row, fault_row, key},
};
use crate::manifest::LedgerId;

impl Book {
    /// Why manifests were not taken, of all batches whose name begins like this, by name.
    pub async fn faults(&self, ledger: &LedgerId, prefix: &str) -> Result<Vec<FaultRecord>, StorageError> {
        self.all(ledger, &fault_row(prefix)).await
    }

    /// Why the last manifest of that name was not taken, if it was not.
    pub async fn fault(&self, ledger: &LedgerId, batch: &str) -> Result<Option<FaultRecord>, StorageError> {
        self.get(ledger, &fault_row(batch)).await
    }

    /// Writes down why a manifest was not taken, unless that is known of a later one, or the batch is not `taken` as it
    /// was when this was decided. Whether it did.
    pub(crate) async fn put_fault(
        &self,
        ledger: &LedgerId,
        fault: &FaultRecord,
        taken: Option<&BatchRecord>,
    ) -> Result<bool, StorageError> {
        let read = |batch: &BatchRecord| Condition::Equals("version".to_owned(), batch.version.into());
        let same = Write::Check {
            table: self.table.clone(),
            key: key(ledger, &batch_row(&fault.batch)),
            condition: taken.map_or(Condition::Absent, read),
        };
        let put = Write::Put {
            table: self.table.clone(),
            item: self.item(ledger, &fault_row(&fault.batch), fault)?,
            condition: Condition::Any(vec![Condition::Absent, not_later(fault.uploaded_at)]),
        };
        self.write(vec![same, put]).await
    }

    /// Forgets why a manifest of that name that was not uploaded later than this was not taken. Whether it did.
    pub(crate) async fn forget_fault(
        &self,
        ledger: &LedgerId,
        batch: &str,
        uploaded_at: jiff::Timestamp,
    ) -> Result<bool, StorageError> {
        let key = key(ledger, &fault_row(batch));
        Ok(self.tables.delete(&self.table, &key, not_later(uploaded_at)).await? == Outcome::Written)
    }

    /// Forgets why a manifest of that name was not taken, whichever it was.
    pub async fn drop_fault(&self, ledger: &LedgerId, batch: &str) -> Result<(), StorageError> {
        self.tables.delete(&self.table, &key(ledger, &fault_row(batch)), Condition::Always).await.map(|_| ())
    }
}

/// A fault of a manifest that was not uploaded later than this.
fn not_later(uploaded_at: jiff::Timestamp) -> Condition {
    let (attribute, value) = ("uploaded_at".to_owned(), Value::from(uploaded_at.to_string()));
    Condition::Any(vec![Condition::Less(attribute.clone(), value.clone()), Condition::Equals(attribute, value)])
}
