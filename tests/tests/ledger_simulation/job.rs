//! A reconcile job that reads the ledger finds what its index has: each artifact once, as it is now.

use std::{collections::BTreeMap, sync::Arc};

use jobs::{
    book::Jobs,
    estimate::Bounds,
    layout::document_key,
    messages::PlanRequest,
    planner::{Config, JobPlanner},
};
use reconcile::{
    Type, Value,
    reference::{Arrival, InputRows, OutputRows, run},
    task::{Task, TaskJob},
};
use serde_json::{Value as Json, json};
use storage::{Location, documents, memory::ManualClock};

use crate::{
    installation::{DATA, Installation, LEDGER, LEDGERS, WORK},
    verdict::Verdict,
};

const JOBS: &str = "jobs";
const CURRENCIES: [&str; 4] = ["EUR", "JPY", "KWD", "USD"];
const AMOUNTS: [&str; 2] = ["due", "settled"];

impl Verdict<'_> {
    pub(crate) async fn read_by_a_job(&self) {
        let task = self.planned().await;
        let mut objects = Vec::new();
        for object in &task.inputs["artifacts"].objects {
            objects.push(self.object(&object.bucket, &object.key).await.to_vec());
        }
        let input = &task.inputs["artifacts"];
        assert_eq!(input.ledger.as_ref().unwrap().through, self.all.head.indexed.get());
        let rows = InputRows::of_json_lines(&task.plan, "artifacts", input, &objects).unwrap();
        let found = run(&task.plan, &BTreeMap::from([("artifacts".to_owned(), rows)]), Arrival::Scattered).unwrap();
        let mut expected = Vec::new();
        for (key, entry) in &self.index {
            let line = self.line(entry).await;
            let kinds = columns().into_iter().map(|(_, kind)| kind);
            expected.push(cells(key, &line).into_iter().zip(kinds).map(|(cell, kind)| parsed(&cell, kind)).collect());
        }
        assert_eq!(found["all"], OutputRows { columns: columns(), rows: expected });
    }

    async fn planned(&self) -> Task {
        let Installation { objects, tables, .. } = self.installation;
        let job = TaskJob { tenant: Installation::id().tenant, job: "all".to_owned(), attempt: 1 };
        let at = Location::new(DATA, document_key(&job.tenant, &job.job));
        documents::write(&**objects, &at, &document()).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let rows = Jobs::new(tables.clone(), JOBS, clock.clone());
        rows.register(&job.tenant, &job.job, "digest").await.unwrap();
        rows.begin(&job).await.unwrap();
        let config = Config {
            data_bucket: DATA.to_owned(),
            work_bucket: WORK.to_owned(),
            jobs_table: JOBS.to_owned(),
            feeds_table: "feeds".to_owned(),
            ledgers_table: LEDGERS.to_owned(),
            bounds: Bounds { memory_bytes: 10 << 30, disk_bytes: 10 << 30, seconds: 900 },
            spark: false,
        };
        let planner = JobPlanner::new(objects.clone(), tables.clone(), clock, config);
        let chosen = planner.plan(PlanRequest { job, failure: None }).await.unwrap();
        documents::read(&**objects, &chosen.task).await.unwrap().unwrap()
    }
}

fn columns() -> Vec<(String, Type)> {
    let mut columns = vec![
        ("key".to_owned(), Type::Text),
        ("applied_through".to_owned(), Type::Integer),
        ("status".to_owned(), Type::Text),
        ("events".to_owned(), Type::Integer),
        ("attributes.country".to_owned(), Type::Text),
    ];
    for measure in AMOUNTS {
        columns.extend(CURRENCIES.map(|currency| (format!("measures.{measure}.{currency}"), Type::Decimal(4))));
    }
    columns
}

fn document() -> Json {
    let columns: Vec<Json> = columns().iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({
        "version": 1,
        "inputs": {"artifacts": {"format": "ledger", "ledger": LEDGER, "columns": columns}},
        "outputs": [{"name": "all", "from": "artifacts", "format": "csv"}],
    })
}

/// What a line says, in the order of the columns; nothing of a measure without that currency.
fn cells(key: &str, line: &Json) -> Vec<String> {
    let text = |value: &Json| value.as_str().map_or_else(String::new, str::to_owned);
    let mut cells = vec![
        key.to_owned(),
        line["applied_through"].to_string(),
        text(&line["status"]),
        line["events"].to_string(),
        text(&line["attributes"]["country"]["value"]),
    ];
    for measure in AMOUNTS {
        let entries = line["measures"][measure].as_array().unwrap();
        cells.extend(CURRENCIES.map(|currency| {
            let entry = entries.iter().find(|entry| entry["currency"] == currency);
            entry.map_or_else(String::new, |entry| text(&entry["amount"]))
        }));
    }
    cells
}

fn parsed(cell: &str, kind: Type) -> Value {
    kind.parse(cell).unwrap()
}
