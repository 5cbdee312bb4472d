//! prefetcher: the keys of one partition → the versions that the index names.

use std::sync::Arc;

use environment::{ConfigError, text};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use storage::{Cache, Clock, Objects, Tables};
use tracing::info;

use crate::{
    artifacts::{Artifacts, Found, Window},
    codec::Corrupt,
    combine::{KEYS, read_keys},
    commits::{CombinedPartition, PrefetchedPartition},
    error::LedgerError,
    layout::{combined_key, partition_key},
    messages::{Done, PartitionRequest, RunInput},
    output::Output,
    prefetched::PrefetchedWriter,
    stage::Stage,
    versions::FetchFigures,
    workplace::{Entered, Pulse, Workplace, attempt_place},
};

/// What prefetcher is configured by.
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
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `LEDGERS_TABLE` and `ARTIFACTS_TABLE`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            ledgers_table: text("LEDGERS_TABLE")?,
            artifacts_table: text("ARTIFACTS_TABLE")?,
        })
    }
}

/// Keys that are looked up together: in one stretch of keys, neighbours in a part-file are read at once, and so are
/// neighbours in an index that has an order.
const KEYS_A_STRETCH: usize = 32_768;
/// Stretches under way at once: one is looked up while another is read.
const STRETCHES_AT_ONCE: usize = 2;
/// Windows of a stretch, bounded by the bytes of their lines, that are read or held at once.
const WINDOWS_AT_ONCE: usize = 2;

/// Fetches what a job is to be merged with.
///
/// Running it again, late or twice at once is harmless: it changes nothing but the file that it writes, which is under a
/// path of its own, and the first commit counts. Whatever it finds is at least as new as the snapshot, and what is newer
/// apply finds in the overlays too. Once prefetch is committed it does nothing, so it cannot run behind apply.
pub struct Prefetcher {
    workplace: Workplace,
    artifacts: Artifacts,
}

/// What was found, and written.
#[derive(Debug, Default)]
struct Gathered {
    keys: u64,
    found: u64,
    figures: FetchFigures,
}

