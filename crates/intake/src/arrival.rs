//! file-arrival: an object in the input bucket → one run of the `intake` machine.

use std::{sync::Arc, time::Duration};

use environment::{ConfigError, parsed, text};
use futures::{StreamExt, stream};
use storage::{
    Clock, Location, ObjectInfo, Objects, StorageError, Tables, Workflows,
    objects::{ListedVersion, VersionCursor},
    workflows::Start,
};
use tracing::{info, warn};

use crate::{
    error::IntakeError,
    layout::{InputKey, is_tenant},
    messages::{Arrival, Arrived, Input, ObjectCreated, RunId, RunRequest},
    runs::Runs,
};

/// Starts one run for each version of an object that arrives.
///
/// Running it again, late or twice at once is harmless: the run is named after the object's version, registered by a
/// put that only the first wins, and started under its own name, which Step Functions takes once. After 90 days, when
/// Step Functions forgets names, the registered run has long ended (an execution lasts a day at most, and emailer is told
/// of each that ends), and an ended run is never started.
pub struct FileArrival {
    objects: Arc<dyn Objects>,
    workflows: Arc<dyn Workflows>,
    runs: Runs,
    config: Config,
}

/// What file-arrival is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket that a sweep looks through.
    pub input_bucket: String,
    /// The `intake` machine's ARN.
    pub machine: String,
    /// A sweep leaves younger objects to their own event.
    pub sweep_min_age: Duration,
    /// The table of runs.
    pub runs_table: String,
}

impl Config {
    /// Reads `INPUT_BUCKET`, `INTAKE_MACHINE_ARN`, `SWEEP_MIN_AGE_SECONDS` and `RUNS_TABLE`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            input_bucket: text("INPUT_BUCKET")?,
            machine: text("INTAKE_MACHINE_ARN")?,
            sweep_min_age: Duration::from_secs(parsed("SWEEP_MIN_AGE_SECONDS")?),
            runs_table: text("RUNS_TABLE")?,
        })
    }
}

enum Taken {
    Started,
    Repeated,
    Ignored,
}

/// Versions that are taken side by side.
const VERSIONS_AT_ONCE: usize = 16;

/// The attempt that an arrival starts.
const ATTEMPT: u32 = 1;

