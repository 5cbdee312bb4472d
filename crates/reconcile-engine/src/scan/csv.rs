//! CSV: chunks of whole records, and their cells.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use datafusion_common::Result;
use futures::TryStreamExt;
use reconcile::{
    plan::PlanColumn,
    task::{Csv, TaskObject},
};
use records::{ByteRange, ChunkSize, Format, Header, RecordRange, RecordReader, SplitPlan, Splitter};
use storage::Location;
use tokio::sync::mpsc;

use super::{
    Chunk, Numbers, Read, Reading,
    builders::{Builder, Spelling},
};
use crate::fault::unsound;

/// Records of one object.
pub(super) struct Rows {
    object: usize,
    layout: Arc<Layout>,
    bytes: Bytes,
    range: RecordRange,
    taken: bool,
}

/// Where the columns that are read stand in a record, and how their cells are written.
struct Layout {
    format: Format,
    fields: usize,
    columns: Vec<(usize, Spelling)>,
    /// Texts that stand for a blank, but for no text.
    missing: Vec<String>,
}

/// Cuts one object.
struct Cutter<'r> {
    reading: &'r Reading,
    object: &'r TaskObject,
    index: usize,
    csv: &'r Csv,
    format: Format,
    splitter: Splitter,
    layout: Option<Arc<Layout>>,
    /// The bytes from `offset` on that no chunk has yet.
    held: BytesMut,
    offset: u64,
}

