//! The files that say which events could not be taken, and why. They stay, in the data bucket.

use records::{Reject, RejectWriter};
use serde_json::json;

use crate::{
    LedgerError,
    combine::EventConflict,
    commits::Written,
    event::rule,
    messages::RunInput,
    run::Origin,
    workplace::{Workplace, attempt_place},
};

impl Workplace {
    /// Writes the records that a step could not take, as CSV with the columns of [`records::REJECT_COLUMNS`].
    pub(crate) async fn put_rejects(
        &self,
        run: &RunInput,
        step: &str,
        rejects: &[Reject],
    ) -> Result<Option<Written>, LedgerError> {
        if rejects.is_empty() {
            return Ok(None);
        }
        let mut writer = RejectWriter::new();
        writer.write_header();
        rejects.iter().for_each(|reject| writer.write(reject));
        let at = self.data(format!("{}.csv", attempt_place(run, &format!("rejects/{step}"))));
        self.put(&at, writer.into_bytes(), "text/csv; charset=utf-8").await.map(Some)
    }

    /// Writes the events that have the id of an earlier one and different content, as JSON lines: `rule`, `key`,
    /// `event_id`, the place (`batch`, `object`, `row`), and the place of the event that was `kept` where that is known.
    pub(crate) async fn put_conflicts(
        &self,
        run: &RunInput,
        step: &str,
        conflicts: &[EventConflict],
    ) -> Result<Option<Written>, LedgerError> {
        if conflicts.is_empty() {
            return Ok(None);
        }
        let mut lines = Vec::new();
        for EventConflict { key, event_id, rejected: Origin { batch, object, row }, kept } in conflicts {
            let kept =
                kept.map(|Origin { batch, object, row }| json!({ "batch": batch, "object": object, "row": row }));
            let line = json!({
                "rule": rule::EVENT_CONFLICT,
                "key": key,
                "event_id": event_id,
                "batch": batch,
                "object": object,
                "row": row,
                "kept": kept,
            });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
        }
        let at = self.data(format!("{}.jsonl", attempt_place(run, &format!("rejects/{step}"))));
        self.put(&at, lines, "application/jsonl").await.map(Some)
    }
}
