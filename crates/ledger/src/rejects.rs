//! The files that say which events could not be taken, and why. They stay, in the data bucket, and are written as they
//! come: all that a step reads can be at fault.

use records::{Reject, RejectWriter};
use serde_json::json;

use crate::{
    LedgerError,
    combine::EventConflict,
    commits::Written,
    event::rule,
    messages::RunInput,
    output::Output,
    run::Origin,
    workplace::{Workplace, attempt_place},
};

/// The records that a step could not take, as CSV with the columns of [`records::REJECT_COLUMNS`].
pub(crate) struct RejectFile {
    output: Output,
    begun: bool,
}

impl RejectFile {
    /// Writes the next rejects.
    pub(crate) async fn write(&mut self, rejects: &[Reject]) -> Result<(), LedgerError> {
        let mut writer = RejectWriter::new();
        if !self.begun && !rejects.is_empty() {
            writer.write_header();
            self.begun = true;
        }
        rejects.iter().for_each(|reject| writer.write(reject));
        self.output.write(writer.into_bytes()).await
    }

    /// Ends the file, as [`Output::end`] does.
    pub(crate) async fn end<T, E: From<LedgerError>>(self, outcome: Result<T, E>) -> Result<(T, Option<Written>), E> {
        self.output.end(outcome).await
    }
}

/// Conflicts whose lines are written at once.
const CONFLICTS_AT_ONCE: usize = 16_384;

impl Workplace {
    /// A file for the records that a step cannot take.
    pub(crate) fn reject_file(&self, run: &RunInput, step: &str) -> RejectFile {
        let at = self.data(format!("{}.csv", attempt_place(run, &format!("rejects/{step}"))));
        RejectFile { output: Output::new(&self.objects, at, "text/csv; charset=utf-8"), begun: false }
    }

    /// Writes the events that have the id of an earlier one and different content, as JSON lines: `rule`, `key`,
    /// `event_id`, the place (`batch`, `object`, `row`), and the place of the event that was `kept` where that is known.
    pub(crate) async fn put_conflicts(
        &self,
        run: &RunInput,
        step: &str,
        conflicts: &[EventConflict],
    ) -> Result<Option<Written>, LedgerError> {
        let at = self.data(format!("{}.jsonl", attempt_place(run, &format!("rejects/{step}"))));
        let mut output = Output::new(&self.objects, at, "application/jsonl");
        let mut written = Ok(());
        for conflicts in conflicts.chunks(CONFLICTS_AT_ONCE) {
            written = output.write(conflict_lines(conflicts)).await;
            if written.is_err() {
                break;
            }
        }
        output.end(written).await.map(|((), written)| written)
    }
}

fn conflict_lines(conflicts: &[EventConflict]) -> Vec<u8> {
    let mut lines = Vec::new();
    for EventConflict { key, event_id, rejected: Origin { batch, object, row }, kept } in conflicts {
        let kept = kept.map(|Origin { batch, object, row }| json!({ "batch": batch, "object": object, "row": row }));
        let line = json!({
            "rule": rule::EVENT_CONFLICT,
            "key": &**key,
            "event_id": event_id,
            "batch": batch,
            "object": object,
            "row": row,
            "kept": kept,
        });
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines
}
