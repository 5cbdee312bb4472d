//! Random jobs, and every operation's cases, written in many ways: the cells, or the place of the failure, are the reference's.

use std::{fs, path::Path, sync::Arc};

use reconcile::{
    Format,
    report::{Failure, Figures, Outcome},
    task::Task,
};
use reconcile_engine::{Limits, run};
use records::RecordReader;
use serde_json::Value as Json;
use storage::{
    Location, Objects,
    memory::{ManualClock, MemoryObjects},
    objects::{PutOptions, read_all},
};
use tests::jobs::{Example, write};

/// Rows of a batch, so that even small inputs of CSV and Parquet are several; JSON lines are a batch an object.
const FEW: usize = 3;

/// Runs the task of that name in a folder as `tests::jobs::write` makes it. What is wrong, if it does not do what it should.
async fn check(folder: &Path, name: &str, limits: &Limits) -> Result<(), String> {
    let text = |kind: &str| fs::read_to_string(folder.join(kind).join(format!("{name}.json"))).unwrap();
    let mut task: Task = serde_json::from_str(&text("tasks")).unwrap();
    let expected: Json = serde_json::from_str(&text("expected")).unwrap();
    // Cells are compared as text.
    task.plan.outputs.iter_mut().for_each(|output| output.format = Format::Csv);
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::new(clock));
    for object in task.inputs.values_mut().flat_map(|input| &mut input.objects) {
        let body = fs::read(folder.join("data").join(&object.key)).unwrap();
        let at = Location::new(&object.bucket, &object.key);
        let info = objects.put(&at, body.into(), PutOptions::default()).await.unwrap().written().unwrap();
        object.etag = info.etag;
    }
    let report = run(&task, Arc::clone(&objects), limits).await.map_err(|error| error_class::chain(&error))?;
    match (report.outcome, expected.get("outputs")) {
        (Outcome::Done(figures), Some(outputs)) => {
            for output in outputs.as_object().unwrap() {
                compare(&*objects, &task, &figures, output).await?;
            }
            Ok(())
        }
        (Outcome::Done(_), None) => Err(format!("should fail: {expected}")),
        (Outcome::Failed { failure }, Some(_)) => Err(format!("fails: {failure:?}")),
        // A step behind may come to a row that fails it before those that fail earlier steps have arrived.
        (Outcome::Failed { failure }, None) if limits.batch_rows == FEW => match failure.step {
            Some(_) => Ok(()),
            None => Err(format!("fails in no step: {failure:?}")),
        },
        (Outcome::Failed { failure }, None) => told(&failure, &expected["failures"]),
    }
}

/// An engine may come to any of several failures first.
fn told(failure: &Failure, places: &Json) -> Result<(), String> {
    let is = |place: &&Json| {
        place["step"].as_str() == failure.step.as_deref()
            && place["operation"].as_str() == failure.operation.as_deref()
            && place["column"].as_str() == failure.column.as_deref()
    };
    let found = places.as_array().unwrap().iter().find(is);
    found.map(|_| ()).ok_or_else(|| format!("fails elsewhere: {failure:?}, expected one of {places}"))
}

async fn compare(
    objects: &dyn Objects,
    task: &Task,
    figures: &Figures,
    (name, expected): (&String, &Json),
) -> Result<(), String> {
    let output = figures.outputs.iter().find(|output| output.name == *name).unwrap();
    let mut found = Vec::new();
    for part in &output.parts {
        let at = Location::new(&task.output.bucket, &part.key);
        let body = read_all(objects.read(&at, None, None).await.unwrap(), &at, 1 << 30).await.unwrap();
        let mut reader = RecordReader::new(&body, &records::Format::default(), 0, 1);
        while let Some(record) = reader.next_record().unwrap() {
            let cell = |text: &str| if text.is_empty() { Json::Null } else { Json::from(text) };
            found.push(Json::from(record.fields().map(cell).collect::<Vec<_>>()));
        }
    }
    let mut wanted = expected["rows"].as_array().unwrap().clone();
    if expected["ordered"].as_bool() == Some(false) {
        [&mut found, &mut wanted].into_iter().for_each(|rows| rows.sort_by_key(ToString::to_string));
    }
    if found == wanted && output.rows == wanted.len() as u64 {
        return Ok(());
    }
    let rows = |rows: &[Json]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    Err(format!("{name}: expected\n{}found\n{}", rows(&wanted), rows(&found)))
}

/// With an object's rows in one batch, and in several.
async fn check_all(examples: Vec<Example>) {
    let one = Limits { threads: 3, part_bytes: 500, ..Limits::new(64 << 20, 1 << 30) };
    let several = Limits { threads: 2, batch_rows: FEW, ..Limits::new(2 << 30, 1 << 30) };
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for example in &examples {
        write(example, folder.path()).unwrap();
        for limits in [&one, &several] {
            if let Err(problem) = check(folder.path(), &example.name, limits).await {
                wrong.push(format!("{}, batches of {}: {problem}", example.name, limits.batch_rows));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} jobs\n\n{}", wrong.len(), examples.len(), wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_jobs_are_as_the_reference_has_them() {
    check_all((1..=1000).map(Example::random).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_are_as_the_reference_has_them_however_their_data_is_written() {
    check_all(Example::cases()).await;
}
