//! `tieout batch list`: the batches of a ledger that came last.

use std::{cmp::Reverse, collections::BTreeMap, iter};

use ledger::{
    book::{BatchRecord, Book, FaultRecord},
    definitions::Definitions,
    manifest::LedgerId,
};
use storage::StorageError;

use crate::{
    batch::{
        named,
        view::{self, BatchView},
    },
    error::Failure,
    installation::Installation,
    output::Output,
};

pub(crate) async fn perform(
    ledger: &str,
    prefix: &str,
    limit: usize,
    at: &Installation,
    output: Output,
) -> Result<(), Failure> {
    let ledger = named(ledger, at);
    let views = listed(&ledger, prefix, limit, &at.book(), &at.definitions()).await?;
    output.tell(&views, |views| view::list(views, &ledger))
}

/// The last batches, the newest first, of a ledger that somebody has described or sent something to.
async fn listed(
    ledger: &LedgerId,
    prefix: &str,
    limit: usize,
    book: &Book,
    definitions: &Definitions,
) -> Result<Vec<BatchView>, Failure> {
    let faults = book.faults(ledger, prefix).await?;
    // The view before the batches: cursors step over a batch that was taken out.
    let view = book.view(ledger).await?;
    let records = match prefix {
        "" => newest_records(ledger, limit, &faults, book).await?,
        prefix => book.batch_records(ledger, prefix).await?,
    };
    if records.is_empty() && faults.is_empty() {
        definitions.terms(ledger).await?;
    }
    let mut faults: BTreeMap<_, _> = faults.into_iter().map(|fault| (fault.batch.clone(), fault)).collect();
    let mut views: Vec<_> = records
        .iter()
        .map(|record| BatchView::of(ledger, record, faults.remove(&record.batch).as_ref(), &view))
        .collect();
    views.extend(faults.values().map(|fault| BatchView::not_taken(ledger, fault)));
    Ok(newest(views, limit))
}

/// The batches among which are the last ones: `limit` of each kind, and those whose name the last faults have.
async fn newest_records(
    ledger: &LedgerId,
    limit: usize,
    faults: &[FaultRecord],
    book: &Book,
) -> Result<Vec<BatchRecord>, StorageError> {
    let mut records = book.newest_batches(ledger, limit).await?;
    let mut faults: Vec<_> = faults.iter().collect();
    faults.sort_by_key(|fault| Reverse(fault.at));
    let names = faults.into_iter().take(limit).map(|fault| &*fault.batch);
    let others = names.filter(|name| records.iter().all(|record| record.batch != *name));
    let others = book.named_batches(ledger, others.collect::<Vec<_>>()).await?;
    records.extend(others);
    Ok(records)
}

