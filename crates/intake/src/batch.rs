//! Some records of a range, between reading and writing: what is good waits for its reference rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use money::ControlTotals;
use records::{
    Accepted, Format, Record, RecordReader, Reject, RejectWriter, StructureError, VALUE_CHARS_MAX, Violation, Writer,
};

use crate::{
    chunk::RULE_REFERENCE,
    error::IntakeError,
    feed::{Enrichment, Missing},
    messages::Chunk,
    reference::{Row, is_key},
    shape::Shape,
};

/// How many bytes of input a batch is read from: what it holds besides, cells, keys and reference rows, is many times
/// that, and must fit a function of whatever chunk.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Records as they are read: the cells of those that keep the schema's rules, the rejects of those that do not.
#[derive(Default)]
pub(crate) struct Batch {
    accepted: Vec<Origin>,
    cells: Cells,
    rejects: Vec<Reject>,
    totals_read: ControlTotals,
    totals_rejected: ControlTotals,
}

/// Where an accepted record came from.
struct Origin {
    row: u64,
    /// From the beginning of the input.
    byte_offset: u64,
    bytes: usize,
}

/// Cells of records of equal width, one behind the other, so that a record costs no allocation.
#[derive(Default)]
struct Cells {
    text: String,
    ends: Vec<usize>,
    width: usize,
}

/// What a range becomes, batch by batch.
pub(crate) struct Made {
    /// Output records, without header.
    pub(crate) part: Writer,
    /// Reject lines, without header, in row order.
    pub(crate) rejects: RejectWriter,
    /// Records read.
    pub(crate) records_in: u64,
    /// Records in `rejects`.
    pub(crate) records_rejected: u64,
    /// The figures of the records in `part`, summed from the cells before they were written.
    pub(crate) totals: ControlTotals,
    /// The figures of all records read, by the input's own amount columns.
    pub(crate) totals_read: ControlTotals,
    /// The same of the records in `rejects`.
    pub(crate) totals_rejected: ControlTotals,
    /// How many records each rule rejected.
    pub(crate) rejected_by_rule: BTreeMap<String, u64>,
}

impl Cells {
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
    /// Reads and checks the next records of a range; `None` when there are no more.
    pub(crate) fn read(
        reader: &mut RecordReader<'_>,
        chunk: &Chunk,
        shape: &Shape,
    ) -> Result<Option<Self>, IntakeError> {
        let mut batch = Self::default();
        batch.cells.width = shape.validator.schema().names().len();
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let record = reader.next_record().map_err(|error| unlike_the_splitter(chunk, &error))?;
            let Some(record) = record else { break };
            bytes += record.raw().len() + 1;
            let too_large = |source| IntakeError::Amount { row: record.row(), source };
            shape.read_amounts.add(&record, &mut batch.totals_read).map_err(too_large)?;
            match shape.validator.check(&record) {
                Ok(accepted) => {
                    batch.cells.push(&accepted);
                    batch.accepted.push(Origin::of(&record));
                }
                Err(violations) => {
                    batch.rejects.extend(Reject::new(&record, &violations));
                    shape.read_amounts.add(&record, &mut batch.totals_rejected).map_err(too_large)?;
                }
            }
        }
        Ok((bytes > 0).then_some(batch))
    }

    /// The different values of a column that can be keys.
    pub(crate) fn keys(&self, column: usize) -> Vec<String> {
        let keys: BTreeSet<&str> = self.cells.column(column).filter(|key| is_key(key)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Brings the reference rows in and adds everything to what was made before. `bytes` are those of `chunk`.
    pub(crate) fn write(
        mut self,
        bytes: &[u8],
        chunk: &Chunk,
        shape: &Shape,
        enrichment: Option<(&Enrichment, usize)>,
        rows: &HashMap<String, Row>,
        made: &mut Made,
    ) -> Result<(), IntakeError> {
        made.records_in += (self.accepted.len() + self.rejects.len()) as u64;
        let mut cells: Vec<&str> = Vec::new();
        for (index, origin) in self.accepted.iter().enumerate() {
            cells.clear();
            cells.extend(self.cells.record(index));
            let mut wrong = None;
            if let Some((enrichment, key_column)) = enrichment {
                let key = cells.get(key_column).copied().unwrap_or_default();
                if let Err(lacking) = bring(enrichment, rows.get(key), &mut cells)
                    && enrichment.missing == Missing::Reject
                {
                    wrong = Some((RULE_REFERENCE, enrichment.key.as_str(), key, lacking.message(enrichment)));
                }
            }
            let too_large = |source| IntakeError::Amount { row: origin.row, source };
            let cell = |column: usize| cells.get(column).copied();
            let wrong = wrong.or_else(|| shape.output.unknown_currency(cell));
            let Some(wrong) = wrong else {
                made.part.write(cells.iter().copied());
                shape.output.amounts.add_cells(cell, &mut made.totals).map_err(too_large)?;
                continue;
            };
            self.rejects.push(origin.reject(bytes, chunk, &shape.input, wrong));
            shape.kept_amounts.add_cells(cell, &mut self.totals_rejected).map_err(too_large)?;
        }

        made.totals_read.merge(&self.totals_read)?;
        made.totals_rejected.merge(&self.totals_rejected)?;
        self.rejects.sort_by_key(|reject| reject.violation.row);
        made.records_rejected += self.rejects.len() as u64;
        for reject in &self.rejects {
            made.rejects.write(reject);
            *made.rejected_by_rule.entry(reject.violation.rule.clone()).or_default() += 1;
        }
        Ok(())
    }
}

impl Made {
    /// Nothing yet.
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            part: shape.output.writer(),
            rejects: RejectWriter::new(),
            records_in: 0,
            records_rejected: 0,
            totals: ControlTotals::default(),
            totals_read: ControlTotals::default(),
            totals_rejected: ControlTotals::default(),
            rejected_by_rule: BTreeMap::new(),
        }
    }
}

