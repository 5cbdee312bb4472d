//! Batches through the deployed template, as a person sends them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::time::Instant;

use e2e::{
    Stack,
    books::{Books, Shape},
};
use ledger::{stage::Stage, steps::StepRecord};
use tests::events::{
    made::Plan,
    oracle::Keep,
    write::{Format, Packing},
};

/// Jobs of one batch each.
fn one_by_one(definition: &mut serde_json::Value) {
    definition["policy"]["grouping"] = serde_json::json!({ "batchesMax": 1 });
}

/// Many batches over the same orders, as fast as they can be sent: while one is indexed, the next is applied and the one
/// behind it prefetched, and nothing is lost between them.
#[tokio::test]
async fn three_batches_are_in_flight_over_shared_orders() {
    let stack = Stack::connect().await;
    let plan = Plan {
        events: 42_000,
        artifacts: 250,
        batches: 14,
        duplicates: 3,
        conflicts: 2,
        rejects: 2,
        ..Plan::default()
    };
    let mut books = Books::open(&stack, "flight", Shape::default(), one_by_one).await;
    for batch in plan.batches() {
        books.send(&batch).await;
    }
    let oracle = books.agree().await;
    let steps = books.steps().await;
    let in_flight: Vec<u64> = (1..=12).filter(|number| together(&steps, *number)).collect();
    assert!(!in_flight.is_empty(), "no three batches were at work at once: {steps:#?}");
    let shared = |numbers: [u64; 3]| {
        let brought = oracle.keys().map(|key| oracle.batches_of(key));
        brought.filter(|batches| numbers.iter().all(|number| batches.contains(number))).count()
    };
    eprintln!("{in_flight:?}");
    for number in in_flight {
        assert!(shared([number, number + 1, number + 2]) > 100, "{number}");
    }
}

/// Whether there was an instant at which a job was indexed, the next one applied and the one behind it prefetched.
fn together(steps: &[StepRecord], number: u64) -> bool {
    let at_work = |number: u64, stage: Stage| {
        let step = steps.iter().find(|step| step.job.get() == number && step.step == stage.as_str()).unwrap();
        (step.started_at.unwrap(), step.ended_at.unwrap())
    };
    let three =
        [at_work(number, Stage::Index), at_work(number + 1, Stage::Apply), at_work(number + 2, Stage::Prefetch)];
    three.iter().map(|(from, _)| from).max() < three.iter().map(|(_, to)| to).min()
}
