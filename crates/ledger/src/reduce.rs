//! reducer: the events of one byte range → one object, a section for each partition.
//!
//! Nothing is summed here: that an event is a duplicate is only known when all ranges come together. Rejects are taken
//! away as they come, because all of a range can be, and take many times its memory.

use std::collections::BTreeMap;

use error_class::{Classified, ErrorClass};
use money::{AmountError, ControlTotals, Overflow};
use records::{
    AmountColumns, Dialect, Format, Header, HeaderError, Record, RecordReader, Reject, SchemaError, StructureError,
    Violation,
};

use crate::{
    compiled::Ledger,
    container::{Builder, Kind, Section},
    definition::{EventFormat, OnReject},
    event::{EventParser, rule},
    json_lines::{LineReader, Place},
    partition::{KeyHash, PartitionBits},
    reduced_section::SectionWriter,
    run::Origin,
    sequence::{BatchSequence, Interval},
    tally::Tally,
};

/// A range of whole records of one object of a batch.
#[derive(Debug, Clone, Copy)]
pub struct EventRange<'a> {
    /// Its bytes, unpacked.
    pub bytes: &'a [u8],
    /// Where they begin in the object, in bytes.
    pub offset: u64,
    /// The row of its first record.
    pub first_row: u64,
    /// The batch.
    pub batch: BatchSequence,
    /// The object's place in the batch's manifest, from 0.
    pub object: u32,
    /// When its events must have happened.
    pub interval: Interval,
}

/// What a range was reduced to.
#[derive(Debug)]
pub struct Reduced {
    /// The object to write.
    pub file: Vec<u8>,
    /// Its sections: the number of each is its partition. A partition without events has none.
    pub sections: Vec<Section>,
    /// All records that were read.
    pub totals_in: ControlTotals,
    /// The events in the file.
    pub totals_out: ControlTotals,
    /// How many records could not be taken, by the first rule that each breaks.
    pub rejected_by_rule: BTreeMap<String, u64>,
}

