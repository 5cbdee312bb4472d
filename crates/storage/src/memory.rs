//! In-memory versions of the ports, for tests, benchmarks and simulations.
//!
//! They keep the services' own bounds (page sizes, item sizes, names), so that what passes here fits there. Buckets
//! and tables need not be made: they are there, and empty, when first asked. [`Faulty`] puts faults in front of any
//! port.

mod cache;
mod clock;
mod faults;
mod links;
mod mail;
mod objects;
mod queues;
mod tables;
mod workflows;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use cache::MemoryCache;
pub use clock::ManualClock;
pub use faults::{Fault, Faulty, Operation};
pub use links::MemoryLinks;
pub use mail::MemoryMailer;
pub use objects::MemoryObjects;
pub use queues::MemoryQueues;
pub use tables::MemoryTables;
pub use workflows::{Answered, Execution, MemoryWorkflows};

/// The guarded value, also after a panic elsewhere: every critical section leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
