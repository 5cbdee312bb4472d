//! Ledgers as inputs: what is read of them, and when.

use error_class::Classified;
use jobs::{book::JobStatus, messages::PlanRequest};
use ledger::{
    BatchSequence, Definition, JobBatches, Partition, PartitionBits, Rules,
    commits::{AppliedPartition, ApplyManifest, PartWritten, Written},
    definitions::Definitions,
    job::Job,
    policy::Policy,
};
use money::ControlTotals;
use reconcile::task::{LedgerRead, Task};
use serde_json::{Value as Json, json};
use storage::{Location, Tables, documents};

use crate::kit::{DATA, LEDGERS, World, attempt, body};

impl World {
    /// A ledger without batches, of invoices and payments.
    async fn define(&self) {
        let definition = json!({
            "name": "books",
            "sources": { "shop": "2026-03-01T00:00:00Z" },
            "events": { "format": "csv", "fields": [
                { "name": "order" }, { "name": "id" }, { "name": "at", "type": "datetime" },
                { "name": "amount", "type": "number" }, { "name": "country" },
            ] },
            "artifactKey": ["order"], "eventId": "id", "eventTime": "at",
            "amounts": [{ "column": "amount" }],
            "measures": { "paid": { "measure": "sum", "column": "amount" } },
            "attributes": { "country": "country" },
        });
        let definition = Definition::from_json(&definition.to_string()).unwrap();
        let definitions = Definitions::new(self.tables.clone(), LEDGERS, Rules::default());
        definitions.put("acme", &definition).await.unwrap();
    }

    /// Everything up to this job is in the index.
    async fn indexed(&self, number: u64) {
        let head = json!({
            "next": number + 9, "grouped": number + 1, "prefetched": number + 1, "applied": number + 1,
            "indexed": number, "fence": 1, "definition": 1, "partition_bits": 0,
        });
        self.row("head", head).await;
    }

    async fn row(&self, row: &str, record: Json) {
        let mut item = json!({ "pk": "acme#books", "sk": row }).as_object().unwrap().clone();
        item.extend(record.as_object().unwrap().clone());
        self.tables.put(LEDGERS, item, storage::Condition::Always).await.unwrap();
    }

    /// A job that is applied, with a part-file of these artifacts: key, sum and country.
    async fn applied(&self, number: u64, void: bool, artifacts: &[(&str, &str, Option<&str>)]) {
        let line = |(key, paid, country): &(&str, &str, Option<&str>)| {
            let country = country.map(|value| json!({ "value": value, "event_id": "e", "event_time": "" }));
            let line = json!({
                "key": key, "applied_through": number, "status": null, "difference": [], "events": 1,
                "measures": { "paid": [{ "currency": null, "amount": paid }] }, "attributes": { "country": country },
                "previous": null, "lines": [], "lines_file": null,
            });
            format!("{line}\n")
        };
        let lines: String = artifacts.iter().map(line).collect();
        let folder = format!("acme/ledgers/books/job={number}");
        let written = |name: &str, bytes: usize| Written { key: format!("{folder}/{name}"), bytes: bytes as u64 };
        let part = PartWritten {
            lines: written("part-00000.jsonl", lines.len()),
            sidecar: written("part-00000.idx", 0),
            side: None,
            artifacts: artifacts.len() as u64,
        };
        self.put(&part.lines.key, &lines).await;
        let totals = ControlTotals::default;
        let partition = AppliedPartition {
            partition: Partition::new(0),
            parts: vec![part],
            created: 0,
            open: 0,
            reconciled: 0,
            breaks: 0,
            overlaid: 0,
            totals_in: totals(),
            totals_applied: totals(),
            duplicates: totals(),
            conflicts: totals(),
            rejects: None,
            rule: None,
            events_before: 0,
            events_after: 0,
        };
        let batch = BatchSequence::new(number);
        let job = Job::new(JobBatches::new(batch, batch).unwrap(), jiff::Timestamp::UNIX_EPOCH, &Policy::default());
        let manifest =
            ApplyManifest { job: job.number(), partition_bits: PartitionBits::ZERO, partitions: vec![partition] };
        let at = Location::new(DATA, format!("{folder}/apply.json"));
        documents::write(&*self.objects, &at, &manifest).await.unwrap();
        let mut row = serde_json::to_value(&job).unwrap();
        row["apply"] = json!({ "committed": { "manifest": at.key, "attempt": 1, "at": "2026-03-02T00:00:00Z" } });
        if void {
            row["status"] = json!({ "void": { "reason": "it was taken out" } });
        }
        self.row(&format!("job#{number:012}"), row).await;
    }

    async fn task(&self, job: &str) -> Task {
        let chosen = self.handlers().planner.plan(PlanRequest { job: attempt(job, 1), failure: None }).await.unwrap();
        documents::read(&*self.objects, &chosen.task).await.unwrap().unwrap()
    }
}

