//! Artifacts, as their readers get them: the index, then the cache, then the part-files.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use storage::{ByteRange, Cache, Objects, StorageError, Tables, objects::read_range};

use crate::{
    artifact_index::ArtifactIndex,
    error::LedgerError,
    index_entry::IndexEntry,
    manifest::LedgerId,
    versions::{FetchFigures, Versions, Wanted},
};

/// Lines that are read at once, unless one alone is longer. Whoever takes many windows of lines holds a few of them.
const WINDOW_BYTES_MAX: u64 = 64 << 20;
/// The longest walk, whatever is asked for.
const WALK_MAX: usize = 100_000;

/// The artifacts of all ledgers.
#[derive(Clone)]
pub struct Artifacts {
    index: ArtifactIndex,
    versions: Versions,
    objects: Arc<dyn Objects>,
}

/// A version of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub entry: IndexEntry,
    /// Its line, without a line feed: one JSON object.
    pub line: Bytes,
}

/// Keys that were looked up, neighbours, and where their versions are.
pub(crate) struct Window {
    /// The places of the keys among those that were looked up.
    pub(crate) places: Range<usize>,
    pub(crate) entries: Vec<Option<IndexEntry>>,
    /// Requests that the look-up took; of the windows of one look-up, the first has them.
    pub(crate) lookups: u64,
}

/// Items of a walk, and whether there is more behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk<T> {
    /// As many as were asked for, or as there are.
    pub items: Vec<T>,
    /// Whether there are others, which were not walked to.
    pub more: bool,
}

/// Of a line, where the version before it is.
#[derive(Deserialize)]
struct Pointers {
    previous: Option<IndexEntry>,
}

