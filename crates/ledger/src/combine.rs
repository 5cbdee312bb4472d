//! combiner: one partition of all ranges → sorted stateless artifacts and the list of their keys.
//!
//! A stateless artifact is a key and the events that a job brings it, each once, by event time and event id. They are
//! not summed yet: with duplicate scope `artifact`, only apply knows which of them the artifact has taken before.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use money::{AmountError, ControlTotals, Overflow};

use crate::{
    by_key::ByKey,
    codec::{Corrupt, Cursor, put_bytes},
    compiled::Ledger,
    container::{self, Builder, Kind, Section},
    measure::{Currencies, EventAmounts},
    partition::{KeyHash, Partition, PartitionBits},
    run::{Event, Origin, length_bytes, put_group},
    tally::Tally,
};

/// The section of a stateless file that holds the artifacts.
const ARTIFACTS: u32 = 0;
/// The section that holds the keys alone, for the prefetcher.
pub(crate) const KEYS: u32 = 1;

/// So many events are looked at pair by pair sooner than sorted.
const EVENTS_FEW: usize = 12;

/// One partition's section of a reduced file, as it was read.
#[derive(Debug, Clone, Copy)]
pub struct ReducedSection<'a> {
    /// What the reducer said of it.
    pub section: Section,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What a partition was combined to.
#[derive(Debug)]
pub struct Combined {
    /// The stateless file.
    pub file: Vec<u8>,
    /// Its sections: the artifacts, and their keys.
    pub sections: Vec<Section>,
    /// How many artifacts the job touches.
    pub artifacts: u64,
    /// All events that were read.
    pub totals_in: ControlTotals,
    /// The events in the file.
    pub totals_out: ControlTotals,
    /// The duplicates that were dropped.
    pub duplicates: ControlTotals,
    /// The events that were rejected for having the id of an earlier one and different content.
    pub conflicts: ControlTotals,
    /// Which ones, by key.
    pub rejected: Vec<EventConflict>,
}

/// An event that was rejected for having the id of an earlier one and different content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventConflict {
    /// The artifact; one text for all conflicts of one artifact.
    pub key: Arc<str>,
    /// The id.
    pub event_id: String,
    /// Where the rejected event stands.
    pub rejected: Origin,
    /// Where the event stands that was kept; `None` where an earlier job has brought it.
    pub kept: Option<Origin>,
}

impl EventConflict {
    /// The key of the next conflict: the text of those `before` it, where they are of one artifact.
    pub(crate) fn key_behind(before: &[Self], key: &str) -> Arc<str> {
        let last = before.last().filter(|last| *last.key == *key);
        last.map_or_else(|| key.into(), |last| last.key.clone())
    }
}

/// Why a partition cannot be combined.
#[derive(Debug, thiserror::Error)]
pub enum CombineError {
    /// A reduced file that is not as the reducer wrote it.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A key that belongs to another partition.
    #[error("artifact {key:?} is not of partition {partition}")]
    Misplaced {
        /// The artifact.
        key: String,
        /// The partition that was read.
        partition: Partition,
    },
    /// A sum that cannot be held exactly.
    #[error(transparent)]
    Totals(#[from] Overflow),
    /// A sum that cannot be held exactly.
    #[error("the amounts of a job cannot be summed")]
    Amounts(#[from] AmountError),
}

impl Classified for CombineError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Corrupt(_) | Self::Misplaced { .. } => ErrorClass::Bug,
            Self::Totals(_) | Self::Amounts(_) => ErrorClass::InvalidInput,
        }
    }
}

