//! The head of a ledger: how far everything is.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{Condition, tables::Write};

use crate::{
    BatchSequence, JobNumber, PartitionBits,
    book::{Book, HEAD_ROW},
    manifest::LedgerId,
    stage::Stage,
};

/// The head: the next free number, how far each stage is, and the last fence.
///
/// Cursors hold job numbers and only grow: `indexed ≤ applied ≤ prefetched ≤ grouped < next`. Every job up to a
/// cursor has been through its stage, or is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number that the next batch gets.
    pub next: BatchSequence,
    /// The last job that was made.
    pub grouped: JobNumber,
    /// Up to where prefetch is done.
    pub prefetched: JobNumber,
    /// Up to where apply is done.
    pub applied: JobNumber,
    /// Up to where index is done.
    pub indexed: JobNumber,
    /// The fence of the last turn that was granted.
    pub fence: u64,
    /// The version of the definition that the last job goes by: no later one goes by an older.
    pub definition: u64,
    /// How many partitions the last job was cut into: no later one is cut into fewer.
    #[serde(default = "no_bits")]
    pub partition_bits: PartitionBits,
    /// Whether this was read; a head that never was written has no row yet.
    #[serde(skip, default = "written")]
    exists: bool,
}

fn no_bits() -> PartitionBits {
    PartitionBits::ZERO
}

fn written() -> bool {
    true
}

impl Default for Head {
    fn default() -> Self {
        Self {
            next: BatchSequence::FIRST,
            grouped: JobNumber::ZERO,
            prefetched: JobNumber::ZERO,
            applied: JobNumber::ZERO,
            indexed: JobNumber::ZERO,
            fence: 0,
            definition: 0,
            partition_bits: PartitionBits::ZERO,
            exists: false,
        }
    }
}

/// A field of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Next,
    Grouped,
    Cursor(Stage),
    Fence,
    Definition,
    PartitionBits,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::Next,
        Self::Grouped,
        Self::Cursor(Stage::Prefetch),
        Self::Cursor(Stage::Apply),
        Self::Cursor(Stage::Index),
        Self::Fence,
        Self::Definition,
        Self::PartitionBits,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Grouped => "grouped",
            Self::Cursor(Stage::Prefetch) => "prefetched",
            Self::Cursor(Stage::Apply) => "applied",
            Self::Cursor(Stage::Index) => "indexed",
            Self::Fence => "fence",
            Self::Definition => "definition",
            Self::PartitionBits => "partition_bits",
        }
    }
}

impl Head {
    /// How far a stage is.
    pub const fn cursor(&self, stage: Stage) -> JobNumber {
        match stage {
            Stage::Prefetch => self.prefetched,
            Stage::Apply => self.applied,
            Stage::Index => self.indexed,
        }
    }

    fn value(&self, field: Field) -> u64 {
        match field {
            Field::Next => self.next.get(),
            Field::Grouped => self.grouped.get(),
            Field::Cursor(stage) => self.cursor(stage).get(),
            Field::Fence => self.fence,
            Field::Definition => self.definition,
            Field::PartitionBits => self.partition_bits.get().into(),
        }
    }

    /// A write that sets fields, on condition that they, and those in `relied`, are still what they were when this
    /// head was read.
    pub(crate) fn change(&self, book: &Book, ledger: &LedgerId, set: &[(Field, u64)], relied: &[Field]) -> Write {
        let new = |field: Field| set.iter().find(|(changed, _)| *changed == field).map(|(_, value)| *value);
        let named = |field: Field, value: u64| (field.name().to_owned(), Value::from(value));
        if !self.exists {
            let all = Field::ALL.map(|field| named(field, new(field).unwrap_or(self.value(field))));
            return book.change(ledger, HEAD_ROW, all.to_vec(), Condition::Absent);
        }
        let fields = set.iter().map(|(field, _)| field).chain(relied);
        let equal = fields.map(|field| Condition::Equals(field.name().to_owned(), self.value(*field).into()));
        let set = set.iter().map(|(field, value)| named(*field, *value)).collect();
        book.change(ledger, HEAD_ROW, set, Condition::All(equal.collect()))
    }
}
