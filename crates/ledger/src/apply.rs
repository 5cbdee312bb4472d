//! state-engine: stateless artifacts, and the versions before them → new versions.
//!
//! Everything is sorted by key, so one pass joins it: what the job brings, what the prefetcher found, and what the jobs
//! in flight between the prefetcher's snapshot and this one have written since. The base of a new version is the greatest
//! `applied_through` among them.

use std::borrow::Cow;

use money::ControlTotals;

use crate::{
    apply_error::ApplyError,
    artifact::{self, Artifact, Heading, TakenId, put_text},
    codec::Corrupt,
    combine::{EventConflict, Stateless},
    compiled::Ledger,
    definition::KeepLines,
    lines::{LINES_BYTES_MAX, NewLines, SIDE_BYTES_MAX, SideFile},
    measure::{Currencies, take_attributes},
    part_file::{PartBytes, PartFile, PartWriter, Sidecar, SidecarEntry, version},
    partition::{KeyHash, Partition, PartitionBits},
    prefetched::{PrefetchedReader, Version},
    rule::{Facts, Status},
    run::{Event, Group, RunReader},
    sequence::{JobBatches, JobNumber},
    tally::Tally,
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

/// What a job between the snapshot and this one has written of the same keys. Every job that is not void has one, even
/// if it has no part-files here.
///
/// A job with fewer partition bits has other keys in its partition too ([`Partition::at`]); they are passed over.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// The job.
    pub job: JobNumber,
    /// The part-files of its partition, in order.
    pub parts: &'a [PartBytes<'a>],
}

/// What applying came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The new versions that were written.
    pub artifacts: u64,
    /// How many of them are their artifact's first.
    pub created: u64,
    /// How many of them are open, reconciled and breaks; none is counted where the ledger has no rule.
    pub open: u64,
    /// Reconciled.
    pub reconciled: u64,
    /// Breaks.
    pub breaks: u64,
    /// How many bases came from an overlay and not from the prefetcher.
    pub overlaid: u64,
    /// All events that were read.
    pub totals_in: ControlTotals,
    /// The events that were added to artifacts.
    pub totals_applied: ControlTotals,
    /// Events that an artifact had taken before (duplicate scope `artifact`).
    pub duplicates: ControlTotals,
    /// Events with the id of one that the artifact had taken before, and different content.
    pub conflicts: ControlTotals,
    /// Which ones.
    pub rejected: Vec<EventConflict>,
    /// The `events` of all bases of new versions, as the bases' own lines say.
    pub events_before: u64,
}

/// Applies one partition of a job: part-file after part-file, so that memory holds one at a time.
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
    cells: Vec<&'a str>,
    new_lines: NewLines<'a>,
    /// The side lines of the artifact at hand, where it has too many for its own line.
    side: Option<SideLines>,
    line_buffer: Vec<u8>,
}

/// Side lines that are being written.
#[derive(Debug)]
struct SideLines {
    bytes: Vec<u8>,
    lines: u64,
}