/// Why a range cannot be reduced.
#[derive(Debug, thiserror::Error)]
pub enum ReduceError {
    /// Its records cannot be told apart.
    #[error("the events of object {object} of batch {batch} cannot be read")]
    Structure {
        /// The batch.
        batch: BatchSequence,
        /// The object's place in the manifest.
        object: u32,
        /// What is wrong.
        #[source]
        source: StructureError,
    },
    /// Its columns are not those of the definition.
    #[error("the header of object {object} of batch {batch} does not fit the ledger definition")]
    Header {
        /// The batch.
        batch: BatchSequence,
        /// The object's place in the manifest.
        object: u32,
        /// What is wrong.
        #[source]
        source: HeaderError,
    },
    /// The definition's amount columns cannot be summed.
    #[error("the amount columns of the ledger definition cannot be summed")]
    Schema(#[from] SchemaError),
    /// An event cannot be taken, and the ledger's `onReject` is `refuse`.
    #[error("batch {batch}, object {object}, row {row}, at byte {offset}: {rule}: {message}")]
    Refused {
        /// The batch.
        batch: BatchSequence,
        /// The object's place in the manifest.
        object: u32,
        /// The row.
        row: u64,
        /// Where the record begins.
        offset: u64,
        /// The rule that it breaks.
        rule: String,
        /// What was expected.
        message: String,
    },
    /// A sum that cannot be held exactly.
    #[error(transparent)]
    Totals(#[from] Overflow),
    /// A sum that cannot be held exactly.
    #[error("the amounts of a batch cannot be summed")]
    Amounts(#[from] AmountError),
}

impl Classified for ReduceError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

/// Reduces a range whose rejects are only counted. `header` is that of the object; without one (JSON lines, CSV without a
/// header) the columns are the definition's, in order.
///
/// The same range has the same result, whatever else is reduced, before or at the same time.
pub fn reduce(
    ledger: &Ledger,
    header: Option<&Header>,
    range: &EventRange<'_>,
    bits: PartitionBits,
) -> Result<Reduced, ReduceError> {
    let mut reduction = Reduction::new(ledger, header, range, bits)?;
    while reduction.next_rejects()?.is_some() {}
    reduction.finish()
}

/// A range that is being reduced.
pub struct Reduction<'a> {
    range: EventRange<'a>,
    records: Records<'a>,
    taker: Taker<'a>,
}

/// The records that were not read yet.
enum Records<'a> {
    Csv(RecordReader<'a>),
    Json(LineReader<'a>, Format),
}

impl<'a> Reduction<'a> {
    /// Begins. `header` is as [`reduce`] has it.
    pub fn new(
        ledger: &'a Ledger,
        header: Option<&Header>,
        range: &EventRange<'a>,
        bits: PartitionBits,
    ) -> Result<Self, ReduceError> {
        let own = Header::of_schema(&ledger.schema);
        let at = (range.offset, range.first_row);
        let (records, header, format) = match ledger.definition().events.format {
            EventFormat::Csv => {
                let reader = RecordReader::new(range.bytes, &ledger.format, range.offset, range.first_row);
                (Records::Csv(reader), header.unwrap_or(&own), ledger.format)
            }
            EventFormat::JsonLines => {
                let (names, format) = (ledger.schema.names().collect(), json_format());
                let reader = LineReader::new(range.bytes, names, ledger.record_bytes_max(), at);
                (Records::Json(reader, format), &own, format)
            }
        };
        Ok(Self { range: *range, records, taker: Taker::new(ledger, header, &format, range, bits)? })
    }

    /// The next rejects, in the order of their rows, as soon as they are some megabytes; `None` once all records are read.
    pub fn next_rejects(&mut self) -> Result<Option<Vec<Reject>>, ReduceError> {
        let more = match &mut self.records {
            Records::Csv(reader) => loop {
                match reader.next_record().map_err(|source| structure(&self.range, source))? {
                    None => break false,
                    Some(record) => self.taker.take(&record, None)?,
                }
                if self.taker.rejects_bytes >= REJECTS_BYTES {
                    break true;
                }
            },
            Records::Json(lines, format) => loop {
                let Some(lines) = lines.next_lines(format) else { break false };
                for (place, fault) in lines.faults {
                    self.taker.refuse_line(&place, fault)?;
                }
                let mut reader = RecordReader::new(&lines.records, format, 0, 0);
                let mut places = lines.places.iter();
                while let Some(record) = reader.next_record().map_err(|source| structure(&self.range, source))? {
                    self.taker.take(&record, places.next())?;
                }
                if self.taker.rejects_bytes >= REJECTS_BYTES {
                    break true;
                }
            },
        };
        let rejects = self.taker.take_rejects();
        Ok((more || !rejects.is_empty()).then_some(rejects))
    }

    /// What the range was reduced to, once [`next_rejects`](Self::next_rejects) has answered `None`.
    pub fn finish(self) -> Result<Reduced, ReduceError> {
        self.taker.finish()
    }
}

/// Rejects are taken away when they take so many bytes of memory, or little more.
const REJECTS_BYTES: usize = 4 << 20;

fn structure(range: &EventRange<'_>, source: StructureError) -> ReduceError {
    ReduceError::Structure { batch: range.batch, object: range.object, source }
}

/// How lines of JSON are written as records in between: nothing that JSON can say is lost.
fn json_format() -> Format {
    let format = Format::new(&Dialect { header: false, ..Dialect::default() }, Default::default()).unwrap_or_default();
    // A line of the longest record is longer once its quotes are doubled.
    format.with_record_bytes_max(1 << 30).unwrap_or(format)
}

/// Takes records, or rejects them.
struct Taker<'l> {
    ledger: &'l Ledger,
    parser: EventParser<'l>,
    amounts: AmountColumns,
    bits: PartitionBits,
    origin: Origin,
    /// By partition.
    sections: Vec<SectionWriter>,
    tally: Tally,
    rejected: ControlTotals,
    rejects: Vec<Reject>,
    /// What they take of memory, nearly.
    rejects_bytes: usize,
    rejected_by_rule: BTreeMap<String, u64>,
}

impl<'l> Taker<'l> {
    fn new(
        ledger: &'l Ledger,
        header: &Header,
        format: &Format,
        range: &EventRange<'_>,
        bits: PartitionBits,
    ) -> Result<Self, ReduceError> {
        let parser = EventParser::new(ledger, header, format, range.interval)
            .map_err(|source| ReduceError::Header { batch: range.batch, object: range.object, source })?;
        let share = range.bytes.len() / bits.partitions() as usize;
        Ok(Self {
            ledger,
            parser,
            amounts: AmountColumns::new(&ledger.definition().amounts, &ledger.schema, header)?,
            bits,
            origin: Origin { batch: range.batch, object: range.object, row: 0 },
            sections: bits.iter().map(|_| SectionWriter::of_records(share)).collect(),
            tally: Tally::new(ledger),
            rejected: ControlTotals::default(),
            rejects: Vec::new(),
            rejects_bytes: 0,
            rejected_by_rule: BTreeMap::new(),
        })
    }

    /// Takes a record, or rejects it. `place` says where it comes from, where that is not what the record itself says.
    #[inline]
    fn take(&mut self, record: &Record<'_>, place: Option<&Place<'_>>) -> Result<(), ReduceError> {
        let row = place.map_or(record.row(), |place| place.row);
        let (sections, bits, mut partition) = (&mut self.sections, self.bits, 0);
        let parsed = self.parser.parse(record, Origin { row, ..self.origin }, |key| {
            partition = bits.partition(KeyHash::of(key.as_bytes())).get() as usize;
            sections.get_mut(partition).map(|section| section.begin(key.as_bytes()))
        });
        match parsed {
            Ok(()) => self.keep(partition),
            Err(violations) => {
                self.amounts.add(record, &mut self.rejected)?;
                let Some(mut reject) = Reject::new(record, &violations) else { return Ok(()) };
                if let Some(place) = place {
                    (reject.violation.row, reject.violation.byte_offset) = (place.row, place.offset);
                    reject.record = String::from_utf8_lossy(place.line).into_owned();
                }
                self.reject(reject)
            }
        }
    }

    /// Keeps the event that was written into a partition.
    fn keep(&mut self, partition: usize) -> Result<(), ReduceError> {
        if let Some(section) = self.sections.get_mut(partition) {
            section.end();
        }
        self.tally.add_event();
        for (column, currency, amount) in self.parser.amounts() {
            self.tally.add_amount(*column, *currency, *amount)?;
        }
        Ok(())
    }

    /// Rejects a line that is no record at all.
    fn refuse_line(&mut self, place: &Place<'_>, message: String) -> Result<(), ReduceError> {
        self.rejected.add_record()?;
        let violation = Violation {
            row: place.row,
            byte_offset: place.offset,
            column: None,
            value: String::new(),
            rule: rule::JSON.to_owned(),
            message,
        };
        self.reject(Reject { violation, record: String::from_utf8_lossy(place.line).into_owned() })
    }

    fn reject(&mut self, reject: Reject) -> Result<(), ReduceError> {
        if self.ledger.definition().on_reject == OnReject::Refuse {
            let Violation { row, byte_offset: offset, rule, message, .. } = reject.violation;
            let Origin { batch, object, .. } = self.origin;
            return Err(ReduceError::Refused { batch, object, row, offset, rule, message });
        }
        let Violation { value, rule, message, .. } = &reject.violation;
        match self.rejected_by_rule.get_mut(rule) {
            Some(count) => *count += 1,
            None => self.rejected_by_rule.extend([(rule.clone(), 1)]),
        }
        self.rejects_bytes += size_of::<Reject>() + value.len() + message.len() + reject.record.len();
        self.rejects.push(reject);
        Ok(())
    }

    /// The rejects since the last time.
    fn take_rejects(&mut self) -> Vec<Reject> {
        self.rejects_bytes = 0;
        let mut rejects = std::mem::take(&mut self.rejects);
        rejects.sort_by_key(|reject| reject.violation.row);
        rejects
    }

    fn finish(self) -> Result<Reduced, ReduceError> {
        let bytes = self.sections.iter().map(|section| section.bytes().len()).sum();
        let mut file = Builder::new(Kind::Reduced, bytes);
        for (number, section) in (0..).zip(self.sections).filter(|(_, section)| section.events() > 0) {
            file.body().extend_from_slice(section.bytes());
            file.end_section(number, section.events());
        }
        let (file, sections) = file.finish();
        let totals_out = self.tally.totals(self.ledger)?;
        let mut totals_in = totals_out.clone();
        totals_in.merge(&self.rejected)?;
        Ok(Reduced { file, sections, totals_in, totals_out, rejected_by_rule: self.rejected_by_rule })
    }
}
