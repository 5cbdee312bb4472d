//! reducer: the events of one byte range → one object, a section for each partition, sorted by artifact key.
//!
//! Nothing is summed here: that an event is a duplicate is only known when all ranges come together.

use std::collections::BTreeMap;

use error_class::{Classified, ErrorClass};
use money::{AmountError, ControlTotals, Overflow};
use records::{
    AmountColumns, Dialect, Format, Header, HeaderError, Record, RecordReader, Reject, SchemaError, StructureError,
    Violation,
};

use crate::{
    codec::put_bytes,
    compiled::Ledger,
    container::{Builder, Kind, Section},
    definition::{EventFormat, OnReject},
    event::{EventParser, rule},
    json_lines::{self, Place},
    partition::{KeyHash, PartitionBits},
    run::{Origin, put_group},
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
    /// The records that could not be taken, in the order of their rows.
    pub rejects: Vec<Reject>,
    /// How many, by the first rule that each breaks.
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

/// Reduces a range. `header` is that of the object; without one (JSON lines, CSV without a header) the columns are the
/// definition's, in order.
///
/// The same range has the same result, whatever else is reduced, before or at the same time.
pub fn reduce(
    ledger: &Ledger,
    header: Option<&Header>,
    range: &EventRange<'_>,
    bits: PartitionBits,
) -> Result<Reduced, ReduceError> {
    let own = Header::of_schema(&ledger.schema);
    let header = header.unwrap_or(&own);
    match ledger.definition().events.format {
        EventFormat::Csv => {
            let mut reduction = Reduction::new(ledger, header, &ledger.format, range, bits)?;
            let mut reader = RecordReader::new(range.bytes, &ledger.format, range.offset, range.first_row);
            while let Some(record) = reader.next_record().map_err(|source| structure(range, source))? {
                reduction.take(&record, None)?;
            }
            reduction.finish()
        }
        EventFormat::JsonLines => {
            let format = json_format();
            let names: Vec<&str> = ledger.schema.names().collect();
            let at = (range.offset, range.first_row);
            let lines = json_lines::read(range.bytes, &names, &format, ledger.record_bytes_max(), at);
            let mut reduction = Reduction::new(ledger, &own, &format, range, bits)?;
            for (place, fault) in lines.faults {
                reduction.refuse_line(&place, fault)?;
            }
            let mut reader = RecordReader::new(&lines.records, &format, 0, 0);
            let mut places = lines.places.iter();
            while let Some(record) = reader.next_record().map_err(|source| structure(range, source))? {
                reduction.take(&record, places.next())?;
            }
            reduction.finish()
        }
    }
}

fn structure(range: &EventRange<'_>, source: StructureError) -> ReduceError {
    ReduceError::Structure { batch: range.batch, object: range.object, source }
}

/// How lines of JSON are written as records in between: nothing that JSON can say is lost.
fn json_format() -> Format {
    let format = Format::new(&Dialect { header: false, ..Dialect::default() }, Default::default()).unwrap_or_default();
    // A line of the longest record is longer once its quotes are doubled.
    format.with_record_bytes_max(1 << 30).unwrap_or(format)
}

struct Reduction<'l> {
    ledger: &'l Ledger,
    parser: EventParser<'l>,
    amounts: AmountColumns,
    bits: PartitionBits,
    origin: Origin,
    /// By partition: what is sorted together lies together, and fits the processor's cache.
    partitions: Vec<Gathered>,
    /// The event at hand.
    event: Vec<u8>,
    /// What all keys have in common at their beginning.
    common: Option<Vec<u8>>,
    tally: Tally,
    rejected: ControlTotals,
    rejects: Vec<Reject>,
    rejected_by_rule: BTreeMap<String, u64>,
}

/// The events of one partition: keys and events, each one behind the other, and where they stand.
#[derive(Debug, Clone, Default)]
struct Gathered {
    keys: Vec<u8>,
    /// Each behind its length.
    events: Vec<u8>,
    index: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Sixteen bytes of the key, behind what all keys have in common: most comparisons end here.
    prefix: u128,
    key: usize,
    event: usize,
    key_bytes: u32,
    event_bytes: u32,
}

impl<'l> Reduction<'l> {
    fn new(
        ledger: &'l Ledger,
        header: &Header,
        format: &Format,
        range: &EventRange<'_>,
        bits: PartitionBits,
    ) -> Result<Self, ReduceError> {
        let parser = EventParser::new(ledger, header, format, range.interval)
            .map_err(|source| ReduceError::Header { batch: range.batch, object: range.object, source })?;
        Ok(Self {
            ledger,
            parser,
            amounts: AmountColumns::new(&ledger.definition().amounts, &ledger.schema, header)?,
            bits,
            origin: Origin { batch: range.batch, object: range.object, row: 0 },
            partitions: bits.iter().map(|_| Gathered::default()).collect(),
            event: Vec::new(),
            common: None,
            tally: Tally::new(ledger),
            rejected: ControlTotals::default(),
            rejects: Vec::new(),
            rejected_by_rule: BTreeMap::new(),
        })
    }

