//! Batches to test with.

use jiff::Timestamp;
use ledger::{
    BatchSequence, JobBatches, JobNumber,
    book::{BatchRecord, FaultRecord, View},
    head::Head,
    job::Job,
    manifest::LedgerId,
    policy::Policy,
};
use serde_json::{Value, json};

pub(super) fn ledger() -> LedgerId {
    LedgerId::new("acme", "orders").unwrap()
}

pub(super) fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

pub(super) fn record(more: Value) -> BatchRecord {
    let mut record = json!({
        "batch": "b1", "digest": "d", "status": "registered", "number": 3, "source": "shop", "correction": false,
        "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
        "registered_at": now(), "let_in_at": now(), "version": 1,
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(record).unwrap()
}

pub(super) fn fault() -> FaultRecord {
    FaultRecord { batch: "b1".into(), reason: "it cannot\u{7}".into(), uploaded_at: now(), at: now(), expires_at: None }
}

pub(super) fn of_two() -> Job {
    let batches = JobBatches::new(BatchSequence::new(2), BatchSequence::new(3)).unwrap();
    Job::new(batches, now(), &Policy::default())
}

pub(super) fn view(indexed: u64, jobs: Vec<Job>) -> View {
    let mut head = Head::default();
    head.indexed = JobNumber::new(indexed);
    View { head, jobs }
}
