//! state-engine: stateless artifacts, and the versions before them → new versions.
//!
//! Everything is sorted by key, so one pass joins it: what the job brings, what the prefetcher found, and what the jobs
//! in flight between the prefetcher's snapshot and this one have written since. The base of a new version is the greatest
//! `applied_through` among them.

use std::borrow::Cow;

use crate::{
    applied::{Applied, Tallies},
    apply_error::ApplyError,
    artifact::{self, Artifact, Heading, TakenId},
    codec::Corrupt,
    combine::{EventConflict, Stateless},
    compiled::Ledger,
    definition::{KeepLines, MeasureKind},
    lines::{LINES_BYTES_MAX, NewLines},
    measure::{Currencies, EventAmounts, take_attributes},
    overlay::{Overlay, OverlayReader},
    part_file::{PartFile, PartWriter},
    partition::{KeyHash, Partition, PartitionBits},
    prefetched::{PrefetchedReader, Version},
    rule::{Facts, Status},
    run::{Event, Events, Group, RunReader},
    sequence::{JobBatches, JobNumber},
    side_lines::{SIDE_BYTES_MAX, SideLines},
    sums::FiguresReader,
};

/// What an attempt to apply one partition of a job is told.
#[derive(Debug, Clone, Copy)]
pub struct ApplyJob<'a> {
    /// The job's batches.
    pub batches: JobBatches,
    /// The snapshot that the job was prefetched at: all jobs up to this one were indexed.
    pub snapshot: JobNumber,
    /// The job's partition bits.
    pub bits: PartitionBits,
    /// The partition.
    pub partition: Partition,
    /// Where this attempt's files go: a key prefix that no other attempt uses.
    pub folder: &'a str,
    /// A part-file ends with the first artifact that brings it to so many bytes.
    pub part_bytes_max: usize,
}

/// What applying has made, to be written before it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes of the side file of the part-file that is to come: lines of an artifact that has too many.
    SideLines {
        /// The side file's key in the data bucket.
        file: String,
        /// So many as a run has at most, [`SIDE_BYTES_MAX`] and what brought it there, or two short ones.
        bytes: Vec<u8>,
    },
    /// A part-file; its side file, if it has one, ends with what was handed over before.
    Part(PartFile),
}

/// Applies one partition of a job: piece after piece, so that memory holds one part-file and one run of side lines at a
/// time, however many events an artifact takes.
///
/// It is a function of what it is given: an attempt that runs again writes the same bytes under its own folder.
#[derive(Debug)]
pub struct Apply<'a> {
    ledger: &'a Ledger,
    job: ApplyJob<'a>,
    run: RunReader<'a>,
    prefetched: PrefetchedReader<'a>,
    overlays: Vec<OverlayReader<'a>>,
    parts: PartWriter,
    applied: Applied,
    tallies: Tallies,
    currencies: Currencies,
    figures_reader: FiguresReader,
    cells: Vec<&'a str>,
    amounts: EventAmounts,
    new_lines: NewLines<'a>,
    /// The artifact at hand, where not all of its events are taken.
    current: Option<Current<'a>>,
    /// The artifact before, to be used again.
    spare: Option<Artifact<'a>>,
    /// The side lines of the artifact at hand, where it has too many for its own line.
    side: Option<SideLines>,
    line_buffer: Vec<u8>,
}

/// An artifact that takes the events of its group.
#[derive(Debug)]
struct Current<'a> {
    group: Group<'a>,
    /// Those that were not taken yet, and how many were.
    events: Events<'a>,
    read: u64,
    base: Option<Version<'a>>,
    artifact: Artifact<'a>,
    /// How many events and ids the base has.
    events_before: u64,
    ids_before: usize,
    /// The bytes of the event lines that it has of its own.
    own: usize,
    /// How many of the first events cannot be among the lines that are kept.
    skip: u64,
}