    /// Takes a record, or rejects it. `place` says where it comes from, where that is not what the record itself says.
    #[inline]
    fn take(&mut self, record: &Record<'_>, place: Option<&Place<'_>>) -> Result<(), ReduceError> {
        let row = place.map_or(record.row(), |place| place.row);
        self.event.clear();
        match self.parser.parse(record, Origin { row, ..self.origin }, &mut self.event) {
            Ok(()) => self.keep(),
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

    fn keep(&mut self) -> Result<(), ReduceError> {
        let key = self.parser.key().as_bytes();
        match &mut self.common {
            None => self.common = Some(key.to_vec()),
            Some(common) => {
                let shared = common.iter().zip(key).take_while(|(left, right)| left == right).count();
                common.truncate(shared);
            }
        }
        let partition = self.bits.partition(KeyHash::of(key)).get();
        if let Some(gathered) = self.partitions.get_mut(partition as usize) {
            gathered.push(key, &self.event);
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
        *self.rejected_by_rule.entry(reject.violation.rule.clone()).or_default() += 1;
        self.rejects.push(reject);
        Ok(())
    }

    fn finish(mut self) -> Result<Reduced, ReduceError> {
        let common = self.common.as_ref().map_or(0, Vec::len);
        let bytes = self.partitions.iter().map(Gathered::bytes).sum();
        let mut file = Builder::new(Kind::Reduced, bytes);
        for (number, gathered) in (0..).zip(&mut self.partitions) {
            let gathered = std::mem::take(gathered);
            let events = gathered.index.len() as u64;
            if events > 0 {
                gathered.write(common, file.body());
                file.end_section(number, events);
            }
        }
        let (file, sections) = file.finish();
        let totals_out = self.tally.totals(self.ledger)?;
        let mut totals_in = totals_out.clone();
        totals_in.merge(&self.rejected)?;
        self.rejects.sort_by_key(|reject| reject.violation.row);
        let (rejects, rejected_by_rule) = (self.rejects, self.rejected_by_rule);
        Ok(Reduced { file, sections, totals_in, totals_out, rejects, rejected_by_rule })
    }
}

impl Gathered {
    fn push(&mut self, key: &[u8], event: &[u8]) {
        let (key_start, event_start) = (self.keys.len(), self.events.len());
        self.keys.extend_from_slice(key);
        put_bytes(&mut self.events, event);
        // A key has KEY_BYTES_MAX at most, an event little more than its record, and that 1 GiB.
        let short = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.index.push(Entry {
            prefix: 0,
            key: key_start,
            event: event_start,
            key_bytes: short(key.len()),
            event_bytes: short(self.events.len() - event_start),
        });
    }

    /// How many bytes its section has at most, nearly.
    fn bytes(&self) -> usize {
        self.keys.len() + self.events.len() + 8 * self.index.len()
    }

    /// Writes the section. All keys have their first `common` bytes in common.
    fn write(mut self, common: usize, out: &mut Vec<u8>) {
        self.sort(common);
        for group in self.index.chunk_by(|left, right| self.same_key(left, right, common)) {
            let Some(first) = group.first() else { continue };
            let bytes = group.iter().map(|entry| entry.event_bytes as usize).sum();
            put_group(out, self.key(first), group.len() as u64, bytes);
            for entry in group {
                out.extend_from_slice(slice(&self.events, entry.event, entry.event_bytes as usize));
            }
        }
    }

    fn sort(&mut self, common: usize) {
        let keys = &self.keys;
        let key = |entry: &Entry| slice(keys, entry.key, entry.key_bytes as usize);
        for entry in &mut self.index {
            let mut prefix = [0_u8; 16];
            prefix.iter_mut().zip(key(entry).iter().skip(common)).for_each(|(to, from)| *to = *from);
            entry.prefix = u128::from_be_bytes(prefix);
        }
        let seen = common + size_of::<u128>();
        self.index.sort_unstable_by(|left, right| {
            let keys = || match left.key_bytes.max(right.key_bytes) as usize <= seen {
                // A key that is the other's beginning has zeros in its prefix where the other may have them too.
                true => left.key_bytes.cmp(&right.key_bytes),
                false => key(left).cmp(key(right)),
            };
            left.prefix.cmp(&right.prefix).then_with(keys).then(left.event.cmp(&right.event))
        });
    }

    /// Whether two entries, which are neighbours in order, have one key. What lies behind the prefix is looked at where
    /// there is something.
    fn same_key(&self, left: &Entry, right: &Entry, common: usize) -> bool {
        left.prefix == right.prefix
            && left.key_bytes == right.key_bytes
            && (left.key_bytes as usize <= common + size_of_val(&left.prefix) || self.key(left) == self.key(right))
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        slice(&self.keys, entry.key, entry.key_bytes as usize)
    }
}

/// What the index says is there.
fn slice(bytes: &[u8], start: usize, length: usize) -> &[u8] {
    bytes.get(start..start + length).unwrap_or_default()
}