/// What was paid of each order, and what the bank says.
fn document() -> Json {
    json!({
        "version": 1,
        "inputs": {
            "artifacts": {"format": "ledger", "ledger": "books"},
            "bank": {"format": "csv", "objects": ["bank.csv"], "columns": [
                {"name": "order", "type": "text"}, {"name": "received", "type": "decimal(2)"},
            ]},
        },
        "steps": [
            {"name": "both", "operation": "xlookup", "from": "artifacts", "in": "bank",
                "on": [{"left": "key", "right": "order"}], "columns": [{"column": "received"}]},
            {"name": "variance", "operation": "variance", "from": "both", "actual": "received",
                "expected": "measures.paid", "difference": "Variance"},
        ],
        "outputs": [{"name": "out", "from": "variance", "format": "csv"}],
    })
}

#[tokio::test]
async fn what_is_committed_is_read_in_its_latest_version() {
    let world = World::new();
    world.define().await;
    world.applied(1, false, &[("a", "10.00", Some("DE")), ("b", "5.00", None)]).await;
    // Both have `a`: the later counts.
    world.applied(2, false, &[("a", "12.50", Some("DE")), ("c", "1.00", None)]).await;
    world.applied(3, true, &[("a", "999.00", None), ("z", "999.00", None)]).await;
    world.applied(4, false, &[("a", "777.00", None), ("y", "777.00", None)]).await;
    world.indexed(3).await;
    world.put("acme/bank.csv", "order,received\nb,4.00\na,12.50\n").await;

    world.deliver(&world.handlers(), &body("close", &document())).await;
    let task = world.task("close").await;
    // What comes between the plan and the engine changes nothing.
    world.indexed(4).await;
    let closed = world.execute(&world.handlers(), &attempt("close", 1)).await.unwrap();
    let record = world.record("close").await;
    assert_eq!(closed.status, JobStatus::Published, "{:?}", record.failure);
    let read =
        LedgerRead { ledger: "books".to_owned(), through: 3, watermark: Some("2026-03-01T00:00:00Z".to_owned()) };
    assert_eq!((task.inputs["artifacts"].ledger.as_ref(), record.ledgers.get("artifacts")), (Some(&read), Some(&read)));
    assert!(task.inputs["artifacts"].objects.iter().all(|object| object.version.is_some()));
    let published = world.publication(&attempt("close", 1)).await;
    let text = world.text(&published.outputs[0].objects[0].key).await;
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(
        rows,
        [
            "key,applied_through,events,measures.paid,attributes.country,received,Variance",
            "a,2,1,12.50,DE,12.50,0.00",
            "b,1,1,5.00,,4.00,-1.00",
            "c,2,1,1.00,,,",
        ]
    );
    assert_eq!(record.outputs[0].totals["measures.paid"], "18.50");
}

#[tokio::test]
async fn a_ledger_without_batches_is_empty_and_has_its_columns() {
    let world = World::new();
    world.define().await;
    world.put("acme/bank.csv", "order,received\n").await;
    world.deliver(&world.handlers(), &body("close", &document())).await;
    let task = world.task("close").await;
    assert_eq!(task.inputs["artifacts"].objects, []);
    assert_eq!(task.inputs["artifacts"].ledger.as_ref().unwrap().through, 0);
    let closed = world.execute(&world.handlers(), &attempt("close", 1)).await.unwrap();
    assert_eq!(closed.status, JobStatus::Published);
    let published = world.publication(&attempt("close", 1)).await;
    let text = world.text(&published.outputs[0].objects[0].key).await;
    assert_eq!(text, "key,applied_through,events,measures.paid,attributes.country,received,Variance\r\n");
}

#[tokio::test]
async fn what_is_wrong_with_a_ledger_is_said_with_its_name() {
    let columns = |name: &str, kind: &str| json!([{"name": name, "type": kind}]);
    for (key, value, words) in [
        ("ledger", json!("other"), "input \"artifacts\": there is no ledger \"other\" of tenant acme"),
        ("ledger", json!("../books"), "there is no ledger \"../books\" of tenant acme"),
        (
            "columns",
            columns("paid", "decimal(2)"),
            "ledger \"books\" has no column \"paid\"; it has key, applied_through",
        ),
        ("columns", columns("key", "integer"), "column \"key\" of a ledger is text"),
        ("prefix", json!("x/"), "a ledger has neither `objects` nor `prefix`"),
    ] {
        let world = World::new();
        world.define().await;
        world.put("acme/bank.csv", "order,received\n").await;
        let mut job = document();
        job["inputs"]["artifacts"][key] = value;
        world.deliver(&world.handlers(), &body("close", &job)).await;
        let error =
            world.handlers().planner.plan(PlanRequest { job: attempt("close", 1), failure: None }).await.unwrap_err();
        assert!(error_class::chain(&error).contains(words), "{words}: {error}");
        assert_eq!(error.class(), error_class::ErrorClass::InvalidInput, "{error}");
    }
}
