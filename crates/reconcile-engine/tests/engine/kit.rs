//! Tasks on objects in memory, run by the engine and by the reference.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use reconcile::{
    Format, RunError, Type, Value,
    plan::Plan,
    reference::{self, Arrival, InputRows, OutputRows},
    report::{Figures, Outcome, Report, Sum},
    task::{Csv, CsvColumn, Output, Task, TaskFormat, TaskInput, TaskJob, TaskObject},
};
use reconcile_engine::{EngineError, Limits, run};
use records::{LineEnd, Writer};
use storage::{
    Location, Objects,
    memory::{ManualClock, MemoryObjects},
    objects::{PutOptions, read_all},
};

/// The rows of an input.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) columns: Vec<(String, Type)>,
    /// The rows of each of its objects.
    pub(crate) objects: Vec<Vec<Vec<Value>>>,
}

/// A store, and what is put into it.
pub(crate) struct World {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) inputs: BTreeMap<String, TaskInput>,
}

/// How inputs lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    Csv,
    JsonLines,
}

pub(crate) fn small() -> Limits {
    Limits { threads: 3, ..Limits::new(256 << 20, 1 << 30) }
}

pub(crate) fn csv(columns: &[(String, Type)]) -> Csv {
    let column = |(name, kind): &(String, Type)| {
        serde_json::from_value(serde_json::json!({"name": name, "type": kind})).unwrap()
    };
    let columns: Vec<CsvColumn> = columns.iter().map(column).collect();
    let json = serde_json::json!({
        "delimiter": ",", "quoteChar": "\"", "doubleQuote": true, "skipInitialSpace": false, "encoding": "utf-8",
        "header": true, "caseSensitiveHeader": true, "fieldsMatch": "exact", "missingValues": [""], "columns": [],
    });
    Csv { columns, ..serde_json::from_value(json).unwrap() }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        Self { objects: Arc::new(MemoryObjects::new(clock)), inputs: BTreeMap::new() }
    }

    /// Puts an object of an input.
    pub(crate) async fn put(&mut self, input: &str, format: TaskFormat, csv: Option<Csv>, body: impl Into<Bytes>) {
        let body = body.into();
        let known = self.inputs.entry(input.to_owned()).or_insert(TaskInput::new(format, csv, Vec::new()));
        let key = format!("acme/{input}/{}", known.objects.len());
        let at = Location::new("data", &key);
        let bytes = body.len() as u64;
        let info = self.objects.put(&at, body, PutOptions::default()).await.unwrap().written().unwrap();
        known.objects.push(TaskObject { bucket: at.bucket, key, version: None, etag: info.etag, bytes });
    }

    /// Puts all objects of an input.
    pub(crate) async fn fill(&mut self, input: &str, data: &Data, lies: Lies) {
        for rows in &data.objects {
            match lies {
                Lies::Csv => self.put(input, TaskFormat::Csv, Some(csv(&data.columns)), as_csv(data, rows)).await,
                Lies::JsonLines => self.put(input, TaskFormat::JsonLines, None, as_json_lines(data, rows)).await,
            }
        }
        if data.objects.is_empty() {
            let csv = (lies == Lies::Csv).then(|| csv(&data.columns));
            let format = if lies == Lies::Csv { TaskFormat::Csv } else { TaskFormat::JsonLines };
            self.inputs.insert(input.to_owned(), TaskInput::new(format, csv, Vec::new()));
        }
    }

    pub(crate) fn task(&self, plan: &Plan, attempt: u32) -> Task {
        let task = Task {
            version: Task::VERSION,
            job: TaskJob { tenant: "acme".to_owned(), job: "close".to_owned(), attempt },
            plan: plan.clone(),
            inputs: self.inputs.clone(),
            output: Output { bucket: "work".to_owned(), prefix: format!("acme/jobs/close/attempt={attempt}") },
        };
        Task::from_json(&serde_json::to_string(&task).unwrap()).unwrap()
    }

    pub(crate) async fn run(&self, plan: &Plan, limits: &Limits) -> Result<Report, EngineError> {
        let report = run(&self.task(plan, 1), Arc::clone(&self.objects), limits).await?;
        if let Outcome::Done(figures) = &report.outcome {
            self.read_whole(figures);
        }
        Ok(report)
    }

    /// Whatever a plan does, every byte of its inputs has become rows, or was passed over and counted.
    fn read_whole(&self, figures: &Figures) {
        for (name, read) in &figures.inputs {
            let input = &self.inputs[name];
            let of: Vec<(&str, u64)> = read.objects.iter().map(|one| (one.key.as_str(), one.bytes)).collect();
            let there: Vec<(&str, u64)> = input.objects.iter().map(|one| (one.key.as_str(), one.bytes)).collect();
            assert_eq!(read.bytes, there.iter().map(|(_, bytes)| bytes).sum::<u64>(), "{name}");
            if input.format == TaskFormat::Parquet {
                assert_eq!(of, [], "of {name} no more is read than is needed");
                continue;
            }
            assert_eq!(of, there, "{name}");
            assert_eq!(read.objects.iter().map(|one| one.rows).sum::<u64>(), read.rows, "{name}");
        }
    }

    /// All parts of an output, put together.
    pub(crate) async fn read(&self, figures: &Figures, output: &str) -> Vec<u8> {
        let found = figures.outputs.iter().find(|one| one.name == output).unwrap();
        let mut all = Vec::new();
        let mut rows = 0;
        for part in &found.parts {
            let at = Location::new("work", &part.key);
            let body = read_all(self.objects.read(&at, None, None).await.unwrap(), &at, 1 << 30).await.unwrap();
            assert_eq!(body.len() as u64, part.bytes, "{}", part.key);
            rows += part.rows;
            all.extend_from_slice(&body);
        }
        assert_eq!(rows, found.rows, "{output}");
        all
    }
}

