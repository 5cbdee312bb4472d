//! What has been read of each object, counted behind the reading: where bytes have become rows.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use reconcile::{
    report::ObjectFigures,
    task::{TaskFormat, TaskInput},
};

/// All readings of a task's inputs: an input may be read several times in one plan, and not always to its end.
#[derive(Debug, Default)]
pub(crate) struct Readings(Mutex<Vec<(String, Arc<Taken>)>>);

impl Readings {
    /// A reading of an input that begins.
    pub(super) fn begin(&self, input: &str, of: &TaskInput) -> Arc<Taken> {
        let taken = Arc::new(Taken(of.objects.iter().map(|_| Counts::default()).collect()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((input.to_owned(), Arc::clone(&taken)));
        taken
    }

    /// What the reading that came furthest has read; nothing of Parquet, of which only the columns that are needed are.
    pub(crate) fn objects(&self, input: &str, of: &TaskInput) -> Vec<ObjectFigures> {
        if of.format == TaskFormat::Parquet {
            return Vec::new();
        }
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let furthest = readings.iter().filter(|(name, _)| name == input).max_by_key(|(_, taken)| taken.bytes());
        let counts = furthest.map(|(_, taken)| taken.0.as_slice()).unwrap_or_default();
        let figures = of.objects.iter().zip(counts).map(|(object, counts)| ObjectFigures {
            key: object.key.clone(),
            rows: counts.rows.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
        });
        figures.collect()
    }
}

/// What one reading has read, by object.
#[derive(Debug)]
pub(crate) struct Taken(Vec<Counts>);

#[derive(Debug, Default)]
struct Counts {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Taken {
    pub(super) fn add_rows(&self, object: usize, rows: usize) {
        if let Some(counts) = self.0.get(object) {
            counts.rows.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn add_bytes(&self, object: usize, bytes: usize) {
        if let Some(counts) = self.0.get(object) {
            counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|counts| counts.bytes.load(Ordering::Relaxed)).sum()
    }
}
