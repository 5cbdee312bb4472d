//! Objects and tables in a folder of the local disk: for benchmarks, and for whole runs in one process on a laptop.
//!
//! | port | here |
//! |---|---|
//! | [`Objects`](storage::Objects) | [`DiskObjects`]: a file for each version of an object, in a tree of folders |
//! | [`Tables`](storage::Tables) | [`DiskTables`]: one file of the embedded store `redb` |
//!
//! They pass the suite of `storage::conformance`, as the AWS versions do, and keep the same bounds. What they are not for:
//! several processes on one folder at a time, or data that must outlive a loss of power. Nothing is synced to the disk:
//! what was written stays in the system's page cache until the system writes it out.
//!
//! Every call does its work on the thread that polls it, at the speed of the page cache: handing a read of some
//! microseconds to a pool of threads would cost more than the read.

mod objects;
mod paths;
mod pending;
mod row_key;
mod rows;
mod store;
mod tables;
mod unsynced;
mod versions;
mod walk;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use objects::DiskObjects;
pub use tables::DiskTables;

/// The guarded value, also after a panic elsewhere: every critical section leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
