//! What the states of the machines say to the functions, and what these answer.
//!
//! Keys and counts, never rows: `{}` is what workers of a map answer, so that thousands of answers stay far below the
//! 256 KiB that an execution may carry.

use serde::{Deserialize, Serialize};

use crate::{
    BatchSequence, JobBatches, JobNumber, Partition, PartitionBits, job::Job, manifest::LedgerId, stage::Stage,
    turns::Attempt,
};

/// The input of an execution of either machine: which attempt at which job, and everything that is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInput {
    /// The ledger and its tenant.
    #[serde(flatten)]
    pub ledger: LedgerId,
    /// The job.
    pub job: JobNumber,
    /// Its id.
    pub id: String,
    /// Its batches.
    pub batches: JobBatches,
    /// The attempt.
    pub attempt: u32,
    /// The version of the ledger's definition.
    pub definition: u64,
    /// How many partitions the job is cut into.
    pub partition_bits: PartitionBits,
}

impl RunInput {
    /// The current attempt at a job.
    pub fn of(ledger: &LedgerId, job: &Job) -> Self {
        Self {
            ledger: ledger.clone(),
            job: job.number(),
            id: job.id.clone(),
            batches: job.batches,
            attempt: job.attempt,
            definition: job.definition,
            partition_bits: job.partition_bits,
        }
    }

    /// Who does it.
    pub fn who(&self) -> Attempt {
        Attempt { ledger: self.ledger.clone(), job: self.job, id: self.id.clone(), attempt: self.attempt }
    }
}

/// To job-splitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// The attempt at the job.
    pub run: RunInput,
}

/// What job-splitter answers: where the ranges are, a JSON array of [`EventChunk`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSplit {
    /// The work bucket.
    pub bucket: String,
    /// The array's key.
    pub ranges: String,
    /// How many ranges there are; where none are, nothing is reduced.
    pub count: u64,
}

/// A range of whole records of one object: the work of one reducer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventChunk {
    /// Its place in the array, from 0.
    pub index: u64,
    /// The batch.
    pub batch: BatchSequence,
    /// The object's place in the batch's manifest, from 0.
    pub object: u32,
    /// Its first byte; of a packed object, once it is unpacked.
    pub start: u64,
    /// One past its last byte.
    pub end: u64,
    /// The row of its first record.
    pub first_row: u64,
    /// How many records it holds.
    pub records: u64,
}

/// To reducer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceRequest {
    /// The attempt at the job.
    pub run: RunInput,
    /// The range.
    pub range: EventChunk,
}

/// To combiner, prefetcher and state-engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionRequest {
    /// The attempt at the job.
    pub run: RunInput,
    /// The partition.
    pub partition: Partition,
}

/// To batch-registrar: EventBridge's event of S3, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "detail-type", content = "detail")]
pub enum BatchArrival {
    /// An object was written to the input bucket.
    #[serde(rename = "Object Created")]
    ObjectCreated(ObjectCreated),
}

/// The detail of S3's `Object Created` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCreated {
    /// Where.
    pub bucket: BucketName,
    /// What.
    pub object: CreatedObject,
}

/// The bucket of an S3 event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketName {
    /// Its name.
    pub name: String,
}

/// The object of an S3 event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CreatedObject {
    /// Its key, not URL-encoded (EventBridge, unlike native S3 notifications, sends it plain).
    pub key: String,
    /// Its version, where the sender tells it; where not, the latest is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// To backlog-manager: from the machines' states and the schedule, or from EventBridge, which also tells of executions
/// that ended without reaching such a state (timed out, stopped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ManageRequest {
    /// An execution ended.
    Ended(ExecutionEnded),
    /// A state, or the schedule, says so.
    Told(ManageAction),
}

/// What states and the schedule tell backlog-manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ManageAction {
    /// A task waits for the turn to do a stage.
    Ask {
        /// The attempt at the job.
        run: RunInput,
        /// The stage.
        stage: Stage,
        /// The task's token.
        token: String,
    },
    /// Something of a job has ended.
    Finished {
        /// The attempt at the job.
        run: RunInput,
        /// Why it failed; absent where it committed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<StateFailure>,
    },
    /// A minute has passed.
    Tick {},
}