impl<'a> Apply<'a> {
    /// Begins. `prefetched` is the prefetcher's whole file.
    pub fn new(
        ledger: &'a Ledger,
        job: ApplyJob<'a>,
        stateless: &Stateless<'a>,
        prefetched: &'a [u8],
        overlays: &[Overlay<'a>],
    ) -> Result<Self, ApplyError> {
        let (snapshot, lo) = (job.snapshot, job.batches.lo());
        let mut readers = Vec::new();
        for overlay in overlays {
            if overlay.job <= snapshot || overlay.job.last_batch() >= lo {
                return Err(ApplyError::OverlayOutOfRange { job: overlay.job, snapshot, lo });
            }
            readers.push(OverlayReader::new(overlay));
        }
        // New versions are about as long as those before and what joins them.
        let bytes = prefetched.len() + stateless.artifacts.len() / 2;
        Ok(Self {
            ledger,
            job,
            run: RunReader::new(stateless.artifacts),
            prefetched: PrefetchedReader::open(prefetched)?,
            overlays: readers,
            parts: PartWriter::new(job.folder, job.batches.hi(), bytes.min(job.part_bytes_max)),
            applied: Applied::default(),
            tallies: Tallies::new(ledger),
            currencies: Currencies::default(),
            figures_reader: FiguresReader::default(),
            cells: Vec::new(),
            amounts: EventAmounts::default(),
            new_lines: NewLines::default(),
            current: None,
            spare: None,
            side: None,
            line_buffer: Vec::new(),
        })
    }

    /// The next piece; `None` behind the last.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, ApplyError> {
        loop {
            if let Some((file, bytes)) = self.parts.take_side() {
                return Ok(Some(Piece::SideLines { file, bytes }));
            }
            let mut current = match self.current.take() {
                Some(current) => current,
                None => {
                    if self.parts.bytes() >= self.job.part_bytes_max as u64
                        && let Some(part) = self.parts.cut()
                    {
                        return Ok(Some(Piece::Part(part)));
                    }
                    let Some(group) = self.run.next_group()? else { break };
                    self.begin(group)?
                }
            };
            match self.take_events(&mut current)? {
                true => self.end(current)?,
                false => self.current = Some(current),
            }
        }
        if let Some((key, _)) = self.prefetched.next_record()? {
            return Err(ApplyError::NotInJob { key: key.to_owned() });
        }
        Ok(self.parts.cut().map(Piece::Part))
    }

    /// What it came to, once [`next_piece`](Self::next_piece) has answered `None`.
    pub fn finish(self) -> Result<Applied, ApplyError> {
        self.tallies.finish(self.ledger, self.applied)
    }

    fn begin(&mut self, group: Group<'a>) -> Result<Current<'a>, ApplyError> {
        let (ledger, key) = (self.ledger, group.key);
        if self.job.bits.partition(KeyHash::of(key.as_bytes())) != self.job.partition {
            return Err(ApplyError::Misplaced { key: key.to_owned(), partition: self.job.partition });
        }
        let base = self.base(key)?;
        let mut artifact = self.spare.take().unwrap_or_else(|| Artifact::empty(ledger));
        artifact.clear();
        if let Some(Version { line, sequence, .. }) = base {
            artifact::read(ledger, line, key, sequence, &mut self.currencies, &mut artifact)?;
        }
        self.new_lines.clear();
        Ok(Current {
            events: group.events(),
            read: 0,
            base,
            events_before: artifact.events,
            ids_before: artifact.ids.len(),
            own: artifact.lines.iter().map(|line| line.get().len() + 1).sum(),
            // Of many events only the last can be among the lines that are kept, unless some of them are dropped.
            skip: match ledger.keep_lines() {
                KeepLines::Last(count) if !ledger.keeps_ids() => group.count.saturating_sub(u64::from(count)),
                _ => 0,
            },
            group,
            artifact,
        })
    }

    fn end(&mut self, current: Current<'a>) -> Result<(), ApplyError> {
        let Current { group, read, base, mut artifact, events_before, .. } = current;
        if read != group.count {
            return Err(Corrupt::new("stateless file", "a group holds another number of events than it says").into());
        }
        if artifact.events == events_before {
            // Every event was taken before: there is nothing new to say, and the version stands as it is.
            return Ok(());
        }
        artifact.ids.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        self.keep_lines(group.key, &mut artifact)?;
        self.write(group.key, base.as_ref(), &artifact)?;
        self.spare = Some(artifact);
        Ok(())
    }

    /// The version that the next one is computed from: the greatest `applied_through` of what was prefetched and of what
    /// every job since the snapshot has written (`docs/protocol.md`).
    fn base(&mut self, key: &str) -> Result<Option<Version<'a>>, ApplyError> {
        let prefetched = match self.prefetched.next_record()? {
            Some((found, version)) if found == key => version,
            Some((found, _)) if found < key => return Err(ApplyError::NotInJob { key: found.to_owned() }),
            _ => return Err(ApplyError::NotPrefetched { key: key.to_owned() }),
        };
        let mut base = prefetched;
        let mut confirmed = false;
        for overlay in &mut self.overlays {
            let Some(version) = overlay.find(key)? else { continue };
            if let Some(prefetched) = prefetched.filter(|prefetched| prefetched.sequence == version.sequence) {
                if prefetched.line != version.line {
                    return Err(ApplyError::Differs { key: key.to_owned(), sequence: version.sequence });
                }
                confirmed = true;
            }
            if base.is_none_or(|base| base.sequence < version.sequence) {
                base = Some(version);
            }
        }
        let lo = self.job.batches.lo();
        if let Some(Version { sequence, .. }) = prefetched {
            if sequence >= lo {
                return Err(ApplyError::Zombie { key: key.to_owned(), sequence, lo });
            }
            if sequence > self.job.snapshot.last_batch() && !confirmed {
                return Err(ApplyError::MissingOverlay { key: key.to_owned(), sequence });
            }
        }
        self.applied.overlaid +=
            u64::from(base.map(|base| base.sequence) != prefetched.map(|version| version.sequence));
        Ok(base)
    }