fn as_csv(data: &Data, rows: &[Vec<Value>]) -> Vec<u8> {
    let mut writer = Writer::new(&records::Format::default(), LineEnd::CrLf);
    writer.write_header(data.columns.iter().map(|(name, _)| name.as_str()));
    for row in rows {
        let cells: Vec<String> = data.columns.iter().zip(row).map(|((_, kind), cell)| kind.format(cell)).collect();
        writer.write(cells.iter().map(String::as_str));
    }
    writer.into_bytes()
}

fn as_json_lines(data: &Data, rows: &[Vec<Value>]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        let object: serde_json::Map<_, _> =
            data.columns.iter().zip(row).map(|((name, kind), cell)| (name.clone(), json(*kind, cell))).collect();
        serde_json::to_writer(&mut out, &object).unwrap();
        out.push(b'\n');
    }
    out
}

fn json(kind: Type, cell: &Value) -> serde_json::Value {
    match cell {
        Value::Blank => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        Value::Boolean(truth) => (*truth).into(),
        cell => kind.format(cell).into(),
    }
}

/// An output as its parts must be.
pub(crate) fn expected(rows: &OutputRows, format: Format) -> Vec<u8> {
    let data = Data { columns: rows.columns.clone(), objects: Vec::new() };
    match format {
        Format::Csv => {
            let mut whole = as_csv(&data, &rows.rows);
            let header = as_csv(&data, &[]).len();
            whole.split_off(header)
        }
        _ => as_json_lines(&data, &rows.rows),
    }
}

/// What the engine makes of a plan, compared with the reference; the figures, or the failure.
pub(crate) async fn compared(
    plan: &Plan,
    data: &BTreeMap<String, Data>,
    lies: Lies,
    limits: &Limits,
) -> Result<Option<Figures>, String> {
    let mut world = World::new();
    for (name, data) in data {
        world.fill(name, data, lies).await;
    }
    let report = world.run(plan, limits).await.map_err(|error| error_class::chain(&error))?;
    let report: Report = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    match (law(plan, data), report.outcome) {
        (Err(_), Outcome::Failed { failure }) if failure.class == error_class::ErrorClass::InvalidInput => Ok(None),
        (Err(error), Outcome::Failed { failure }) => Err(format!("fails otherwise: {failure:?}, expected {error}")),
        (Err(error), Outcome::Done(_)) => Err(format!("should fail: {error}")),
        (Ok(_), Outcome::Failed { failure }) => Err(format!("fails: {failure:?}")),
        (Ok(outputs), Outcome::Done(figures)) => {
            for output in &plan.outputs {
                let rows = &outputs[&output.name];
                let (found, wanted) = (world.read(&figures, &output.name).await, expected(rows, output.format));
                if found != wanted {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    return Err(format!("{}: expected\n{}\nfound\n{}", output.name, text(&wanted), text(&found)));
                }
                check_totals(&figures, &output.name, rows)?;
            }
            Ok(Some(figures))
        }
    }
}

fn check_totals(figures: &Figures, output: &str, rows: &OutputRows) -> Result<(), String> {
    let found = &figures.outputs.iter().find(|one| one.name == output).unwrap().totals;
    let mut wanted = BTreeMap::new();
    for (at, (name, kind)) in rows.columns.iter().enumerate() {
        if let Some(mut sum) = Sum::of(*kind) {
            rows.rows.iter().for_each(|row| sum.add(&row[at]));
            wanted.insert(name.clone(), sum.to_string());
        }
    }
    if *found == wanted { Ok(()) } else { Err(format!("{output}: totals are {found:?}, expected {wanted:?}")) }
}

fn law(plan: &Plan, data: &BTreeMap<String, Data>) -> Result<BTreeMap<String, OutputRows>, RunError> {
    let rows = |data: &Data| InputRows {
        columns: data.columns.iter().map(|(name, _)| name.clone()).collect(),
        objects: data.objects.clone(),
    };
    let inputs = data.iter().map(|(name, data)| (name.clone(), rows(data))).collect();
    reference::run(plan, &inputs, Arrival::Forwards)
}