/// A rule that a record breaks, the column, the value there, and what was expected.
pub(crate) type Wrong<'c> = (&'static str, &'c str, &'c str, String);

/// What the reference table lacks for a record.
enum Lacking<'e> {
    Row,
    Column(&'e str),
}

impl Lacking<'_> {
    fn message(&self, enrichment: &Enrichment) -> String {
        let table = &enrichment.table;
        match self {
            Self::Row => format!("the reference table {table:?} has no row for this key"),
            Self::Column(column) => format!("the row for this key in the reference table {table:?} has no {column:?}"),
        }
    }
}

/// Adds the columns of a reference row to a record's cells. What the table lacks becomes an empty cell.
fn bring<'r, 'e>(
    enrichment: &'e Enrichment,
    row: Option<&'r Row>,
    cells: &mut Vec<&'r str>,
) -> Result<(), Lacking<'e>> {
    let mut brought = if row.is_some() { Ok(()) } else { Err(Lacking::Row) };
    for column in &enrichment.columns {
        let cell = row.and_then(|row| row.get(&column.from));
        if cell.is_none() && brought.is_ok() {
            brought = Err(Lacking::Column(&column.from));
        }
        cells.push(cell.map_or("", String::as_str));
    }
    brought
}

impl Origin {
    fn of(record: &Record<'_>) -> Self {
        Self { row: record.row(), byte_offset: record.offset(), bytes: record.raw().len() }
    }

    /// The reject of a record that keeps its schema, for a rule of this pipeline's own.
    fn reject(&self, bytes: &[u8], chunk: &Chunk, format: &Format, wrong: Wrong<'_>) -> Reject {
        let start = usize::try_from(self.byte_offset - chunk.start).unwrap_or(usize::MAX);
        let raw = bytes.get(start..).and_then(|rest| rest.get(..self.bytes)).unwrap_or_default();
        let (rule, column, value, message) = wrong;
        let violation = Violation {
            row: self.row,
            byte_offset: self.byte_offset,
            column: Some(column.to_owned()),
            value: value.chars().take(VALUE_CHARS_MAX).collect(),
            rule: rule.to_owned(),
            message,
        };
        Reject { violation, record: format.decode(raw).0.into_owned() }
    }
}

/// The splitter has read these bytes to their end: if they cannot be read now, two readings disagree.
fn unlike_the_splitter(chunk: &Chunk, error: &StructureError) -> IntakeError {
    IntakeError::ControlTotalMismatch {
        boundary: format!("splitter → chunk-processor, chunk {}", chunk.index),
        difference: error.to_string(),
    }
}
