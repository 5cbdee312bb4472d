//! Parts of CSV.

use csv_core::{ReadRecordResult, Reader};
use reconcile::plan::PlanColumn;

use super::{Read, Tally};
use crate::error::JobError;

/// Rows as RFC 4180 has them, without a header.
pub(super) struct CsvRows<'c> {
    columns: &'c [PlanColumn],
    reader: Reader,
    cells: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    ended: usize,
    tally: Tally,
}

impl<'c> CsvRows<'c> {
    pub(super) fn new(columns: &'c [PlanColumn]) -> Self {
        let (cells, ends) = (vec![0; 64 * 1024], vec![0; columns.len() + 1]);
        Self { columns, reader: Reader::new(), cells, written: 0, ends, ended: 0, tally: Tally::of(columns) }
    }

    /// Reads on. Empty bytes are the end.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let at_end = bytes.is_empty();
        loop {
            let cells = self.cells.get_mut(self.written..).unwrap_or_default();
            let ends = self.ends.get_mut(self.ended..).unwrap_or_default();
            let (result, taken, written, ended) = self.reader.read_record(bytes, cells, ends);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.written += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty => return Ok(()),
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => return Err(self.at("it has too many cells")),
                ReadRecordResult::Record => {
                    self.row()?;
                    (self.written, self.ended) = (0, 0);
                }
                ReadRecordResult::End => return Ok(()),
            }
            if bytes.is_empty() && !at_end {
                return Ok(());
            }
        }
    }

    fn row(&mut self) -> Result<(), String> {
        self.tally.rows += 1;
        if self.ended != self.columns.len() {
            return Err(self.at(&format!("it has {} cells, not {}", self.ended, self.columns.len())));
        }
        let mut start = 0;
        for (index, column) in self.columns.iter().enumerate() {
            let end = self.ends.get(index).copied().unwrap_or(start);
            if column.kind.is_number() {
                let cell = std::str::from_utf8(self.cells.get(start..end).unwrap_or_default());
                let cell = cell.map_err(|_| format!("row {}: it is no UTF-8", self.tally.rows))?;
                let added = self.tally.add(index, column.kind, cell);
                added.map_err(|problem| format!("row {}, column {:?}: {problem}", self.tally.rows, column.name))?;
            }
            start = end;
        }
        Ok(())
    }

    fn at(&self, problem: &str) -> String {
        format!("row {}: {problem}", self.tally.rows.max(1))
    }
}

impl Read for CsvRows<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<Result<(), String>, JobError> {
        Ok(if bytes.is_empty() { Ok(()) } else { self.read(bytes) })
    }

    fn finish(mut self: Box<Self>) -> Result<Result<Tally, String>, JobError> {
        Ok(self.read(&[]).map(|()| self.tally))
    }
}