impl Artifacts {
    /// The artifacts whose index is the table `artifacts_table`, and whose files are in `data_bucket`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        cache: Arc<dyn Cache>,
        artifacts_table: &str,
        data_bucket: &str,
    ) -> Self {
        let index = ArtifactIndex::new(tables, artifacts_table);
        Self { index, versions: Versions::new(objects.clone(), cache, data_bucket), objects }
    }

    /// The current version of an artifact, by a consistent read of the index.
    pub async fn get(&self, ledger: &LedgerId, key: &str) -> Result<Option<Found>, LedgerError> {
        let keys = [key];
        let Some(window) = self.look_up(ledger, &keys).await?.pop() else { return Ok(None) };
        let (found, _) = self.get_window(ledger, &keys, window.entries).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// The current version of an artifact and those before it, the newest first; at most `limit`,
    /// and never more than 100,000.
    pub async fn history(&self, ledger: &LedgerId, key: &str, limit: usize) -> Result<Walk<Found>, LedgerError> {
        let mut history = Vec::new();
        let mut next = self.get(ledger, key).await?;
        while let Some(version) = next.take() {
            let previous = pointers(&version)?.previous;
            let sequence = version.entry.sequence;
            history.push(version);
            let Some(entry) = previous else { break };
            if history.len() >= limit.min(WALK_MAX) {
                return Ok(Walk { items: history, more: true });
            }
            if entry.sequence >= sequence {
                return Err(LedgerError::unreadable(&entry.file, "a version says that it was made of a later one"));
            }
            let (mut lines, _) = self.versions.fetch(ledger, &[(key, entry.clone())]).await?;
            let line = lines.pop().flatten().ok_or_else(|| self.missing(&entry.file))?;
            next = Some(Found { entry, line });
        }
        Ok(Walk { items: history, more: false })
    }

    /// Bytes of a file that holds lines.
    pub(crate) async fn piece(&self, file: &str, range: ByteRange) -> Result<Bytes, LedgerError> {
        Ok(read_range(&*self.objects, &self.versions.at(file), None, range).await?)
    }

    /// Looks keys up by a consistent read of the index, and cuts them into windows whose lines are few enough to be held.
    pub(crate) async fn look_up(&self, ledger: &LedgerId, keys: &[&str]) -> Result<Vec<Window>, LedgerError> {
        let (mut entries, mut lookups) = self.index.get_many(ledger, keys).await?;
        let (mut windows, mut start) = (Vec::new(), 0);
        while !entries.is_empty() {
            let count = window(&entries, WINDOW_BYTES_MAX).clamp(1, entries.len());
            let behind = entries.split_off(count);
            let places = start..start + count;
            start = places.end;
            let entries = std::mem::replace(&mut entries, behind);
            windows.push(Window { places, entries, lookups: std::mem::take(&mut lookups) });
        }
        Ok(windows)
    }

    /// The current versions of a window's `keys`, in their order.
    pub(crate) async fn get_window(
        &self,
        ledger: &LedgerId,
        keys: &[&str],
        entries: Vec<Option<IndexEntry>>,
    ) -> Result<(Vec<Option<Found>>, FetchFigures), LedgerError> {
        let mut found: Vec<Option<Found>> = vec![None; keys.len()];
        let wanted: Vec<(usize, Wanted<'_>)> = keys
            .iter()
            .zip(entries)
            .enumerate()
            .filter_map(|(index, (key, entry))| Some((index, (*key, entry?))))
            .collect();
        let mut figures = FetchFigures::default();
        let mut gone = self.fill(ledger, wanted, &mut found, &mut figures).await?;
        if !gone.is_empty() {
            // Compaction has moved them since the index was read, and then took their files away. Once is enough: a
            // file is kept for as long as a read can take.
            let again: Vec<&str> = gone.iter().map(|(_, (key, _))| *key).collect();
            let (entries, lookups) = self.index.get_many(ledger, &again).await?;
            figures.lookups += lookups;
            for ((_, (_, entry)), now) in gone.iter_mut().zip(entries) {
                *entry = now.ok_or_else(|| self.missing(&entry.file))?;
            }
            let gone = self.fill(ledger, gone, &mut found, &mut figures).await?;
            if let Some((_, (_, entry))) = gone.first() {
                return Err(self.missing(&entry.file).into());
            }
        }
        Ok((found, figures))
    }

    /// Gets versions, each into its place. Returns those whose file does not exist.
    async fn fill<'k>(
        &self,
        ledger: &LedgerId,
        wanted: Vec<(usize, Wanted<'k>)>,
        found: &mut [Option<Found>],
        figures: &mut FetchFigures,
    ) -> Result<Vec<(usize, Wanted<'k>)>, LedgerError> {
        let mut gone = Vec::new();
        let (places, asked): (Vec<usize>, Vec<Wanted<'k>>) = wanted.into_iter().unzip();
        let (lines, fetched) = self.versions.fetch(ledger, &asked).await?;
        figures.add(fetched);
        for ((place, wanted), line) in places.into_iter().zip(asked).zip(lines) {
            match (line, found.get_mut(place)) {
                (Some(line), Some(found)) => *found = Some(Found { entry: wanted.1, line }),
                _ => gone.push((place, wanted)),
            }
        }
        Ok(gone)
    }

    fn missing(&self, file: &str) -> StorageError {
        StorageError::NotFound { what: self.versions.at(file).to_string() }
    }
}

/// How many of the entries, from the first on, have lines of `bytes_max` bytes together at most.
fn window(entries: &[Option<IndexEntry>], bytes_max: u64) -> usize {
    let ends = entries.iter().scan(0_u64, |bytes, entry| {
        *bytes = bytes.saturating_add(entry.as_ref().map_or(0, |entry| entry.length));
        Some(*bytes)
    });
    ends.take_while(|bytes| *bytes <= bytes_max).count()
}

fn pointers(found: &Found) -> Result<Pointers, LedgerError> {
    serde_json::from_slice(&found.line)
        .map_err(|_| LedgerError::unreadable(&found.entry.file, "a line is none of the ledger's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::BatchSequence;

    #[test]
    fn windows_are_bounded_by_their_bytes() {
        let entry =
            |length: u64| Some(IndexEntry { file: "f".to_owned(), offset: 0, length, sequence: BatchSequence::new(1) });
        let entries = [entry(40), None, entry(60), entry(1)];
        assert_eq!([0, 40, 99, 100, 101].map(|most| window(&entries, most)), [0, 2, 2, 3, 4]);
        assert_eq!(window(&[entry(u64::MAX), entry(u64::MAX)], 10), 0);
    }
}
