//! The lines of versions: by place, from the cache or from part-files.
//!
//! What is cached is found by ledger, object, offset and length, never by artifact: a place is written once, so what the
//! cache holds of it cannot be out of date.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use storage::{Cache, Location, Objects, StorageError, objects::read_range};
use tracing::warn;
use twox_hash::XxHash3_64;

use crate::{
    artifact,
    coalesce::{CoalescePlan, CoalescedRead, coalesce},
    codec::Corrupt,
    error::LedgerError,
    index_entry::IndexEntry,
    manifest::LedgerId,
};

/// Longer lines are not cached: reading one from its file costs little more than from the cache, and the cache holds
/// thousands of others in its place.
pub(crate) const CACHED_LINE_BYTES_MAX: u64 = 64 << 10;
/// Range reads under way at once.
const READS_AT_ONCE: usize = 8;
const CHECKSUM_BYTES: usize = 8;

/// Reads versions.
#[derive(Clone)]
pub(crate) struct Versions {
    objects: Arc<dyn Objects>,
    cache: Arc<dyn Cache>,
    data_bucket: String,
}

/// What getting lines came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FetchFigures {
    /// Look-ups in the index: requests, each for many keys.
    pub(crate) lookups: u64,
    /// Requests to the cache, each for many lines.
    pub(crate) cache_calls: u64,
    /// Lines that the cache had.
    pub(crate) cached: u64,
    /// Reads that got the others.
    pub(crate) reads: u64,
    /// What they have read.
    pub(crate) bytes_read: u64,
}

impl FetchFigures {
    pub(crate) const fn add(&mut self, other: Self) {
        self.lookups += other.lookups;
        self.cache_calls += other.cache_calls;
        self.cached += other.cached;
        self.reads += other.reads;
        self.bytes_read += other.bytes_read;
    }
}

/// Which version of which artifact.
pub(crate) type Wanted<'a> = (&'a str, IndexEntry);

impl Versions {
    /// Versions in `data_bucket`, behind `cache`.
    pub(crate) fn new(objects: Arc<dyn Objects>, cache: Arc<dyn Cache>, data_bucket: &str) -> Self {
        Self { objects, cache, data_bucket: data_bucket.to_owned() }
    }

