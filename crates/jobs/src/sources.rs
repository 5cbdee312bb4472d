//! Whether an engine has read its inputs whole: as many bytes of each object as were pinned when the job was planned, and of
//! Parquet, of which no more is read than is needed, as many rows as the footers name.

use std::collections::BTreeMap;

use reconcile::{
    plan::Body,
    report::InputFigures,
    task::{Task, TaskFormat, TaskInput},
};

use crate::error::JobError;

/// Holds what was read against what the task names.
pub(crate) fn read_whole(task: &Task, figures: &BTreeMap<String, InputFigures>) -> Result<(), JobError> {
    for relation in &task.plan.relations {
        let Body::Read { input: name } = &relation.body else { continue };
        let Some(input) = task.inputs.get(name) else { continue };
        let difference = match figures.get(name) {
            None => Err((None, "the engine does not say what it has read of it".to_owned())),
            Some(read) if input.format == TaskFormat::Parquet => of_footers(input, read),
            Some(read) => same(input, read),
        };
        difference.map_err(|(object, difference)| JobError::NotReadWhole {
            input: name.clone(),
            object,
            difference,
        })?;
    }
    Ok(())
}

fn of_footers(input: &TaskInput, read: &InputFigures) -> Result<(), (Option<String>, String)> {
    let Some(rows) = input.rows.filter(|rows| *rows != read.rows) else { return Ok(()) };
    Err((None, format!("its footers name {rows} rows, the engine has read {}", read.rows)))
}

/// The error names the object, and what is different. An engine that cannot tell objects apart says what it has read of all.
fn same(input: &TaskInput, read: &InputFigures) -> Result<(), (Option<String>, String)> {
    if read.objects.is_empty() {
        let bytes: u64 = input.objects.iter().map(|object| object.bytes).sum();
        let difference = || (None, format!("it has {bytes} bytes, the engine has read {}", read.bytes));
        return (bytes == read.bytes).then_some(()).ok_or_else(difference);
    }
    let mut objects = read.objects.iter();
    for pinned in &input.objects {
        let wrong = |difference: String| Err((Some(pinned.key.clone()), difference));
        let Some(found) = objects.next().filter(|found| found.key == pinned.key) else {
            return wrong("the engine does not say what it has read of it".to_owned());
        };
        if found.bytes != pinned.bytes {
            return wrong(format!("it has {} bytes, the engine has read {}", pinned.bytes, found.bytes));
        }
    }
    if let Some(more) = objects.next() {
        return Err((Some(more.key.clone()), "the engine has read it, and the task does not name it".to_owned()));
    }
    let rows: u64 = read.objects.iter().map(|object| object.rows).sum();
    if rows != read.rows {
        return Err((None, format!("its objects have {rows} rows, and {} went on", read.rows)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_parquet_are_those_of_its_footers() {
        let read = InputFigures { rows: 2, ..InputFigures::default() };
        for (rows, is_whole) in [(None, true), (Some(2), true), (Some(3), false)] {
            let input = TaskInput { rows, ..TaskInput::new(TaskFormat::Parquet, None, Vec::new()) };
            assert_eq!(of_footers(&input, &read).is_ok(), is_whole, "{rows:?}");
        }
    }
}