    /// Whether the artifact has taken all of its events; if not, a run of side lines has ended, and is to be written first.
    fn take_events(&mut self, current: &mut Current<'a>) -> Result<bool, ApplyError> {
        let keeps_all = self.ledger.keep_lines() == KeepLines::All;
        while let Some(event) = current.events.next().transpose()? {
            self.take_event(current, &event)?;
            if keeps_all && current.own + self.new_lines.bytes() > LINES_BYTES_MAX {
                // They have to go: at once, so that a million lines are not held.
                let before = self.new_lines.overtaken(&current.artifact.lines)?;
                self.move_lines(current.group.key, &mut current.artifact, before)?;
                current.own = 0;
                if self.side.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn take_event(&mut self, current: &mut Current<'a>, event: &Event<'a>) -> Result<(), ApplyError> {
        let (ledger, key) = (self.ledger, current.group.key);
        let amounts = |source| ApplyError::Amounts { key: key.to_owned(), source };
        event.cells(&mut self.cells)?;
        self.amounts.read(ledger, &self.cells, &mut self.currencies).map_err(amounts)?;
        self.tallies.read.add(&self.amounts).map_err(amounts)?;
        current.read += 1;
        let artifact = &mut current.artifact;
        if ledger.keeps_ids() {
            if !self.take_id(key, artifact, current.ids_before, event)? {
                return Ok(());
            }
            self.tallies.applied.add(&self.amounts).map_err(amounts)?;
        }
        artifact.events += 1;
        for (index, (measure, state)) in ledger.measures.iter().zip(&mut artifact.measures).enumerate() {
            let added = state.add(measure, event, &self.cells, &self.amounts).map_err(amounts)?;
            if let (Some((currency, amount)), MeasureKind::Sum) = (added, measure.kind) {
                self.applied.sums.add((index, currency, amount)).map_err(amounts)?;
            }
        }
        take_attributes(ledger, &mut artifact.attributes, event, &self.cells);
        if ledger.keep_lines() != KeepLines::None && current.read > current.skip {
            self.new_lines.push(ledger, event, &self.cells);
        }
        Ok(())
    }

    /// Whether the artifact takes the event; it is counted where not. The first `known` ids are those of the base.
    fn take_id(
        &mut self,
        key: &str,
        artifact: &mut Artifact<'a>,
        known: usize,
        event: &Event<'a>,
    ) -> Result<bool, ApplyError> {
        let ids = artifact.ids.get(..known).unwrap_or_default();
        let earlier = ids.binary_search_by(|taken| taken.id.as_ref().cmp(event.id)).ok().and_then(|at| ids.get(at));
        let Some(earlier) = earlier else {
            if artifact.ids.len() >= self.ledger.ids_max() {
                return Err(ApplyError::TooManyIds { key: key.to_owned(), ids_max: self.ledger.ids_max() });
            }
            artifact.ids.push(TakenId { id: Cow::Borrowed(event.id), digest: event.digest });
            return Ok(true);
        };
        let same = earlier.digest == event.digest;
        let tally = if same { &mut self.tallies.duplicates } else { &mut self.tallies.conflicts };
        tally.add(&self.amounts).map_err(|source| ApplyError::Amounts { key: key.to_owned(), source })?;
        if !same {
            let key = EventConflict::key_behind(&self.applied.rejected, key);
            let event_id = event.id.to_owned();
            self.applied.rejected.push(EventConflict { key, event_id, rejected: event.origin, kept: None });
        }
        Ok(false)
    }

    /// Merges the new event lines with the artifact's own; or, where some went to a side file, lets the rest follow.
    fn keep_lines(&mut self, key: &str, artifact: &mut Artifact<'a>) -> Result<(), ApplyError> {
        self.line_buffer.clear();
        if !artifact.moved {
            let keep = self.ledger.keep_lines();
            self.new_lines.merge(&artifact.lines, keep, b',', &mut self.line_buffer)?;
            return Ok(());
        }
        if !artifact.lines.is_empty() || !self.new_lines.is_empty() {
            self.move_lines(key, artifact, artifact.lines.len())?;
        }
        self.end_side_lines(artifact);
        Ok(())
    }

    /// Moves the new event lines to the side file, merged with the first `before` of the artifact's own.
    fn move_lines(&mut self, key: &str, artifact: &mut Artifact<'a>, before: usize) -> Result<(), ApplyError> {
        let behind = artifact.lines.split_off(before);
        let old = std::mem::replace(&mut artifact.lines, behind);
        artifact.moved = true;
        let previous = artifact.side_file.as_ref();
        let side = self.side.get_or_insert_with(|| SideLines::new(key, previous));
        side.lines += self.new_lines.merge(&old, KeepLines::All, b'\n', &mut side.bytes)?;
        side.bytes.push(b'\n');
        self.new_lines.clear();
        if side.bytes.len() >= SIDE_BYTES_MAX {
            self.end_side_lines(artifact);
        }
        Ok(())
    }

    fn end_side_lines(&mut self, artifact: &mut Artifact<'a>) {
        let Some(SideLines { bytes, lines }) = self.side.take() else { return };
        let before = artifact.side_file.as_ref().map_or(0, |side_file| side_file.lines);
        artifact.side_file = Some(self.parts.push_side(bytes, before + lines));
    }

    fn write(&mut self, key: &str, base: Option<&Version<'a>>, artifact: &Artifact<'a>) -> Result<(), ApplyError> {
        let ledger = self.ledger;
        let Artifact { measures, attributes, events, .. } = artifact;
        let judgement = Facts { ledger, measures, attributes, events: *events }
            .judge()
            .map_err(|source| ApplyError::Amounts { key: key.to_owned(), source })?;
        if let Some(base) = base {
            let figures = self.figures_reader.read(ledger, base.line, key, base.sequence)?;
            let unreadable = Corrupt::new("artifact", "its events cannot be counted");
            let figures = figures.ok_or_else(|| unreadable.clone())?;
            for amount in figures.sums {
                let amounts = |source| ApplyError::Amounts { key: key.to_owned(), source };
                self.applied.sums.add(*amount).map_err(amounts)?;
            }
            let events = self.applied.events_before.checked_add(figures.events);
            self.applied.events_before = events.ok_or(unreadable)?;
        }
        let heading =
            Heading { key, applied_through: self.job.batches.hi(), previous: base, judgement: judgement.as_ref() };
        let lines = &self.line_buffer;
        self.parts.push(key, base.map(|base| base.sequence), |out| {
            artifact::write(ledger, artifact, &heading, lines, out);
        });
        self.applied.artifacts += 1;
        self.applied.created += u64::from(base.is_none());
        match judgement.map(|judgement| judgement.status) {
            None => {}
            Some(Status::Open) => self.applied.open += 1,
            Some(Status::Reconciled) => self.applied.reconciled += 1,
            Some(Status::Break) => self.applied.breaks += 1,
        }
        Ok(())
    }
}