/// The last of them, the newest first. Batches stand by their numbers, as they are found: the clocks that numbers are
/// given by may differ. What came without one stands among them by its time.
fn newest(views: Vec<BatchView>, limit: usize) -> Vec<BatchView> {
    let (mut numbered, mut others): (Vec<_>, Vec<_>) = views.into_iter().partition(BatchView::came_with_number);
    numbered.sort_by_key(|view| Reverse(view.number));
    others.sort_by_key(|view| Reverse(view.came_at()));
    let (mut numbered, mut others) = (numbered.into_iter().peekable(), others.into_iter().peekable());
    let next = || match (numbered.peek(), others.peek()) {
        (Some(batch), Some(other)) if batch.came_at() < other.came_at() => others.next(),
        (Some(_), _) => numbered.next(),
        (None, _) => others.next(),
    };
    iter::from_fn(next).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use ledger::Rules;
    use serde_json::{Value, json};
    use storage::{
        Condition, Tables,
        memory::{Faulty, MemoryTables, Operation},
    };

    use super::*;

    fn orders() -> LedgerId {
        LedgerId::new("acme", "orders").unwrap()
    }

    /// The book of a ledger, whose calls are counted.
    struct Shelf {
        tables: Arc<dyn Tables>,
        calls: Arc<AtomicU64>,
    }

    impl Shelf {
        fn new() -> Self {
            let calls = Arc::new(AtomicU64::new(0));
            let count = calls.clone();
            let counted = Faulty::new(Arc::new(MemoryTables::default()), move |_: &Operation| {
                count.fetch_add(1, Ordering::Relaxed);
                None
            });
            Self { tables: Arc::new(counted), calls }
        }

        async fn put(&self, row: &str, mut item: Value) {
            (item["pk"], item["sk"]) = ("acme#orders".into(), row.into());
            self.tables.put("ledgers", item.as_object().unwrap().clone(), Condition::Always).await.unwrap();
        }

        async fn batch(&self, name: &str, let_in_at: &str, more: Value) {
            let mut record = json!({
                "batch": name, "digest": "d", "status": "registered", "source": "shop", "correction": false,
                "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
                "registered_at": "2026-01-01T00:00:00Z", "let_in_at": let_in_at, "version": 1,
            });
            record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.put(&format!("batch#{name}"), record).await;
        }

        /// A batch that has this number, and perhaps had others.
        async fn numbered(&self, name: &str, number: u64, let_in_at: &str) {
            self.batch(name, let_in_at, json!({ "number": number })).await;
            let numbered = json!({
                "number": number, "batch": name, "source": "shop", "correction": false, "events": 1, "bytes": 1,
                "objects": 1, "pinned": "p",
                "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
            });
            self.put(&format!("number#{number:012}"), numbered).await;
        }

        async fn fault(&self, name: &str, at: &str) {
            let fault = json!({ "batch": name, "reason": "unknown", "uploaded_at": at, "at": at });
            self.put(&format!("fault#{name}"), fault).await;
        }

        async fn listed(&self, prefix: &str, limit: usize) -> Result<Vec<(String, &'static str)>, Failure> {
            let book = Book::new(self.tables.clone(), "ledgers");
            let definitions = Definitions::new(self.tables.clone(), "ledgers", Rules::built_in());
            let views = listed(&orders(), prefix, limit, &book, &definitions).await?;
            Ok(views.into_iter().map(|view| (view.batch, view.status)).collect())
        }

        async fn names(&self, prefix: &str, limit: usize) -> Vec<String> {
            self.listed(prefix, limit).await.unwrap().into_iter().map(|(batch, _)| batch).collect()
        }
    }

    #[tokio::test]
    async fn the_batches_of_an_unknown_ledger_are_its_faults_or_a_mistake() {
        let shelf = Shelf::new();
        let Err(Failure::Misuse(told)) = shelf.listed("", 20).await else { panic!("there is no such ledger") };
        assert!(told.contains("orders") && told.contains("tieout ledger put"), "{told}");
        shelf.fault("b1", "2026-01-02T00:00:00Z").await;
        assert_eq!(shelf.listed("", 20).await.unwrap(), [("b1".to_owned(), "not_taken")]);
    }

    /// One that was let in again came last, however old it is; and clocks that differ turn no numbers round.
    #[tokio::test]
    async fn batches_are_listed_as_they_are_found_by_number_and_what_has_none_by_time() {
        let shelf = Shelf::new();
        shelf.numbered("again", 1, "2026-01-01T00:00:00Z").await;
        for (name, number, let_in_at) in [
            ("b2", 2, "2026-01-02T00:00:00Z"),
            ("b3", 3, "2026-01-03T00:00:00.5Z"),
            ("b4", 4, "2026-01-03T00:00:00.1Z"),
            ("again", 5, "2026-01-05T00:00:00Z"),
        ] {
            shelf.numbered(name, number, let_in_at).await;
        }
        let refused_at = "2026-01-04T00:00:00Z";
        shelf.batch("refused", refused_at, json!({ "status": "refused", "reason": "totals" })).await;
        let seconds = refused_at.parse::<jiff::Timestamp>().unwrap().as_second();
        shelf.put(&format!("refused#{seconds:012}#refused"), json!({ "batch": "refused" })).await;
        shelf.fault("fault", "2026-01-02T12:00:00Z").await;
        let all = ["again", "refused", "b4", "b3", "fault", "b2"];
        for limit in 1..=all.len() {
            assert_eq!(shelf.names("", limit).await, all[..limit]);
        }
        assert_eq!(shelf.names("b", 2).await, ["b4", "b3"]);
        // A batch comes again with a manifest that is not taken, though it stays as it is.
        shelf.fault("b2", "2026-01-06T00:00:00Z").await;
        assert_eq!(shelf.names("", 3).await, ["b2", "again", "refused"]);
        assert_eq!(shelf.names("b", 2).await, ["b2", "b4"]);
    }

    #[tokio::test]
    async fn however_many_faults_there_are_as_few_calls_are_made() {
        for (prefix, batches) in [("", 10), ("b", 20)] {
            let shelf = Shelf::new();
            let calls = async || {
                let before = shelf.calls.load(Ordering::Relaxed);
                let names = shelf.names(prefix, 10).await;
                (names.len(), shelf.calls.load(Ordering::Relaxed) - before)
            };
            shelf.fault("b00", "2026-01-02T00:00:00Z").await;
            let (_, of_one) = calls().await;
            for number in 0..batches {
                shelf.numbered(&format!("b{number:02}"), number + 1, "2026-01-01T00:00:00Z").await;
                shelf.fault(&format!("b{number:02}"), "2026-01-02T00:00:00Z").await;
                shelf.fault(&format!("bad{number:02}"), "2026-01-02T00:00:00Z").await;
            }
            assert_eq!(calls().await, (10, of_one));
        }
    }
}
