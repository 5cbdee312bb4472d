//! Attempts at steps, as they are shown.

use ledger::steps::{Figures, STEPS, StepRecord, StepStatus};
use report::text;
use serde_json::Value;

use crate::{
    ledgers::view::{failure, short},
    output::columns,
};

/// Puts attempts at steps in the order in which they happen.
pub(crate) fn in_order(steps: &mut [StepRecord]) {
    let place = |step: &StepRecord| STEPS.iter().position(|name| *name == step.step);
    steps.sort_by_key(|step| (step.attempt, place(step)));
}

/// Attempts at steps, a line each.
pub(super) fn table(steps: &[StepRecord]) -> String {
    let header = ["step", "attempt", "status", "started", "duration", "figures"].map(str::to_owned).to_vec();
    let rows = steps.iter().map(|step| {
        let duration = step.started_at.zip(step.ended_at).map(|(from, to)| text::duration(from, to));
        vec![
            step.step.clone(),
            step.step_attempt.to_string(),
            step_status(step.status).to_owned(),
            step.started_at.map(short).unwrap_or_default(),
            duration.unwrap_or_default(),
            step.failure.as_ref().map_or_else(|| figures(&step.figures), failure),
        ]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[1, 4])
}

pub(crate) fn step_status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Running => "running",
        StepStatus::Done => "done",
        StepStatus::Failed => "failed",
    }
}

/// The plain figures of a step: `events 12, artifacts 3`.
pub(crate) fn figures(figures: &Figures) -> String {
    let plain = figures.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), text::count),
            Value::String(said) => text::visible(said, 100),
            _ => return None,
        };
        Some(format!("{} {value}", name.replace('_', " ")))
    });
    plain.collect::<Vec<_>>().join(", ")
}
