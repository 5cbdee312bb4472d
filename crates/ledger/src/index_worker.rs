//! index-worker: part-files → entries of the index, each conditional on the version that it is computed from.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use environment::{ConfigError, parsed, text};
use error_class::{Classified, ErrorClass};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use storage::{ByteRange, Cache, Clock, Objects, StorageError, Tables, objects::read_range};
use tracing::{info, warn};

use crate::{
    artifact_index::{ArtifactIndex, IndexPut},
    codec::Corrupt,
    commits::PartWritten,
    cursors,
    error::LedgerError,
    index::apply_manifest,
    index_entry::IndexEntry,
    messages::{Done, IndexWork, PartRef, RunInput},
    part_file::{Sidecar, SidecarEntry},
    policy::Policy,
    stage::Stage,
    versions::{Versions, is_cached},
    workplace::Workplace,
};

/// What index-worker is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of what steps hand on.
    pub work_bucket: String,
    /// The bucket of part-files.
    pub data_bucket: String,
    /// The table of the book.
    pub ledgers_table: String,
    /// The table of the index.
    pub artifacts_table: String,
    /// How long a version is cached; 0 for not at all.
    pub cache_seconds: u64,
    /// How long a worker works at most: well below what the platform lets it.
    pub work_seconds_max: u64,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `LEDGERS_TABLE`, `ARTIFACTS_TABLE`, `CACHE_SECONDS` and `WORK_SECONDS_MAX`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            ledgers_table: text("LEDGERS_TABLE")?,
            artifacts_table: text("ARTIFACTS_TABLE")?,
            cache_seconds: parsed("CACHE_SECONDS")?,
            work_seconds_max: parsed("WORK_SECONDS_MAX")?,
        })
    }
}

/// Puts under way at once, while nothing is throttled.
const PUTS_AT_ONCE: usize = 64;
/// Puts between two looks at the clock, the cursor and the cache.
const WINDOW_PUTS: usize = 1_024;
/// The lines of a window are held in memory, for the cache.
const WINDOW_BYTES_MAX: u64 = 16 << 20;
/// Sidecars that are read ahead.
const SIDECARS_AHEAD: usize = 4;
/// How often the cursor and the lease are written. What was put behind the cursor is put again by whoever goes on.
const CURSOR_SECONDS: i64 = 5;
/// Tries of a window in a row that get nothing done, before the worker gives up.
const IDLE_TRIES: u32 = 6;
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// Lets the index name what a job has written.
///
/// Running it again, late or twice at once is harmless: a put happens in the place of the version that the new one was
/// computed from, or not at all, and one that stands already is confirmed again. The cursor covers acknowledged puts and
/// never moves back. The cache is filled with what the index has been told, by place, so it cannot be wrong. One that comes
/// so late that later jobs are indexed finds their entries, and that its own job's index is committed, and stops.
pub struct IndexWorker {
    workplace: Workplace,
    index: ArtifactIndex,
    versions: Versions,
    clock: Arc<dyn Clock>,
    cache_lifetime: Duration,
    work_time: Duration,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// With the next.
    On,
    /// It is late: another worker goes on behind the cursor.
    OutOfTime,
    /// Index of the job is committed: there is nothing left to do.
    Indexed,
}

/// One invocation.
struct Shift<'a> {
    run: &'a RunInput,
    policy: &'a Policy,
    until: Timestamp,
    /// When the cursor and the lease were last written.
    kept_at: Timestamp,
    /// Puts under way at once: fewer after a refusal, slowly more again.
    at_once: usize,
    puts: u64,
}

/// A part-file whose entries are put, and how far.
struct Part<'a> {
    place: PartRef,
    sidecar: &'a Sidecar<'a>,
    entries: &'a [SidecarEntry<'a>],
    confirmed: usize,
}