impl Prefetcher {
    /// A prefetcher that looks artifacts up in `tables`, `cache` and `objects`, in this order.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        cache: Arc<dyn Cache>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let Config { work_bucket, data_bucket, ledgers_table, artifacts_table } = &config;
        Self {
            artifacts: Artifacts::new(objects.clone(), tables.clone(), cache, artifacts_table, data_bucket),
            workplace: Workplace::new(objects, tables, clock, ledgers_table, work_bucket, data_bucket),
        }
    }

    /// Handles one partition.
    pub async fn prefetch(&self, request: PartitionRequest) -> Result<Done, LedgerError> {
        let PartitionRequest { run, partition } = &request;
        let entered = self.workplace.enter(run).await?;
        let at = self.workplace.work(partition_key(run, Stage::Prefetch, *partition));
        if entered.job.is_committed(Stage::Prefetch) || self.workplace.find::<PrefetchedPartition>(&at).await?.is_some()
        {
            return Ok(Done {});
        }
        if entered.job.snapshot.is_none() {
            return Err(LedgerError::StepMissing { what: "the grant of prefetch".to_owned(), job: run.job });
        }
        let combined_at = self.workplace.work(combined_key(run, *partition));
        let combined: CombinedPartition = self.workplace.read(run, &combined_at).await?;
        let place = attempt_place(run, &format!("{}/{}", Stage::Prefetch, partition.padded()));
        let place = self.workplace.work(format!("{place}.versions"));
        let mut output = Output::new(&self.workplace.objects, place.clone(), "application/octet-stream");
        let gathered = self.gather(run, &combined, &entered, &mut output).await;
        let (Gathered { keys, found, figures }, file) = output.end(gathered).await?;
        let file = file.ok_or_else(|| LedgerError::StepMissing { what: place.to_string(), job: run.job })?;
        let FetchFigures { lookups, cache_calls, cached, reads, bytes_read } = figures;
        info!(
            ledger = %run.ledger, job = %run.job, %partition, keys, found, lookups, cache_calls, cached, reads, bytes_read,
            "partition prefetched"
        );
        let partition = *partition;
        let commit =
            PrefetchedPartition { partition, file, keys, found, lookups, cache_calls, cached, reads, bytes_read };
        self.workplace.commit(&at, commit).await?;
        Ok(Done {})
    }

    /// Writes the prefetched file to `output`, stretch by stretch.
    async fn gather(
        &self,
        run: &RunInput,
        combined: &CombinedPartition,
        entered: &Entered,
        output: &mut Output,
    ) -> Result<Gathered, LedgerError> {
        let at = self.workplace.work(&combined.file.key);
        let corrupt = |source| LedgerError::File { file: at.to_string(), source };
        let missing = || corrupt(Corrupt::new("stateless file", "it has no list of keys"));
        let section = combined.sections.iter().find(|section| section.number == KEYS).ok_or_else(missing)?;
        let bytes = match section.length {
            0 => bytes::Bytes::new(),
            _ => self.workplace.range(&at, section.range()).await?,
        };
        let keys: Vec<&str> =
            read_keys(section, &bytes).map_err(corrupt)?.collect::<Result<_, _>>().map_err(corrupt)?;
        if keys.len() as u64 != combined.artifacts {
            return Err(corrupt(Corrupt::new("stateless file", "it has another number of keys than its commit says")));
        }
        let pulse = self.workplace.pulse(run, entered.policy());
        let (mut writer, mut gathered) = (PrefetchedWriter::default(), Gathered::default());
        let stretches: Vec<_> = (0..)
            .step_by(KEYS_A_STRETCH)
            .zip(keys.chunks(KEYS_A_STRETCH))
            .map(|(first, keys)| self.stretch(run, first, keys, &pulse).boxed())
            .collect();
        let windows = stream::iter(stretches)
            .buffered(STRETCHES_AT_ONCE)
            .map_ok(|windows| stream::iter(windows.into_iter().map(Ok)))
            .try_flatten()
            .map_ok(|window| self.window(run, &keys, window, &pulse).boxed());
        let mut windows = std::pin::pin!(windows.try_buffered(WINDOWS_AT_ONCE));
        while let Some((keys, versions, fetched)) = windows.try_next().await? {
            gathered.figures.add(fetched);
            for (key, version) in keys.iter().zip(&versions) {
                gathered.found += u64::from(version.is_some());
                writer.push(key, version.as_ref().map(|Found { entry, line }| (entry, &**line)));
            }
            output.write(writer.take()).await?;
        }
        gathered.keys = writer.records();
        output.write(writer.finish()).await?;
        Ok(gathered)
    }

    /// The keys of a stretch, looked up. `first` is the place of the stretch's first key among all.
    async fn stretch(
        &self,
        run: &RunInput,
        first: usize,
        keys: &[&str],
        pulse: &Pulse<'_>,
    ) -> Result<Vec<Window>, LedgerError> {
        pulse.beat().await?;
        let mut windows = self.artifacts.look_up(&run.ledger, keys).await?;
        for Window { places, .. } in &mut windows {
            *places = first + places.start..first + places.end;
        }
        Ok(windows)
    }

    /// The current versions of a window of `keys`.
    async fn window<'k>(
        &self,
        run: &RunInput,
        keys: &'k [&'k str],
        window: Window,
        pulse: &Pulse<'_>,
    ) -> Result<(&'k [&'k str], Vec<Option<Found>>, FetchFigures), LedgerError> {
        pulse.beat().await?;
        let keys = keys.get(window.places).unwrap_or_default();
        let (versions, mut figures) = self.artifacts.get_window(&run.ledger, keys, window.entries).await?;
        figures.lookups += window.lookups;
        Ok((keys, versions, figures))
    }
}