impl FileArrival {
    /// A file-arrival that reads `objects`, writes runs down in `tables` and starts them through `workflows`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        workflows: Arc<dyn Workflows>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let runs = Runs::new(tables, &config.runs_table, clock);
        Self { objects, workflows, runs, config }
    }

    /// Handles one event.
    pub async fn arrive(&self, event: Arrival) -> Result<Arrived, IntakeError> {
        let mut arrived = Arrived::default();
        match event {
            Arrival::ObjectCreated(ObjectCreated { bucket, object }) => {
                let at = Location::new(bucket.name, object.key);
                match object.version_id {
                    Some(version) => arrived.count(self.take_told(&at, &version).await?),
                    None => self.take_key(&at, &mut arrived).await?,
                }
            }
            Arrival::Sweep {} => self.sweep(&mut arrived).await?,
        }
        info!(started = arrived.started, repeated = arrived.repeated, ignored = arrived.ignored, "arrival handled");
        Ok(arrived)
    }

    /// Takes the version that an event tells of. It may be gone: its run has archived it.
    async fn take_told(&self, at: &Location, version: &str) -> Result<Taken, IntakeError> {
        let Some(key) = input_key(&at.key) else { return Ok(Taken::Ignored) };
        match self.objects.head(at, Some(version)).await {
            Ok(_) => self.start(key, at, version, Some(version)).await,
            Err(StorageError::NotFound { .. }) => Ok(Taken::Ignored),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes every version of one key: the event does not tell which was written, and others may have been since.
    async fn take_key(&self, at: &Location, arrived: &mut Arrived) -> Result<(), IntakeError> {
        let before = *arrived;
        if input_key(&at.key).is_some() {
            let is_it = |key: &str| key == at.key;
            self.take_listed(at, |listed| is_it(&listed.key), |next| is_it(&next.key), arrived).await?;
        }
        if *arrived == before {
            arrived.count(Taken::Ignored);
        }
        Ok(())
    }

    /// Takes every version that is old enough for its own event to have been lost.
    async fn sweep(&self, arrived: &mut Arrived) -> Result<(), IntakeError> {
        let everything = Location::new(&self.config.input_bucket, "");
        let old_enough = self.runs.now() - self.config.sweep_min_age;
        self.take_listed(&everything, |listed| listed.modified <= old_enough, |_| true, arrived).await
    }

    /// Takes the versions under a prefix that are `wanted`, page after page while there may be more. One that cannot be
    /// taken does not keep the others waiting; the whole fails at its end, so that it is tried again or the alarm is
    /// raised.
    async fn take_listed(
        &self,
        under: &Location,
        wanted: impl Fn(&ListedVersion) -> bool + Send + Sync,
        goes_on: impl Fn(&VersionCursor) -> bool + Send + Sync,
        arrived: &mut Arrived,
    ) -> Result<(), IntakeError> {
        let mut after = None;
        let mut failure = None;
        loop {
            let page = self.objects.list_versions(&under.bucket, &under.key, after.as_ref()).await?;
            let mut taken = stream::iter(page.versions.into_iter().filter(&wanted))
                .map(|listed| self.take(&under.bucket, listed))
                .buffer_unordered(VERSIONS_AT_ONCE);
            while let Some(taken) = taken.next().await {
                match taken {
                    Ok(taken) => arrived.count(taken),
                    Err(error) => {
                        warn!(error = error_class::chain(&error), "object not taken");
                        failure = Some(error);
                    }
                }
            }
            after = page.next.filter(&goes_on).map(behind_batches);
            if after.is_none() {
                return failure.map_or(Ok(()), Err);
            }
        }
    }

    async fn take(&self, bucket: &str, listed: ListedVersion) -> Result<Taken, IntakeError> {
        let Some(key) = input_key(&listed.key) else { return Ok(Taken::Ignored) };
        let at = Location::new(bucket, &listed.key);
        if let Some(version) = &listed.version {
            return self.start(key, &at, version, Some(version)).await;
        }
        // A bucket that keeps no versions: what distinguishes one upload from the next is its content.
        match self.objects.head(&at, None).await {
            Ok(info) => self.start(key, &at, identity(&info), info.version.as_deref()).await,
            Err(StorageError::NotFound { .. }) => Ok(Taken::Ignored),
            Err(error) => Err(error.into()),
        }
    }

    async fn start(
        &self,
        key: InputKey<'_>,
        at: &Location,
        identity: &str,
        version: Option<&str>,
    ) -> Result<Taken, IntakeError> {
        let request = RunRequest {
            run: RunId::of(key.tenant, &at.bucket, &at.key, identity, ATTEMPT),
            feed: key.feed.to_owned(),
            input: Input { bucket: at.bucket.clone(), key: at.key.clone(), version: version.map(str::to_owned) },
        };
        let record = self.runs.register(&request).await?;
        if record.status.is_final() {
            return Ok(Taken::Repeated);
        }
        let input = serde_json::to_string(&request)
            .map_err(|source| IntakeError::Malformed { what: "the run's request".to_owned(), source })?;
        match self.workflows.start(&self.config.machine, request.run.as_str(), &input).await? {
            Start::Started => Ok(Taken::Started),
            Start::Exists => Ok(Taken::Repeated),
        }
    }
}

/// What the key of an input says; of any other but a folder, the log tells why it is none.
fn input_key(key: &str) -> Option<InputKey<'_>> {
    let parsed = InputKey::parse(key);
    if parsed.is_none() && !key.ends_with('/') && batches(key).is_none() {
        if key.contains(char::is_control) {
            warn!(key, "object's key has control characters");
        } else {
            warn!(key, "object lies in no feed's folder");
        }
    }
    parsed
}

/// The folder of batches that a key lies in: they stay where they are uploaded, and are batch-registrar's.
fn batches(key: &str) -> Option<&str> {
    const BATCHES: &str = "batches/";
    let tenant = key.split_once(BATCHES)?.0;
    let is_folder = tenant.is_empty() || tenant.strip_suffix('/').is_some_and(is_tenant);
    if is_folder { key.get(..tenant.len() + BATCHES.len()) } else { None }
}

/// Passes over the rest of a folder of batches: there are more of them every day, and none is taken here.
fn behind_batches(next: VersionCursor) -> VersionCursor {
    match batches(&next.key) {
        // No key has a greater character.
        Some(folder) => VersionCursor { key: format!("{folder}\u{10ffff}"), version: None },
        None => next,
    }
}

/// The run that an upload starts: who has uploaded knows it before any event has arrived.
pub fn run_of(tenant: &str, at: &Location, uploaded: &ObjectInfo) -> RunId {
    RunId::of(tenant, &at.bucket, &at.key, identity(uploaded), ATTEMPT)
}

/// What distinguishes an upload from others under its key.
fn identity(uploaded: &ObjectInfo) -> &str {
    uploaded.version.as_deref().unwrap_or(&uploaded.etag)
}

impl Arrived {
    fn count(&mut self, taken: Taken) {
        match taken {
            Taken::Started => self.started += 1,
            Taken::Repeated => self.repeated += 1,
            Taken::Ignored => self.ignored += 1,
        }
    }
}