    /// The lines of versions, in their order; `None` where the file does not exist. Every line is the one that was
    /// asked for: its key and its sequence are those that the index names.
    pub(crate) async fn fetch(
        &self,
        ledger: &LedgerId,
        wanted: &[Wanted<'_>],
    ) -> Result<(Vec<Option<Bytes>>, FetchFigures), LedgerError> {
        let (mut lines, cache_calls) = self.cached(ledger, wanted).await;
        let cached = lines.iter().flatten().count() as u64;
        let mut figures = FetchFigures { cache_calls, cached, ..FetchFigures::default() };
        let missed: Vec<usize> =
            lines.iter().enumerate().filter(|(_, line)| line.is_none()).map(|(index, _)| index).collect();
        let entries: Vec<&IndexEntry> =
            missed.iter().filter_map(|index| wanted.get(*index)).map(|(_, entry)| entry).collect();
        let (reads, coalesced) = coalesce(&entries, CoalescePlan::default());
        (figures.reads, figures.bytes_read) = (coalesced.reads, coalesced.bytes_read);
        let reads: Vec<_> = reads.iter().map(|read| self.read(read, &entries).boxed()).collect();
        let mut answers = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some(found) = answers.try_next().await? {
            for (at, line) in found {
                let Some(index) = missed.get(at).copied() else { continue };
                let (Some((key, entry)), Some(place)) = (wanted.get(index), lines.get_mut(index)) else { continue };
                if !artifact::is_of(&line, key, entry.sequence) {
                    let source =
                        Corrupt::new("part-file", "a line is not of the artifact and version that was asked for");
                    return Err(LedgerError::File { file: self.at(&entry.file).to_string(), source });
                }
                *place = Some(line);
            }
        }
        Ok((lines, figures))
    }

    /// Keeps lines of versions that the index names. An error of the cache is nobody's.
    pub(crate) async fn keep(&self, ledger: &LedgerId, lines: &[(IndexEntry, Bytes)], lifetime: Duration) {
        let key_of = cache_keys(ledger);
        let entries: Vec<(String, Bytes)> = lines
            .iter()
            .filter(|(entry, _)| is_cached(entry))
            .map(|(entry, line)| (key_of(entry), sealed(line)))
            .collect();
        if !entries.is_empty()
            && let Err(error) = self.cache.put_many(entries, lifetime).await
        {
            warn!(error = error_class::chain(&error), "cache unavailable");
        }
    }

    /// What the cache has, and how many requests that took. Whatever is not exactly what was asked for is a miss.
    async fn cached(&self, ledger: &LedgerId, wanted: &[Wanted<'_>]) -> (Vec<Option<Bytes>>, u64) {
        let mut lines = vec![None; wanted.len()];
        let asked: Vec<(usize, &Wanted<'_>)> =
            wanted.iter().enumerate().filter(|(_, (_, entry))| is_cached(entry)).collect();
        if asked.is_empty() {
            return (lines, 0);
        }
        let requests = self.cache.requests(asked.len());
        let key_of = cache_keys(ledger);
        let keys: Vec<String> = asked.iter().map(|(_, (_, entry))| key_of(entry)).collect();
        let found = match self.cache.get_many(&keys).await {
            Ok(found) => found,
            Err(error) => {
                warn!(error = error_class::chain(&error), "cache unavailable");
                return (lines, requests);
            }
        };
        for ((index, (key, entry)), value) in asked.into_iter().zip(found) {
            if let Some(place) = lines.get_mut(index) {
                *place = value.and_then(|value| opened(&value, key, entry));
            }
        }
        (lines, requests)
    }

    /// One read: the lines in it, each by its place among `entries`. None where the file does not exist.
    async fn read(
        &self,
        read: &CoalescedRead<'_>,
        entries: &[&IndexEntry],
    ) -> Result<Vec<(usize, Bytes)>, LedgerError> {
        let bytes = match read_range(&*self.objects, &self.at(read.file), None, read.range).await {
            Ok(bytes) => bytes,
            Err(StorageError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let line = |index: usize| {
            let range = entries.get(index)?.range();
            let start = usize::try_from(range.start.checked_sub(read.range.start)?).ok()?;
            Some((index, bytes.get(start..)?.get(..usize::try_from(range.len()).ok()?)?))
        };
        let found: Vec<(usize, &[u8])> = read.entries.iter().filter_map(|index| line(*index)).collect();
        // A copy of them, because slices of what was read would keep all that lies between in memory.
        let mut lines = BytesMut::with_capacity(found.iter().map(|(_, line)| line.len()).sum());
        found.iter().for_each(|(_, line)| lines.extend_from_slice(line));
        let mut lines = lines.freeze();
        Ok(found.into_iter().map(|(index, line)| (index, lines.split_to(line.len()))).collect())
    }

    pub(crate) fn at(&self, file: &str) -> Location {
        Location::new(&self.data_bucket, file)
    }
}

pub(crate) const fn is_cached(entry: &IndexEntry) -> bool {
    entry.length <= CACHED_LINE_BYTES_MAX
}

/// The keys of a ledger's lines.
fn cache_keys(ledger: &LedgerId) -> impl Fn(&IndexEntry) -> String {
    let prefix = format!("{}/version/{}", ledger.tenant, ledger.ledger);
    // Of the object's key a hash, which is short: a cache holds millions of these. Two objects of one hash could only hide
    // each other's lines, because each line is checked.
    move |IndexEntry { file, offset, length, .. }| {
        format!("{prefix}/{:x}/{offset}+{length}", XxHash3_64::oneshot(file.as_bytes()))
    }
}

/// A line as it is cached: behind its XXH3-64.
fn sealed(line: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(CHECKSUM_BYTES + line.len());
    value.put_u64_le(XxHash3_64::oneshot(line));
    value.put_slice(line);
    value.freeze()
}

fn opened(value: &Bytes, key: &str, entry: &IndexEntry) -> Option<Bytes> {
    let (checksum, line) = value.split_at_checked(CHECKSUM_BYTES)?;
    let intact = checksum == XxHash3_64::oneshot(line).to_le_bytes() && line.len() as u64 == entry.length;
    (intact && artifact::is_of(line, key, entry.sequence)).then(|| value.slice(CHECKSUM_BYTES..))
}