impl IndexWorker {
    /// An index worker that puts into `tables`, and keeps in `cache` what it has put.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        cache: Arc<dyn Cache>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let Config { work_bucket, data_bucket, ledgers_table, artifacts_table, .. } = &config;
        Self {
            index: ArtifactIndex::new(tables.clone(), artifacts_table),
            versions: Versions::new(objects.clone(), cache, data_bucket),
            workplace: Workplace::new(objects, tables, clock.clone(), ledgers_table, work_bucket, data_bucket),
            clock,
            cache_lifetime: Duration::from_secs(config.cache_seconds),
            work_time: Duration::from_secs(config.work_seconds_max),
        }
    }

    /// Handles one task.
    pub async fn index(&self, work: IndexWork) -> Result<Done, LedgerError> {
        let IndexWork { run, task } = &work;
        let until = self.clock.now().saturating_add(self.work_time).unwrap_or(Timestamp::MAX);
        let entered = self.workplace.enter(run).await?;
        if entered.job.is_committed(Stage::Index) {
            return Ok(Done {});
        }
        let manifest = apply_manifest(&self.workplace, run, &entered.job).await?;
        let parts: HashMap<PartRef, &PartWritten> = manifest.all().collect();
        let cursors = cursors::of_job(&self.workplace.book, &run.ledger, run.job).await?;
        let mut unfinished = Vec::new();
        for place in &task.parts {
            let missing = || LedgerError::StepMissing {
                what: format!("part-file {} of partition {}", place.part, place.partition),
                job: run.job,
            };
            let written = *parts.get(place).ok_or_else(missing)?;
            let confirmed = cursors.get(place).copied().unwrap_or_default();
            if confirmed < written.artifacts {
                unfinished.push((*place, written, confirmed));
            }
        }
        let mut shift =
            Shift { run, policy: entered.policy(), until, kept_at: self.clock.now(), at_once: PUTS_AT_ONCE, puts: 0 };
        let mut progress = Progress::On;
        // A job can have thousands of small part-files: the next sidecars are read while the entries of one are put.
        let sidecars: Vec<_> = unfinished.iter().map(|(_, written, _)| self.sidecar(written).boxed()).collect();
        let mut sidecars = stream::iter(sidecars).buffered(SIDECARS_AHEAD);
        for (place, written, confirmed) in &unfinished {
            let Some(sidecar) = sidecars.try_next().await? else { break };
            progress = self.index_part(&mut shift, *place, written, &sidecar, *confirmed).await?;
            if progress != Progress::On {
                break;
            }
        }
        let Shift { puts, .. } = shift;
        info!(ledger = %run.ledger, job = %run.job, worker = task.worker, puts, ?progress, "index worker done");
        Ok(Done {})
    }

    async fn sidecar(&self, written: &PartWritten) -> Result<Bytes, LedgerError> {
        self.workplace.written(&self.workplace.data(&written.sidecar.key), written.sidecar.bytes).await
    }

    async fn index_part(
        &self,
        shift: &mut Shift<'_>,
        place: PartRef,
        written: &PartWritten,
        sidecar: &[u8],
        confirmed: u64,
    ) -> Result<Progress, LedgerError> {
        let at = self.workplace.data(&written.sidecar.key);
        let corrupt = |source| LedgerError::File { file: at.to_string(), source };
        let sidecar = Sidecar::open(sidecar).map_err(corrupt)?;
        let entries: Vec<SidecarEntry<'_>> = sidecar.clone().collect::<Result<_, _>>().map_err(corrupt)?;
        if entries.len() as u64 != written.artifacts
            || sidecar.file() != written.lines.key
            || sidecar.sequence() != shift.run.job.last_batch()
        {
            return Err(corrupt(Corrupt::new("sidecar", "it is not of the part-file that its commit names")));
        }
        let confirmed = usize::try_from(confirmed).unwrap_or(usize::MAX);
        let mut part = Part { place, sidecar: &sidecar, entries: &entries, confirmed };
        let put = self.put_all(shift, &mut part).await;
        if part.confirmed > confirmed {
            // Also after an error: what is acknowledged is acknowledged. The first error is the one to tell of.
            let kept = self.keep_cursor(shift, &part).await;
            return put.and_then(|progress| kept.map(|()| progress).map_err(LedgerError::from));
        }
        put
    }

    /// Puts the entries behind the cursor, window by window.
    async fn put_all(&self, shift: &mut Shift<'_>, part: &mut Part<'_>) -> Result<Progress, LedgerError> {
        while let Some(window) = next_window(part.entries, part.confirmed) {
            let now = self.clock.now();
            if now >= shift.until {
                return Ok(Progress::OutOfTime);
            }
            if now.duration_since(shift.kept_at).as_secs() >= CURSOR_SECONDS {
                self.keep_cursor(shift, part).await?;
                self.workplace.turns.renew(&shift.run.who(), shift.policy).await?;
                shift.kept_at = now;
            }
            let (put, lines) =
                futures::join!(self.put_window(shift, part.sidecar, window), self.lines(part.sidecar, window));
            match put? {
                Progress::On => {}
                stopped => return Ok(stopped),
            }
            part.confirmed += window.len();
            self.versions.keep(&shift.run.ledger, &lines, self.cache_lifetime).await;
        }
        Ok(Progress::On)
    }

    /// Puts a window, again what was refused for reasons that pass: slower each time.
    async fn put_window(
        &self,
        shift: &mut Shift<'_>,
        sidecar: &Sidecar<'_>,
        window: &[SidecarEntry<'_>],
    ) -> Result<Progress, LedgerError> {
        let mut pending: Vec<&SidecarEntry<'_>> = window.iter().collect();
        let (mut idle, mut pause) = (0, PAUSE_FIRST);
        loop {
            let asked = pending.len();
            let puts: Vec<_> = pending.into_iter().map(|entry| self.put(shift.run, sidecar, entry).boxed()).collect();
            let mut puts = stream::iter(puts).buffer_unordered(shift.at_once);
            let (mut left, mut passing) = (Vec::new(), None);
            while let Some((entry, put)) = puts.next().await {
                match put {
                    Ok(Progress::On) => {}
                    Ok(stopped) => return Ok(stopped),
                    Err(error) if passes(&error) => {
                        left.push(entry);
                        passing = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            drop(puts);
            shift.puts += (asked - left.len()) as u64;
            let Some(error) = passing else {
                shift.at_once = (shift.at_once + PUTS_AT_ONCE / 16).min(PUTS_AT_ONCE);
                return Ok(Progress::On);
            };
            if left.len() < asked {
                (idle, pause) = (0, PAUSE_FIRST);
            } else {
                idle += 1;
            }
            if idle >= IDLE_TRIES {
                return Err(error);
            }
            if self.clock.now() >= shift.until {
                return Ok(Progress::OutOfTime);
            }
            shift.at_once = (shift.at_once / 2).max(1);
            warn!(left = left.len(), at_once = shift.at_once, error = error_class::chain(&error), "index puts held up");
            self.clock.sleep(pause).await;
            pause *= 2;
            pending = left;
        }
    }

    async fn put<'e>(
        &self,
        run: &RunInput,
        sidecar: &Sidecar<'_>,
        entry: &'e SidecarEntry<'e>,
    ) -> (&'e SidecarEntry<'e>, Result<Progress, LedgerError>) {
        (entry, self.try_put(run, sidecar, entry).await)
    }

    async fn try_put(
        &self,
        run: &RunInput,
        sidecar: &Sidecar<'_>,
        entry: &SidecarEntry<'_>,
    ) -> Result<Progress, LedgerError> {
        let put = self.index.put(&run.ledger, entry.key, &sidecar.index_entry(entry), entry.previous).await?;
        let IndexPut::Overtaken(found) = put else { return Ok(Progress::On) };
        // Read behind what was found: a later job is indexed only once this one is.
        match self.workplace.turns.job(&run.who()).await?.is_committed(Stage::Index) {
            true => Ok(Progress::Indexed),
            false => Err(LedgerError::LostUpdate {
                key: entry.key.to_owned(),
                expected: entry.previous.unwrap_or_default(),
                found,
            }),
        }
    }

    /// The lines of a window that are worth caching. Whatever hinders, they are not cached, and that is all.
    async fn lines(&self, sidecar: &Sidecar<'_>, window: &[SidecarEntry<'_>]) -> Vec<(IndexEntry, Bytes)> {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Vec::new() };
        if self.cache_lifetime.is_zero() || window_bytes(first, last) > WINDOW_BYTES_MAX {
            return Vec::new();
        }
        let range = ByteRange::new(first.offset, last.offset.saturating_add(last.length));
        let at = self.workplace.data(sidecar.file());
        let bytes = match read_range(&*self.workplace.objects, &at, None, range).await {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(error = error_class::chain(&error), "lines not cached");
                return Vec::new();
            }
        };
        let line = |entry: &SidecarEntry<'_>| {
            let found = sidecar.index_entry(entry);
            let start = usize::try_from(entry.offset.checked_sub(range.start)?).ok()?;
            let end = start.checked_add(usize::try_from(entry.length).ok()?)?;
            (is_cached(&found) && end <= bytes.len()).then(|| (found, bytes.slice(start..end)))
        };
        window.iter().filter_map(line).collect()
    }

    /// Writes down how far it is.
    async fn keep_cursor(&self, shift: &Shift<'_>, part: &Part<'_>) -> Result<(), StorageError> {
        let Workplace { book, turns, .. } = &self.workplace;
        cursors::advance(book, shift.run, part.place, part.confirmed as u64, turns.clock.now()).await
    }
}

/// The next entries to put: so many, and so many bytes of lines, but one at least.
fn next_window<'a, 'e>(entries: &'e [SidecarEntry<'a>], confirmed: usize) -> Option<&'e [SidecarEntry<'a>]> {
    let rest = entries.get(confirmed..)?;
    let first = rest.first()?;
    let fits = |entry: &&SidecarEntry<'_>| window_bytes(first, entry) <= WINDOW_BYTES_MAX;
    let count = rest.iter().take(WINDOW_PUTS).take_while(fits).count().max(1);
    rest.get(..count)
}

const fn window_bytes(first: &SidecarEntry<'_>, last: &SidecarEntry<'_>) -> u64 {
    last.offset.saturating_add(last.length).saturating_sub(first.offset)
}

/// Whether a put is worth trying again.
fn passes(error: &LedgerError) -> bool {
    matches!(error.class(), ErrorClass::Throttled | ErrorClass::Unavailable)
}