/// A failure as a state machine's `Catch` hands it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StateFailure {
    /// The error's name: an [`error_class::ErrorClass`] or one of Step Functions' own.
    pub error: String,
    /// For a Lambda's error a JSON text with `errorMessage`.
    #[serde(default)]
    pub cause: String,
}

/// EventBridge's `Step Functions Execution Status Change`, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionEnded {
    /// What it says.
    pub detail: EndedExecution,
}

/// The detail of such an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedExecution {
    /// `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// The execution's input: a [`RunInput`] as JSON text.
    pub input: String,
    /// The error's name, if there is one.
    #[serde(default)]
    pub error: Option<String>,
    /// The error's cause, if there is one.
    #[serde(default)]
    pub cause: Option<String>,
}

/// What backlog-manager answers: figures of all ledgers where it has looked at all of them, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Managed {
    /// Jobs that wait for an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_parked: Option<u64>,
    /// Jobs that are at work or will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_live: Option<u64>,
    /// Ledgers that could not be looked at, or moved on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledgers_failed: Option<u64>,
}

/// What a worker answers when it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// To stage-coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum StageRequest {
    /// All ranges are reduced: do they tie out?
    CheckReduced {
        /// The attempt at the job.
        run: RunInput,
    },
    /// All partitions are combined: the stateless half is done.
    CommitStateless {
        /// The attempt at the job.
        run: RunInput,
    },
    /// The turn was granted: take it up.
    Begin {
        /// The attempt at the job.
        run: RunInput,
        /// Prefetch or apply.
        stage: Stage,
        /// The fence of the grant.
        fence: u64,
    },
    /// All partitions are through the stage: it is done.
    Commit {
        /// The attempt at the job.
        run: RunInput,
        /// Prefetch or apply.
        stage: Stage,
        /// The fence of the grant.
        fence: u64,
    },
}

/// What stage-coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StageReply {
    /// The partitions that a map is to go through.
    Partitions(Partitions),
    /// Prefetch is committed.
    Prefetched(Requests),
    /// Committed.
    Done(Done),
}

/// What prefetch has asked for of a whole job: for the metrics, which are the numbers that a function answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Artifacts that were looked up.
    pub prefetched_artifacts: u64,
    /// Look-ups in the index, each of many artifacts.
    pub prefetch_lookups: u64,
    /// Requests to the cache, each for many artifacts.
    pub prefetch_cache_calls: u64,
    /// Reads of ranges of part-files.
    pub prefetch_reads: u64,
}

/// Where the partitions that hold events of the job are, a JSON array of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitions {
    /// The work bucket.
    pub bucket: String,
    /// The array's key.
    pub partitions: String,
    /// How many there are; where none are, no map is begun.
    pub count: u64,
}

/// To index-coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum IndexRequest {
    /// Take up the turn, and say what is still to be put.
    Plan {
        /// The attempt at the job.
        run: RunInput,
        /// The fence of the grant.
        fence: u64,
    },
    /// Everything is confirmed: index is done.
    Commit {
        /// The attempt at the job.
        run: RunInput,
        /// The fence of the grant.
        fence: u64,
    },
}

/// What index-coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IndexReply {
    /// What is to be done.
    Plan(IndexPlan),
    /// Committed.
    Done(Done),
}

/// Where the tasks of index workers are, a JSON array of [`IndexTask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPlan {
    /// The work bucket.
    pub bucket: String,
    /// The array's key.
    pub tasks: String,
    /// How many there are: so many workers. None are where every put is confirmed.
    pub count: u64,
}

/// The work of one index worker: part-files, by their places in the manifest of apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexTask {
    /// The worker's number in this plan, from 0.
    pub worker: u64,
    /// The part-files.
    pub parts: Vec<PartRef>,
}

/// A part-file of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRef {
    /// Its partition.
    pub partition: Partition,
    /// Its place among the partition's part-files, from 0.
    pub part: u32,
}

/// To index-worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexWork {
    /// The attempt at the job.
    pub run: RunInput,
    /// What to do.
    pub task: IndexTask,
}
