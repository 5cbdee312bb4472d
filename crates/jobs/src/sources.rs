//! Whether an engine has read its inputs whole: as many bytes of each object as were pinned when the job was planned.

use std::collections::BTreeMap;

use reconcile::{
    plan::Body,
    report::InputFigures,
    task::{Task, TaskFormat, TaskInput},
};

use crate::error::JobError;

/// Holds what was read against what the task names. Of Parquet no more is read than is needed, and nothing can be said.
pub(crate) fn read_whole(task: &Task, figures: &BTreeMap<String, InputFigures>) -> Result<(), JobError> {
    for relation in &task.plan.relations {
        let Body::Read { input: name } = &relation.body else { continue };
        let Some(input) = task.inputs.get(name) else { continue };
        let difference = match figures.get(name) {
            None => Err((None, "the engine does not say what it has read of it".to_owned())),
            Some(_) if input.format == TaskFormat::Parquet => Ok(()),
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