/// Combines one partition. The order of `sections` does not matter.
pub fn combine(
    ledger: &Ledger,
    bits: PartitionBits,
    partition: Partition,
    sections: &[ReducedSection<'_>],
) -> Result<Combined, CombineError> {
    let capacity = sections.iter().map(|section| section.bytes.len()).sum();
    let verified = sections.iter().map(|ReducedSection { section, bytes }| section.verify(bytes, Kind::Reduced));
    let verified = verified.collect::<Result<Vec<_>, _>>()?;
    let expected: u64 = sections.iter().map(|section| section.section.records).sum();
    let mut sorted = ByKey::new(&verified, usize::try_from(expected).unwrap_or_default().min(capacity))?;
    if sorted.records() as u64 != expected {
        return Err(Corrupt::new(Kind::Reduced.name(), "it holds another number of events than it says").into());
    }
    let mut combiner = Combiner::new(ledger, capacity);
    while let Some(key) = sorted.next_key(&mut combiner.group) {
        let key = str::from_utf8(key).map_err(|_| Corrupt::new(Kind::Reduced.name(), "a key is not UTF-8"))?;
        if bits.partition(KeyHash::of(key.as_bytes())) != partition {
            return Err(CombineError::Misplaced { key: key.to_owned(), partition });
        }
        combiner.take(key)?;
    }
    combiner.finish()
}

struct Combiner<'a, 'l> {
    ledger: &'l Ledger,
    file: Builder,
    keys: Vec<u8>,
    artifacts: u64,
    kept: Tally,
    duplicates: Tally,
    conflicts: Tally,
    rejected: Vec<EventConflict>,
    counter: Counter<'a>,
    /// The events of the key at hand, as they were read.
    group: Vec<&'a [u8]>,
    events: Vec<Event<'a>>,
}

impl<'l> Combiner<'_, 'l> {
    fn new(ledger: &'l Ledger, capacity: usize) -> Self {
        Self {
            ledger,
            file: Builder::new(Kind::Stateless, capacity),
            keys: Vec::new(),
            artifacts: 0,
            kept: Tally::new(ledger),
            duplicates: Tally::new(ledger),
            conflicts: Tally::new(ledger),
            rejected: Vec::new(),
            counter: Counter::default(),
            group: Vec::new(),
            events: Vec::new(),
        }
    }

    fn take(&mut self, key: &str) -> Result<(), CombineError> {
        self.events.clear();
        for event in self.group.drain(..) {
            self.events.push(Event::read(event)?);
        }
        if self.events.len() > 1 {
            if self.may_repeat() {
                self.drop_duplicates(key)?;
            }
            self.events.sort_unstable_by(Event::order);
        }
        for event in &self.events {
            self.counter.count(self.ledger, event, &mut self.kept)?;
        }
        let bytes = self.events.iter().map(|event| length_bytes(event.raw().len()) + event.raw().len()).sum();
        let out = self.file.body();
        put_group(out, key.as_bytes(), self.events.len() as u64, bytes);
        self.events.iter().for_each(|event| put_bytes(out, event.raw()));
        put_bytes(&mut self.keys, key.as_bytes());
        self.artifacts += 1;
        Ok(())
    }

    /// Whether two events can have one id. Of few all pairs are looked at: most artifacts have few, and no duplicates.
    fn may_repeat(&self) -> bool {
        let mut rest = self.events.as_slice();
        if rest.len() > EVENTS_FEW {
            return true;
        }
        while let Some((first, behind)) = rest.split_first() {
            if behind.iter().any(|event| event.id == first.id) {
                return true;
            }
            rest = behind;
        }
        false
    }

    /// Keeps the earliest event of each id: of each id and batch, where batches are looked at one by one.
    fn drop_duplicates(&mut self, key: &str) -> Result<(), CombineError> {
        self.events.sort_unstable_by(|left, right| (left.id, left.origin).cmp(&(right.id, right.origin)));
        let across_batches = self.ledger.keeps_ids();
        let mut kept: Option<Event<'_>> = None;
        let mut events = std::mem::take(&mut self.events);
        let mut problem = Ok(());
        events.retain(|event| {
            let earlier =
                kept.filter(|kept| kept.id == event.id && (across_batches || kept.origin.batch == event.origin.batch));
            let Some(earlier) = earlier else {
                kept = Some(*event);
                return true;
            };
            let same = earlier.digest == event.digest;
            let tally = if same { &mut self.duplicates } else { &mut self.conflicts };
            if let Err(error) = self.counter.count(self.ledger, event, tally) {
                problem = Err(error);
            }
            if !same {
                self.rejected.push(EventConflict {
                    key: EventConflict::key_behind(&self.rejected, key),
                    event_id: event.id.to_owned(),
                    rejected: event.origin,
                    kept: Some(earlier.origin),
                });
            }
            false
        });
        self.events = events;
        problem
    }

    fn finish(mut self) -> Result<Combined, CombineError> {
        let (ledger, artifacts) = (self.ledger, self.artifacts);
        self.file.end_section(ARTIFACTS, artifacts);
        self.file.body().append(&mut self.keys);
        self.file.end_section(KEYS, artifacts);
        let (file, sections) = self.file.finish();
        let totals_out = self.kept.totals(ledger)?;
        let (duplicates, conflicts) = (self.duplicates.totals(ledger)?, self.conflicts.totals(ledger)?);
        let mut totals_in = totals_out.clone();
        totals_in.merge(&duplicates)?;
        totals_in.merge(&conflicts)?;
        let rejected = self.rejected;
        Ok(Combined { file, sections, artifacts, totals_in, totals_out, duplicates, conflicts, rejected })
    }
}

/// Reads the amounts of events, to count them.
#[derive(Debug, Default)]
struct Counter<'a> {
    cells: Vec<&'a str>,
    amounts: EventAmounts,
    currencies: Currencies,
}

impl<'a> Counter<'a> {
    #[inline]
    fn count(&mut self, ledger: &Ledger, event: &Event<'a>, tally: &mut Tally) -> Result<(), CombineError> {
        if !ledger.amounts.is_empty() {
            event.cells(&mut self.cells)?;
            self.amounts.read(ledger, &self.cells, &mut self.currencies)?;
        }
        tally.add(&self.amounts)?;
        Ok(())
    }
}

/// A stateless file, checked.
#[derive(Debug, Clone, Copy)]
pub struct Stateless<'a> {
    pub(crate) artifacts: &'a [u8],
    keys: &'a [u8],
}

impl<'a> Stateless<'a> {
    /// Checks a whole file.
    pub fn open(file: &'a [u8]) -> Result<Self, Corrupt> {
        let artifacts = container::section(file, Kind::Stateless, ARTIFACTS)?;
        Ok(Self { artifacts, keys: container::section(file, Kind::Stateless, KEYS)? })
    }

    /// The keys that the job touches in this partition, in order.
    pub fn keys(&self) -> impl Iterator<Item = Result<&'a str, Corrupt>> + use<'a> {
        stateless_keys(self.keys)
    }
}

/// The keys of a stateless file by the section that holds them, which is the second: all that a prefetcher reads.
pub fn read_keys<'a>(
    section: &Section,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = Result<&'a str, Corrupt>>, Corrupt> {
    section.verify(bytes, Kind::Stateless).map(stateless_keys)
}

fn stateless_keys<'a>(keys: &'a [u8]) -> impl Iterator<Item = Result<&'a str, Corrupt>> + use<'a> {
    let mut cursor = Cursor::new(keys, "list of keys");
    std::iter::from_fn(move || (!cursor.is_empty()).then(|| cursor.text()))
}
