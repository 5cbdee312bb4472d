//! file-arrival: an object in the input bucket → one run of the `intake` machine.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use storage::{Clock, Location, ObjectInfo, Objects, StorageError, Tables, Workflows, workflows::Start};
use tracing::{info, warn};

use crate::{
    config::{ConfigError, parsed, text},
    error::IntakeError,
    layout::InputKey,
    messages::{Arrival, Arrived, Input, RunId, RunRequest},
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

/// Objects that a sweep looks at side by side.
const OBJECTS_AT_ONCE: usize = 16;

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
            Arrival::ObjectCreated(created) => {
                let at = Location::new(created.bucket.name, created.object.key);
                arrived.count(self.take(&at, created.object.version_id).await?);
            }
            Arrival::Sweep {} => self.sweep(&mut arrived).await?,
        }
        info!(started = arrived.started, repeated = arrived.repeated, ignored = arrived.ignored, "arrival handled");
        Ok(arrived)
    }

    /// Takes every object that is old enough for its own event to have been lost. One that cannot be taken does not
    /// keep the others waiting; the sweep fails at its end, so that the alarm is raised.
    async fn sweep(&self, arrived: &mut Arrived) -> Result<(), IntakeError> {
        let bucket = &self.config.input_bucket;
        let old_enough = self.runs.now() - self.config.sweep_min_age;
        let mut after = None;
        let mut failure = None;
        loop {
            let page = self.objects.list(bucket, "", after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let old = page.into_iter().filter(|listed| listed.modified <= old_enough);
            let mut taken = stream::iter(old)
                .map(|listed| async move { self.take(&Location::new(bucket, &listed.key), None).await })
                .buffer_unordered(OBJECTS_AT_ONCE);
            while let Some(taken) = taken.next().await {
                match taken {
                    Ok(taken) => arrived.count(taken),
                    Err(error) => {
                        warn!(error = error_class::chain(&error), "object not taken");
                        failure = Some(error);
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn take(&self, at: &Location, version: Option<String>) -> Result<Taken, IntakeError> {
        let Some(key) = InputKey::parse(&at.key) else {
            if !at.key.ends_with('/') {
                warn!(key = at.key, "object lies in no feed's folder");
            }
            return Ok(Taken::Ignored);
        };
        // The event may not tell the version, and a version that it does tell may be gone: its run has archived it.
        let info = match self.objects.head(at, version.as_deref()).await {
            Ok(info) => info,
            Err(StorageError::NotFound { .. }) => return Ok(Taken::Ignored),
            Err(error) => return Err(error.into()),
        };
        let request = RunRequest {
            run: run_of(key.tenant, at, &info),
            feed: key.feed.to_owned(),
            input: Input { bucket: at.bucket.clone(), key: at.key.clone(), version: info.version },
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

/// The run that an upload starts: who has uploaded knows it before any event has arrived.
pub fn run_of(tenant: &str, at: &Location, uploaded: &ObjectInfo) -> RunId {
    let identity = uploaded.version.as_deref().unwrap_or(&uploaded.etag);
    RunId::of(tenant, &at.bucket, &at.key, identity, 1)
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