/// Sends the chunks of an object.
pub(super) async fn send(
    reading: &Reading,
    index: usize,
    object: &TaskObject,
    at: &Location,
    sender: &mpsc::Sender<Result<Chunk>>,
) -> Result<()> {
    let csv = reading.input.csv.as_ref().ok_or_else(|| unsound("an input of CSV has no description"))?;
    let format = csv.format().map_err(|error| reading.failure(object, None, None, error.to_string()))?;
    let plan = SplitPlan {
        chunk: ChunkSize::ByRecords(reading.source.batch_rows as u64),
        chunk_bytes_max: reading.source.chunk_bytes,
        chunks_max: u64::MAX,
    };
    let (splitter, held) = (Splitter::new(&format, plan), BytesMut::new());
    let mut cutter = Cutter { reading, object, index, csv, format, splitter, layout: None, held, offset: 0 };
    let mut blocks = std::pin::pin!(reading.blocks(object, at));
    while let Some(block) = blocks.try_next().await? {
        for rows in cutter.push(&block)? {
            if sender.send(Ok(Chunk::Csv(rows))).await.is_err() {
                return Ok(());
            }
        }
    }
    for rows in cutter.finish()? {
        if sender.send(Ok(Chunk::Csv(rows))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Cutter<'_> {
    fn push(&mut self, block: &Bytes) -> Result<Vec<Rows>> {
        self.splitter.push(block).map_err(|error| self.reading.uncut(self.object, &error))?;
        self.held.extend_from_slice(block);
        let ranges = self.splitter.closed();
        let header = self.splitter.header();
        self.rows(header, ranges)
    }

    fn finish(&mut self) -> Result<Vec<Rows>> {
        let plan = SplitPlan { chunk: ChunkSize::ByRecords(1), chunk_bytes_max: 1, chunks_max: 1 };
        let splitter = std::mem::replace(&mut self.splitter, Splitter::new(&self.format, plan));
        let split = splitter.finish().map_err(|error| self.reading.uncut(self.object, &error))?;
        if split.header.is_none() && self.format.has_header() {
            let problem = records::HeaderError::Absent.to_string();
            return Err(self.reading.failure(self.object, None, None, problem));
        }
        let rows = self.rows(split.header, split.ranges)?;
        if self.layout.is_none() {
            // A header without rows must be the right one, too.
            self.layout(split.header)?;
        }
        self.reading.taken.add_bytes(self.index, self.held.len());
        Ok(rows)
    }

    fn rows(&mut self, header: Option<ByteRange>, ranges: Vec<RecordRange>) -> Result<Vec<Rows>> {
        let (mut rows, object) = (Vec::with_capacity(ranges.len()), self.index);
        for range in ranges {
            let layout = self.layout(header)?;
            let before = self.take(range.start);
            self.reading.taken.add_bytes(object, before.len());
            let bytes = self.take(range.end);
            rows.push(Rows { object, layout, bytes, range, taken: false });
        }
        Ok(rows)
    }

    /// The held bytes up to that offset.
    fn take(&mut self, end: u64) -> Bytes {
        let length = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX).min(self.held.len());
        self.offset += length as u64;
        self.held.split_to(length).freeze()
    }

    fn layout(&mut self, header: Option<ByteRange>) -> Result<Arc<Layout>> {
        if let Some(layout) = &self.layout {
            return Ok(Arc::clone(layout));
        }
        let layout = match header.filter(|_| self.format.has_header()) {
            Some(range) => {
                let before = self.take(range.start);
                let bytes = self.take(range.end);
                self.reading.taken.add_bytes(self.index, before.len() + bytes.len());
                Layout::with_header(self.reading, self.csv, self.format, &bytes)
            }
            None => Layout::without_header(self.reading, self.csv, self.format),
        };
        let layout = layout.map_err(|problem| self.reading.failure(self.object, None, None, problem))?;
        let layout = Arc::new(layout);
        self.layout = Some(Arc::clone(&layout));
        Ok(layout)
    }
}

impl Layout {
    fn with_header(reading: &Reading, csv: &Csv, format: Format, bytes: &[u8]) -> Result<Self, String> {
        let header = Header::parse(bytes, &format).map_err(|error| error_class::chain(&error))?;
        let names: Vec<&str> = csv.columns.iter().map(|column| column.name.as_str()).collect();
        let positions = header.match_names(&names, csv.fields_match).map_err(|error| error.to_string())?;
        Self::new(reading, csv, format, &positions, header.names().len())
    }

    fn without_header(reading: &Reading, csv: &Csv, format: Format) -> Result<Self, String> {
        let positions: Vec<usize> = (0..csv.columns.len()).collect();
        Self::new(reading, csv, format, &positions, csv.columns.len())
    }

    fn new(reading: &Reading, csv: &Csv, format: Format, positions: &[usize], fields: usize) -> Result<Self, String> {
        let column = |wanted: &PlanColumn| {
            let mut described = csv.columns.iter().zip(positions);
            let found = described.find(|(column, _)| column.name == wanted.name);
            let (column, position) = found.ok_or_else(|| format!("column {:?} is not described", wanted.name))?;
            Ok((*position, Spelling::of(column, wanted.kind)?))
        };
        let columns = reading.columns.iter().map(column).collect::<Result<_, String>>()?;
        let missing = csv.missing_values.iter().filter(|text| !text.is_empty()).cloned().collect();
        Ok(Self { format, fields, columns, missing })
    }
}

impl Rows {
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.object, self.bytes.len())
    }

    /// The rows, once.
    pub(super) fn next(&mut self, reading: &Reading) -> Result<Option<Read>> {
        if std::mem::replace(&mut self.taken, true) {
            return Ok(None);
        }
        let expected = usize::try_from(self.range.records).unwrap_or_default();
        let mut builders: Vec<Builder> =
            reading.columns.iter().map(|column| Builder::new(column.kind, expected)).collect();
        let unknown = || unsound("an object is not there");
        let object = reading.input.objects.get(self.object).ok_or_else(unknown)?;
        let failure = |row: u64, problem: String| reading.failure(object, Some(row), None, problem);
        let layout = &self.layout;
        let mut reader = RecordReader::new(&self.bytes, &layout.format, self.range.start, self.range.first_row);
        let mut rows = 0;
        loop {
            let record = reader.next_record().map_err(|error| reading.uncut(object, &error))?;
            let Some(record) = record else { break };
            if let Some(fault) = record.fault() {
                return Err(failure(record.row(), fault.describe(&layout.format)));
            }
            if record.field_count() != layout.fields {
                let problem = format!("expected {} fields, found {}", layout.fields, record.field_count());
                return Err(failure(record.row(), problem));
            }
            for (((position, spelling), builder), column) in
                layout.columns.iter().zip(&mut builders).zip(&reading.columns)
            {
                let cell = record.get(*position).unwrap_or_default();
                if cell.is_empty() || layout.missing.iter().any(|missing| missing == cell) {
                    builder.append_blank();
                } else if builder.append(cell, spelling).is_none() {
                    let expected = spelling.expected(column.kind);
                    return Err(reading.misfit(self.object, record.row(), column, cell, &expected));
                }
            }
            rows += 1;
        }
        let columns = builders.into_iter().map(Builder::finish).collect();
        let numbers = Numbers::From(i64::try_from(self.range.first_row).unwrap_or(i64::MAX));
        Ok(Some(Read { columns, rows, object: self.object, numbers }))
    }
}
