//! What can go wrong: with the data, with the store, with room.

use std::{error::Error, io};

use datafusion_common::DataFusionError;
use error_class::{Classified, ErrorClass};
use reconcile::{
    RunError,
    report::Failure,
    task::{Task, UnusableTask},
};
use storage::StorageError;

/// What no plan that has been checked can come to.
pub(crate) fn unsound(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("the plan is not sound: {what}"))
}

/// Why a task could not be run, and no report was written. What is wrong with the data stands in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The task needs more memory or disk than this worker has: it is for a larger one, or for the other engine.
    #[error(
        "the job needs more than this worker's {} MiB of memory and {} MiB of disk: deploy with the parameter SparkEngine=on and \
         leave `options.engine` out, or cut the inputs", memory_bytes >> 20, disk_bytes >> 20
    )]
    TooLarge {
        /// The memory that there was.
        memory_bytes: u64,
        /// The disk that there was.
        disk_bytes: u64,
        /// What needed more.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The task needs more time than a run may take: it is for more processors.
    #[error(
        "the job did not end in {seconds} seconds: deploy with the parameter SparkEngine=on and leave `options.engine` out, or cut \
         the inputs"
    )]
    TooSlow {
        /// The time that there was.
        seconds: u64,
    },
    /// The store failed.
    #[error("the store failed")]
    Storage(#[from] StorageError),
    /// The task is not sound.
    #[error(transparent)]
    Task(#[from] UnusableTask),
    /// The engine failed: a fault of its own.
    #[error("the engine failed")]
    Engine(#[source] Box<DataFusionError>),
}

impl Classified for EngineError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. } | Self::TooSlow { .. } => ErrorClass::TooLarge,
            Self::Storage(error) => error.class(),
            Self::Task(error) => error.class(),
            Self::Engine(_) => ErrorClass::Bug,
        }
    }
}

/// What is wrong with the data, on its way through operators that know nothing of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataFault {
    /// A step failed.
    #[error(transparent)]
    Step(Box<RunError>),
    /// An input could not be read.
    #[error("{}", .0.message)]
    Input(Box<Failure>),
}

impl From<DataFault> for DataFusionError {
    fn from(fault: DataFault) -> Self {
        Self::External(Box::new(fault))
    }
}

/// An error of the store as operators pass it on.
pub(crate) fn stored(error: StorageError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What an error is at its root.
pub(crate) enum Root {
    /// The data is at fault.
    Data(Failure),
    /// Memory is short.
    Memory,
    /// Disk is short.
    Disk,
    /// The store failed with that class, about that object.
    Store(StorageError),
    /// None of these.
    Other,
}

/// What an error is at its root.
pub(crate) fn root(error: &DataFusionError, task: &Task) -> Root {
    if let Some(fault) = find::<DataFault>(error) {
        return Root::Data(match fault {
            DataFault::Step(error) => Failure::of(error, |input, object| key(task, input, object)),
            DataFault::Input(failure) => failure.as_ref().clone(),
        });
    }
    if let Some(error) = find::<StorageError>(error) {
        return Root::Store(same(error));
    }
    // Disk first: DataFusion calls its own bound on it a lack of resources, too.
    find_where(error, &is_full).or_else(|| find_where(error, &is_exhausted)).unwrap_or(Root::Other)
}

/// Whether a step failed at its root.
pub(crate) fn is_of_step(error: &DataFusionError) -> bool {
    matches!(find::<DataFault>(error), Some(DataFault::Step(_)))
}

/// The error of that type in a chain of causes.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    find_where(error, &|error| error.downcast_ref::<E>())
}

/// The first in a chain of causes of which something is found. What an I/O error carries is not its cause, but counts.
fn find_where<'e, T>(
    error: &'e (dyn Error + 'static),
    wanted: &dyn Fn(&'e (dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    if let Some(found) = wanted(error) {
        return Some(found);
    }
    let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let carried = carried.and_then(|carried| find_where(carried as &(dyn Error + 'static), wanted));
    carried.or_else(|| find_where(error.source()?, wanted))
}

/// Whether the disk is full. That its bound on disk is reached DataFusion says in words alone.
fn is_full(error: &(dyn Error + 'static)) -> Option<Root> {
    let full = error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::StorageFull);
    (full || error.to_string().contains("max_temp_directory_size")).then_some(Root::Disk)
}

fn is_exhausted(error: &(dyn Error + 'static)) -> Option<Root> {
    matches!(error.downcast_ref(), Some(DataFusionError::ResourcesExhausted(_))).then_some(Root::Memory)
}

/// The key of an input's object.
fn key(task: &Task, input: &str, object: i64) -> Option<String> {
    let objects = &task.inputs.get(input)?.objects;
    objects.get(usize::try_from(object).ok()?).map(|object| object.key.clone())
}

/// The error again: it may be shared by several streams.
fn same(error: &StorageError) -> StorageError {
    let source = |source: &storage::Source| -> storage::Source { source.to_string().into() };
    match error {
        StorageError::NotFound { what } => StorageError::NotFound { what: what.clone() },
        StorageError::Changed { what } => StorageError::Changed { what: what.clone() },
        StorageError::Denied { action, what } => StorageError::Denied { action: action.clone(), what: what.clone() },
        StorageError::Throttled { what, source: from } => {
            StorageError::Throttled { what: what.clone(), source: source(from) }
        }
        StorageError::Unavailable { what, source: from } => {
            StorageError::Unavailable { what: what.clone(), source: source(from) }
        }
        StorageError::Invalid { what, reason } => StorageError::Invalid { what: what.clone(), reason: reason.clone() },
    }
}
