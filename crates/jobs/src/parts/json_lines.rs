//! Parts of JSON lines.

use std::collections::BTreeMap;

use reconcile::plan::PlanColumn;
use serde_json::value::RawValue;

use super::{Read, Tally};
use crate::error::JobError;

/// A JSON object a line.
pub(super) struct JsonRows<'c> {
    columns: &'c [PlanColumn],
    line: Vec<u8>,
    tally: Tally,
}

impl<'c> JsonRows<'c> {
    pub(super) fn new(columns: &'c [PlanColumn]) -> Self {
        Self { columns, line: Vec::new(), tally: Tally::of(columns) }
    }

    fn row(&mut self) -> Result<(), String> {
        self.tally.rows += 1;
        let row = self.tally.rows;
        let cells: BTreeMap<String, &RawValue> =
            serde_json::from_slice(&self.line).map_err(|error| format!("row {row}: {error}"))?;
        if cells.len() != self.columns.len() {
            return Err(format!("row {row}: it has {} cells, not {}", cells.len(), self.columns.len()));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let wrong = |problem: &str| format!("row {row}, column {:?}: {problem}", column.name);
            let cell = cells.get(&column.name).ok_or_else(|| wrong("it is missing"))?.get();
            let cell = if cell == "null" { "" } else { cell.trim_matches('"') };
            self.tally.add(index, column.kind, cell).map_err(|problem| wrong(&problem))?;
        }
        self.line.clear();
        Ok(())
    }
}

impl Read for JsonRows<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<Result<(), String>, JobError> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', line)) => {
                    self.line.extend_from_slice(line);
                    if let Err(problem) = self.row() {
                        return Ok(Err(problem));
                    }
                }
                _ => self.line.extend_from_slice(piece),
            }
        }
        Ok(Ok(()))
    }

    fn finish(mut self: Box<Self>) -> Result<Result<Tally, String>, JobError> {
        if !self.line.is_empty()
            && let Err(problem) = self.row()
        {
            return Ok(Err(problem));
        }
        Ok(Ok(self.tally))
    }
}
