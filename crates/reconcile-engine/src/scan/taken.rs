//! What has been read of each object, counted behind the reading: where bytes have become rows.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use datafusion_common::DataFusionError;
use error_class::ErrorClass;
use reconcile::{
    plan::PlanColumn,
    report::{Failure, ObjectFigures},
    task::{Task, TaskFormat, TaskInput},
};
use serde::de::IgnoredAny;

use crate::fault::DataFault;

/// All readings of a task's inputs: an input may be read several times in one plan, and not always to its end.
#[derive(Debug, Default)]
pub(crate) struct Readings(Mutex<Vec<(String, Arc<Taken>)>>);

impl Readings {
    /// A reading of an input that begins.
    pub(super) fn begin(&self, input: &str, of: &TaskInput, columns: &[PlanColumn]) -> Arc<Taken> {
        let objects = of.objects.iter().map(|_| Counts::default()).collect();
        let members = columns.iter().map(|column| (column.name.clone(), AtomicBool::new(false))).collect();
        let taken = Arc::new(Taken { objects, members, example: OnceLock::new() });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((input.to_owned(), Arc::clone(&taken)));
        taken
    }

    /// The column that one row of an input at least must have, and that none has: known of inputs that have been read to
    /// their end.
    pub(crate) fn absent(&self, task: &Task) -> Option<DataFusionError> {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readings.iter().find_map(|(name, taken)| {
            let input = task.inputs.get(name).filter(|input| taken.is_whole(input))?;
            let column = taken.unseen().find(|column| input.must_have(column))?;
            Some(DataFault::Input(Box::new(taken.no_member(name, column))).into())
        })
    }

    /// Whether there is such a column in what has been read of an input so far.
    pub(crate) fn may_lack(&self, name: &str, input: &TaskInput) -> bool {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_it = readings.iter().filter(|(known, _)| known == name);
        of_it.any(|(_, taken)| taken.unseen().any(|column| input.must_have(column)))
    }

    /// What the reading that came furthest has read; nothing of Parquet, of which only the columns that are needed are.
    pub(crate) fn objects(&self, input: &str, of: &TaskInput) -> Vec<ObjectFigures> {
        if of.format == TaskFormat::Parquet {
            return Vec::new();
        }
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let furthest = readings.iter().filter(|(name, _)| name == input).max_by_key(|(_, taken)| taken.bytes());
        let counts = furthest.map(|(_, taken)| taken.objects.as_slice()).unwrap_or_default();
        let figures = of.objects.iter().zip(counts).map(|(object, counts)| ObjectFigures {
            key: object.key.clone(),
            rows: counts.rows.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
        });
        figures.collect()
    }
}

/// What one reading has read, by object; and of JSON lines, which of its columns it has seen in a row.
#[derive(Debug)]
pub(crate) struct Taken {
    objects: Vec<Counts>,
    members: Vec<(String, AtomicBool)>,
    /// The names of the members of some row: for people.
    example: OnceLock<Vec<String>>,
}

/// The most names that are told of a row.
const NAMES_TOLD: usize = 20;

#[derive(Debug, Default)]
struct Counts {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Taken {
    pub(super) fn add_rows(&self, object: usize, rows: usize) {
        if let Some(counts) = self.objects.get(object) {
            counts.rows.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn add_bytes(&self, object: usize, bytes: usize) {
        if let Some(counts) = self.objects.get(object) {
            counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// That rows had members, be they null: `seen` goes by the columns.
    pub(super) fn add_members(&self, seen: &[bool]) {
        for ((_, member), _) in self.members.iter().zip(seen).filter(|(_, seen)| **seen) {
            member.store(true, Ordering::Relaxed);
        }
    }

    /// That a row is so.
    pub(super) fn add_example(&self, line: &str) {
        self.example.get_or_init(|| {
            let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(line).unwrap_or_default();
            let told = |name: &String| name.chars().take(records::VALUE_CHARS_MAX).collect();
            members.keys().take(NAMES_TOLD).map(told).collect()
        });
    }

    fn no_member(&self, input: &str, column: &str) -> Failure {
        let names = self.example.get().map(|names| names.join(", ")).unwrap_or_default();
        let advice = "a column that all rows may lack says `\"optional\": true`";
        Failure {
            class: ErrorClass::InvalidInput,
            message: format!("input {input:?}, column {column:?}: no row has this member, one has {names}; {advice}"),
            step: None,
            operation: None,
            column: Some(column.to_owned()),
            input: Some(input.to_owned()),
            object: None,
            row: None,
        }
    }

    fn unseen(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|(_, seen)| !seen.load(Ordering::Relaxed)).map(|(column, _)| column.as_str())
    }

    /// Whether all of the input has been read, and has rows.
    fn is_whole(&self, input: &TaskInput) -> bool {
        let rows = self.objects.iter().any(|counts| counts.rows.load(Ordering::Relaxed) > 0);
        let mut each = input.objects.iter().zip(&self.objects);
        rows && each.all(|(object, counts)| counts.bytes.load(Ordering::Relaxed) == object.bytes)
    }

    fn bytes(&self) -> u64 {
        self.objects.iter().map(|counts| counts.bytes.load(Ordering::Relaxed)).sum()
    }
}