#[derive(Debug)]
struct Tallies {
    read: Tally,
    applied: Tally,
    duplicates: Tally,
    conflicts: Tally,
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
            tallies: Tallies {
                read: Tally::new(ledger),
                applied: Tally::new(ledger),
                duplicates: Tally::new(ledger),
                conflicts: Tally::new(ledger),
            },
            currencies: Currencies::default(),
            cells: Vec::new(),
            new_lines: NewLines::default(),
            side: None,
            line_buffer: Vec::new(),
        })
    }

    /// The next part-file; `None` behind the last.
    pub fn next_part(&mut self) -> Result<Option<PartFile>, ApplyError> {
        while let Some(group) = self.run.next_group()? {
            self.apply(&group)?;
            if self.parts.bytes() >= self.job.part_bytes_max {
                return Ok(self.parts.cut());
            }
        }
        if let Some((key, _)) = self.prefetched.next_record()? {
            return Err(ApplyError::NotInJob { key: key.to_owned() });
        }
        Ok(self.parts.cut())
    }

    /// What it came to, once [`next_part`](Self::next_part) has answered `None`.
    pub fn finish(self) -> Result<Applied, ApplyError> {
        Ok(Applied {
            totals_in: self.tallies.read.totals(self.ledger)?,
            totals_applied: match self.ledger.keeps_ids() {
                true => self.tallies.applied.totals(self.ledger)?,
                // Nothing is dropped: counting everything once is enough.
                false => self.tallies.read.totals(self.ledger)?,
            },
            duplicates: self.tallies.duplicates.totals(self.ledger)?,
            conflicts: self.tallies.conflicts.totals(self.ledger)?,
            ..self.applied
        })
    }

    fn apply(&mut self, group: &Group<'a>) -> Result<(), ApplyError> {
        let key = group.key;
        if self.job.bits.partition(KeyHash::of(key.as_bytes())) != self.job.partition {
            return Err(ApplyError::Misplaced { key: key.to_owned(), partition: self.job.partition });
        }
        let base = self.base(key)?;
        let mut artifact = match &base {
            Some(base) => artifact::read(self.ledger, base.line, key, base.sequence, &mut self.currencies)?,
            None => Artifact::empty(self.ledger),
        };
        let before = artifact.events;
        self.take_events(group, &mut artifact)?;
        if artifact.events == before {
            // Every event was taken before: there is nothing new to say, and the version stands as it is.
            return Ok(());
        }
        self.keep_lines(key, &mut artifact)?;
        self.write(key, base.as_ref(), &artifact)
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

    fn take_events(&mut self, group: &Group<'a>, artifact: &mut Artifact<'a>) -> Result<(), ApplyError> {
        let ledger = self.ledger;
        let amounts = |source| ApplyError::Amounts { key: group.key.to_owned(), source };
        let keep = ledger.keep_lines();
        // Of many events only the last can be among the lines that are kept, unless some of them are dropped.
        let skip = match keep {
            KeepLines::Last(count) if !ledger.keeps_ids() => group.count.saturating_sub(u64::from(count)),
            _ => 0,
        };
        self.new_lines.clear();
        let mut own: usize = artifact.lines.iter().map(|line| line.get().len() + 1).sum();
        let (mut count, known) = (0, artifact.ids.len());
        for event in group.events() {
            let event = event?;
            event.cells(&mut self.cells)?;
            self.tallies.read.add_cells(ledger, &self.cells, &mut self.currencies).map_err(amounts)?;
            count += 1;
            if ledger.keeps_ids() {
                if !self.take_id(group.key, artifact, known, &event)? {
                    continue;
                }
                self.tallies.applied.add_cells(ledger, &self.cells, &mut self.currencies).map_err(amounts)?;
            }
            artifact.events += 1;
            for (measure, state) in ledger.measures.iter().zip(&mut artifact.measures) {
                state.add(measure, &event, &self.cells, &mut self.currencies).map_err(amounts)?;
            }
            take_attributes(ledger, &mut artifact.attributes, &event, &self.cells);
            if keep != KeepLines::None && count > skip {
                self.new_lines.push(ledger, &event, &self.cells);
            }
            if keep == KeepLines::All && own + self.new_lines.bytes() > LINES_BYTES_MAX {
                // They have to go: at once, so that a million lines are not held twice.
                let before = self.new_lines.overtaken(&artifact.lines)?;
                self.move_lines(group.key, artifact, before)?;
                own = 0;
            }
        }
        if count != group.count {
            return Err(Corrupt::new("stateless file", "a group holds another number of events than it says").into());
        }
        artifact.ids.sort_unstable_by(|left, right| left.id.cmp(&right.id));
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
        tally
            .add_cells(self.ledger, &self.cells, &mut self.currencies)
            .map_err(|source| ApplyError::Amounts { key: key.to_owned(), source })?;
        if !same {
            let (key, event_id) = (key.to_owned(), event.id.to_owned());
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
            let events = artifact::events_of(base.line, key, base.sequence);
            let events = events.and_then(|events| self.applied.events_before.checked_add(events));
            self.applied.events_before = events.ok_or(Corrupt::new("artifact", "its events cannot be counted"))?;
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

impl SideLines {
    /// None yet, but a header line that says where those before are.
    fn new(key: &str, previous: Option<&SideFile>) -> Self {
        let mut bytes = b"{\"key\":".to_vec();
        put_text(&mut bytes, key);
        bytes.extend_from_slice(b",\"previous\":");
        match previous {
            Some(previous) => previous.write(&mut bytes),
            None => bytes.extend_from_slice(b"null"),
        }
        bytes.extend_from_slice(b"}\n");
        Self { bytes, lines: 0 }
    }
}

/// The versions that one job has written, by key.
#[derive(Debug)]
struct OverlayReader<'a> {
    job: JobNumber,
    parts: std::slice::Iter<'a, PartBytes<'a>>,
    part: Option<(Sidecar<'a>, &'a [u8])>,
    next: Option<SidecarEntry<'a>>,
    last: Option<&'a str>,
}

impl<'a> OverlayReader<'a> {
    fn new(overlay: &Overlay<'a>) -> Self {
        Self { job: overlay.job, parts: overlay.parts.iter(), part: None, next: None, last: None }
    }

    /// The job's version of a key. Keys are asked for in order.
    fn find(&mut self, key: &str) -> Result<Option<Version<'a>>, ApplyError> {
        while self.next.is_none_or(|next| next.key < key) {
            if !self.advance()? {
                return Ok(None);
            }
        }
        match (&self.part, &self.next) {
            (Some((sidecar, lines)), Some(next)) if next.key == key => Ok(Some(version(sidecar, next, lines)?)),
            _ => Ok(None),
        }
    }

    fn advance(&mut self) -> Result<bool, ApplyError> {
        loop {
            if let Some(entry) = self.part.as_mut().and_then(|(sidecar, _)| sidecar.next()) {
                let entry = entry?;
                if self.last.is_some_and(|last| last >= entry.key) {
                    return Err(Corrupt::new("sidecar", "its keys are not in order").into());
                }
                (self.last, self.next) = (Some(entry.key), Some(entry));
                return Ok(true);
            }
            let Some(part) = self.parts.next() else { return Ok(false) };
            let sidecar = Sidecar::open(part.sidecar)?;
            if sidecar.sequence() != self.job.last_batch() {
                return Err(Corrupt::new("sidecar", "it is of another job").into());
            }
            self.part = Some((sidecar, part.lines));
        }
    }
}
