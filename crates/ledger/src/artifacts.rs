//! Artifacts, as their readers get them: the index, then the cache, then the part-files.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::{Cache, Objects, StorageError, Tables, objects::read_range};

use crate::{
    artifact_index::ArtifactIndex,
    codec::Corrupt,
    error::LedgerError,
    index_entry::IndexEntry,
    lines::SideFile,
    manifest::LedgerId,
    versions::{FetchFigures, Versions, Wanted},
};

/// Lines that are held in memory at once, unless one alone is longer.
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

/// Of a line, where else to look.
#[derive(Deserialize)]
struct Pointers<'a> {
    key: String,
    previous: Option<IndexEntry>,
    #[serde(borrow, default)]
    lines: Vec<&'a RawValue>,
    #[serde(default)]
    lines_file: Option<SideFile>,
}

/// The first line of side lines.
#[derive(Deserialize)]
struct SideHeading {
    key: String,
    previous: Option<SideFile>,
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
        let (found, _) = self.get_many(ledger, &[key]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// The current version of an artifact and those before it, the newest first; at most `limit`.
    pub async fn history(&self, ledger: &LedgerId, key: &str, limit: usize) -> Result<Vec<Found>, LedgerError> {
        let mut history = Vec::new();
        let mut next = self.get(ledger, key).await?;
        while let Some(version) = next.take() {
            let previous = pointers(&version)?.previous;
            let sequence = version.entry.sequence;
            history.push(version);
            if history.len() >= limit.min(WALK_MAX) {
                break;
            }
            let Some(entry) = previous else { break };
            if entry.sequence >= sequence {
                return Err(corrupt(&entry.file, "a version says that it was made of a later one"));
            }
            let (mut lines, _) = self.versions.fetch(ledger, &[(key, entry.clone())]).await?;
            let line = lines.pop().flatten().ok_or_else(|| self.missing(&entry.file))?;
            next = Some(Found { entry, line });
        }
        Ok(history)
    }

    /// The event lines of a version, those that it keeps itself and those that moved to side files: at least the last
    /// `limit`, if there are so many, the oldest first. Each is one JSON object.
    pub async fn event_lines(&self, found: &Found, limit: usize) -> Result<Vec<String>, LedgerError> {
        let pointers = pointers(found)?;
        let own: Vec<String> = pointers.lines.iter().map(|line| line.get().to_owned()).collect();
        let mut count = own.len();
        let mut pieces = vec![own];
        let mut next = pointers.lines_file;
        while let Some(side) = next.filter(|_| count < limit && pieces.len() < WALK_MAX) {
            let at = self.versions.at(&side.file);
            let range = storage::ByteRange::new(side.offset, side.offset.saturating_add(side.length));
            let bytes = read_range(&*self.objects, &at, None, range).await?;
            let text = str::from_utf8(&bytes).map_err(|_| corrupt(&side.file, "its lines are not UTF-8"))?;
            let mut lines = text.lines();
            let heading: SideHeading = lines
                .next()
                .and_then(|heading| serde_json::from_str(heading).ok())
                .ok_or_else(|| corrupt(&side.file, "its lines have no heading"))?;
            if heading.key != pointers.key {
                return Err(corrupt(&side.file, "its lines are another artifact's"));
            }
            let piece: Vec<String> = lines.map(str::to_owned).collect();
            count += piece.len();
            pieces.push(piece);
            next = heading.previous;
        }
        Ok(pieces.into_iter().rev().flatten().collect())
    }

    /// The current versions of the keys, in their order, by a consistent read of the index.
    pub(crate) async fn get_many(
        &self,
        ledger: &LedgerId,
        keys: &[&str],
    ) -> Result<(Vec<Option<Found>>, FetchFigures), LedgerError> {
        let entries = self.index.get_many(ledger, keys).await?;
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
            let entries = self.index.get_many(ledger, &again).await?;
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
        let mut wanted = wanted.into_iter().peekable();
        while wanted.peek().is_some() {
            let (mut window, mut bytes) = (Vec::new(), 0_u64);
            while let Some(next) = wanted
                .next_if(|(_, (_, entry))| window.is_empty() || bytes.saturating_add(entry.length) <= WINDOW_BYTES_MAX)
            {
                bytes = bytes.saturating_add(next.1.1.length);
                window.push(next);
            }
            let (places, asked): (Vec<usize>, Vec<Wanted<'k>>) = window.into_iter().unzip();
            let (lines, fetched) = self.versions.fetch(ledger, &asked).await?;
            figures.add(fetched);
            for ((place, wanted), line) in places.into_iter().zip(asked).zip(lines) {
                match (line, found.get_mut(place)) {
                    (Some(line), Some(found)) => *found = Some(Found { entry: wanted.1, line }),
                    _ => gone.push((place, wanted)),
                }
            }
        }
        Ok(gone)
    }

    fn missing(&self, file: &str) -> StorageError {
        StorageError::NotFound { what: self.versions.at(file).to_string() }
    }
}

fn pointers(found: &Found) -> Result<Pointers<'_>, LedgerError> {
    serde_json::from_slice(&found.line).map_err(|_| corrupt(&found.entry.file, "a line is none of the ledger's"))
}

fn corrupt(file: &str, problem: &'static str) -> LedgerError {
    LedgerError::File { file: file.to_owned(), source: Corrupt::new("part-file", problem) }
}
