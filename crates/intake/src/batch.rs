//! The records of one range, between reading and writing: what is good waits for its reference rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use money::ControlTotals;
use records::{
    Accepted, Format, Record, RecordReader, Reject, RejectWriter, StructureError, VALUE_CHARS_MAX, Violation,
};

use crate::{
    chunk::RULE_REFERENCE,
    error::IntakeError,
    feed::{Enrichment, Missing},
    messages::Chunk,
    reference::{Row, is_key},
    shape::Shape,
};

/// The records of one range: the cells of those that keep the schema's rules, the rejects of those that do not.
pub(crate) struct Batch {
    accepted: Vec<Origin>,
    cells: Cells,
    rejects: Vec<Reject>,
}

/// Where an accepted record came from.
struct Origin {
    row: u64,
    /// From the beginning of the input.
    byte_offset: u64,
    bytes: usize,
}

/// Cells of records of equal width, one behind the other, so that a record costs no allocation.
struct Cells {
    text: String,
    ends: Vec<usize>,
    width: usize,
}

/// What a batch became.
pub(crate) struct Made {
    /// Output records, without header.
    pub(crate) part: Vec<u8>,
    /// Reject lines, without header, in row order.
    pub(crate) rejects: Vec<u8>,
    /// Records read.
    pub(crate) records_in: u64,
    /// Records in `rejects`.
    pub(crate) records_rejected: u64,
    /// The figures of the records in `part`, summed from the cells before they were written.
    pub(crate) totals: ControlTotals,
    /// How many records each rule rejected.
    pub(crate) rejected_by_rule: BTreeMap<String, u64>,
}

impl Cells {
    fn new(width: usize) -> Self {
        Self { text: String::new(), ends: Vec::new(), width }
    }

    fn push(&mut self, record: &Accepted<'_>) {
        for cell in record.cells() {
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
    }

    fn cell(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).copied();
        let start = index.checked_sub(1).map_or(Some(0), end);
        start.zip(end(index)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    fn record(&self, record: usize) -> impl Iterator<Item = &str> {
        (record * self.width..(record + 1) * self.width).map(|index| self.cell(index))
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &str> {
        (column..self.ends.len()).step_by(self.width.max(1)).map(|index| self.cell(index))
    }
}

impl Batch {
    /// Reads and checks the records of a range.
    pub(crate) fn read(bytes: &[u8], chunk: &Chunk, shape: &Shape) -> Result<Self, StructureError> {
        let mut reader = RecordReader::new(bytes, &shape.input, chunk.start, chunk.first_row);
        let width = shape.validator.schema().names().len();
        let mut batch = Self { accepted: Vec::new(), cells: Cells::new(width), rejects: Vec::new() };
        while let Some(record) = reader.next_record()? {
            match shape.validator.check(&record) {
                Ok(accepted) => {
                    batch.cells.push(&accepted);
                    batch.accepted.push(Origin::of(&record));
                }
                Err(violations) => batch.rejects.extend(Reject::new(&record, &violations)),
            }
        }
        Ok(batch)
    }

    /// The different values of a column that can be keys.
    pub(crate) fn keys(&self, column: usize) -> Vec<String> {
        let keys: BTreeSet<&str> = self.cells.column(column).filter(|key| is_key(key)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Brings the reference rows in and writes everything. `bytes` are those that were read, of `chunk`.
    pub(crate) fn write(
        mut self,
        bytes: &[u8],
        chunk: &Chunk,
        shape: &Shape,
        enrichment: Option<(&Enrichment, usize)>,
        rows: &HashMap<String, Row>,
    ) -> Result<Made, IntakeError> {
        let records_in = (self.accepted.len() + self.rejects.len()) as u64;
        let mut writer = shape.output.writer();
        let mut totals = ControlTotals::default();
        let mut cells: Vec<&str> = Vec::new();
        for (index, origin) in self.accepted.iter().enumerate() {
            cells.clear();
            cells.extend(self.cells.record(index));
            if let Some((enrichment, key_column)) = enrichment {
                let key = cells.get(key_column).copied().unwrap_or_default();
                let row = rows.get(key);
                if row.is_none() && enrichment.missing == Missing::Reject {
                    self.rejects.push(origin.unknown_key(bytes, chunk, &shape.input, enrichment, key));
                    continue;
                }
                let brought = |from: &String| row.and_then(|row| row.get(from)).map_or("", String::as_str);
                cells.extend(enrichment.columns.iter().map(|column| brought(&column.from)));
            }
            writer.write(cells.iter().copied());
            shape.output.amounts.add_cells(|column| cells.get(column).copied(), &mut totals)?;
        }

        self.rejects.sort_by_key(|reject| reject.violation.row);
        let mut rejects = RejectWriter::new();
        let mut rejected_by_rule = BTreeMap::new();
        for reject in &self.rejects {
            rejects.write(reject);
            *rejected_by_rule.entry(reject.violation.rule.clone()).or_default() += 1;
        }
        Ok(Made {
            part: writer.into_bytes(),
            rejects: rejects.into_bytes(),
            records_in,
            records_rejected: self.rejects.len() as u64,
            totals,
            rejected_by_rule,
        })
    }
}

impl Origin {
    fn of(record: &Record<'_>) -> Self {
        Self { row: record.row(), byte_offset: record.offset(), bytes: record.raw().len() }
    }

    fn unknown_key(&self, bytes: &[u8], chunk: &Chunk, format: &Format, enrichment: &Enrichment, key: &str) -> Reject {
        let start = usize::try_from(self.byte_offset - chunk.start).unwrap_or(usize::MAX);
        let raw = bytes.get(start..).and_then(|rest| rest.get(..self.bytes)).unwrap_or_default();
        let violation = Violation {
            row: self.row,
            byte_offset: self.byte_offset,
            column: Some(enrichment.key.clone()),
            value: key.chars().take(VALUE_CHARS_MAX).collect(),
            rule: RULE_REFERENCE.to_owned(),
            message: format!("the reference table {:?} has no row for this key", enrichment.table),
        };
        Reject { violation, record: format.decode(raw).0.into_owned() }
    }
}
