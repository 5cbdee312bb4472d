//! The plan: what an engine runs, whichever it is.
//!
//! A plan is a list of relations, each made of earlier ones, and outputs. A relation is a *bag*: engines give and take its
//! rows in any order. Where order counts, it stands in the plan, as columns to sort by: outputs and windows name them, and
//! they tell every row from every other. Columns go by numbers that are unique in the plan; names are for outputs
//! and for messages.
//!
//! A plan is stored as JSON and may be run later: [`Plan::VERSION`] changes whenever its meaning does.

use serde::{Deserialize, Serialize};

use crate::{
    expression::{ColumnId, Expression},
    job::Format,
    types::Type,
};

/// What an engine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`Plan::VERSION`].
    pub version: u32,
    /// The relations, each made of those before it.
    pub relations: Vec<Relation>,
    /// What comes out.
    pub outputs: Vec<PlanOutput>,
}

impl Plan {
    /// The version of plans that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// Reads a stored plan. Another version, or columns and relations that are not there, are errors: the plan was
    /// not written by this code.
    pub fn from_json(text: &str) -> Result<Self, UnusablePlan> {
        let plan: Self = serde_json::from_str(text).map_err(|error| UnusablePlan(error.to_string()))?;
        plan.check()?;
        Ok(plan)
    }

    /// Whether it is of this version and hangs together.
    pub(crate) fn check(&self) -> Result<(), UnusablePlan> {
        if self.version != Self::VERSION {
            return Err(UnusablePlan(format!("it has version {}, this is version {}", self.version, Self::VERSION)));
        }
        for (index, relation) in self.relations.iter().enumerate() {
            if let Some(later) = relation.body.sources().into_iter().find(|source| source.0 as usize >= index) {
                return Err(UnusablePlan(format!("relation {index} is made of relation {}", later.0)));
            }
        }
        if let Some(output) = self.outputs.iter().find(|output| output.from.0 as usize >= self.relations.len()) {
            return Err(UnusablePlan(format!("output {:?} is of no relation", output.name)));
        }
        Ok(())
    }
}

/// A stored plan that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a plan that this version can run: {0}")]
pub struct UnusablePlan(pub String);

/// A relation of a plan: its place in [`Plan::relations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelationId(pub u32);

/// A relation, its columns, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Relation {
    /// What it is made of.
    pub body: Body,
    /// Its columns.
    pub columns: Vec<PlanColumn>,
    /// The step that it is for, or the input.
    pub step: String,
    /// The step's operation; `input` for an input.
    pub operation: String,
    /// Where the row of an input stands that a row is made of, where that is one row: for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The columns that tell which row of an input a row is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The input.
    pub input: String,
    /// Which of its objects, from 0.
    pub object: ColumnId,
    /// Which row of it; the first is 1.
    pub row: ColumnId,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanColumn {
    /// Its number, unique in the plan but for relations that pass it on.
    pub id: ColumnId,
    /// What people call it; may be shared by several. Hidden columns begin with `#`.
    pub name: String,
    /// The type of its cells.
    #[serde(rename = "type")]
    pub kind: Type,
}

/// A column that rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderKey {
    /// The column.
    pub column: ColumnId,
    /// Whether the largest value comes first.
    pub descending: bool,
    /// Whether blanks come first: only in the opposite of an order, which has them last, ascending and descending.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blanks_first: bool,
}

impl OrderKey {
    /// From the smallest value to the largest, then blanks.
    pub const fn ascending(column: ColumnId) -> Self {
        Self { column, descending: false, blanks_first: false }
    }

    /// From the largest value to the smallest, then blanks.
    pub const fn descending(column: ColumnId) -> Self {
        Self { descending: true, ..Self::ascending(column) }
    }

    /// The opposite order.
    #[must_use]
    pub const fn opposite(self) -> Self {
        Self { column: self.column, descending: !self.descending, blanks_first: !self.blanks_first }
    }
}

/// What a relation is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Body {
    /// The rows of an input: the columns of the relation, by their names; `#object` and `#row` are the place of a row.
    Read {
        /// The input.
        input: String,
    },
    /// Each row, with some of its columns and some that are computed of it.
    Project {
        /// Of what.
        from: RelationId,
        /// The columns that stay.
        keep: Vec<ColumnId>,
        /// The columns that are new.
        compute: Vec<Computed>,
    },
    /// The rows for which the condition is true.
    Filter {
        /// Of what.
        from: RelationId,
        /// The condition.
        condition: Expression,
    },
    /// The pairs of rows whose keys are equal; a blank key equals none. Every column of both has a number of its own.
    Join {
        /// Which rows stay without a partner.
        join: JoinKind,
        /// The left side.
        left: RelationId,
        /// The right side.
        right: RelationId,
        /// Columns of the left and of the right that must be equal; the types of a pair are one. There is one pair at
        /// least.
        keys: Vec<(ColumnId, ColumnId)>,
    },
    /// One row for each combination of keys that there is; blank is a key. Without keys one row, of no rows too.
    Aggregate {
        /// Of what.
        from: RelationId,
        /// The keys; they keep their numbers.
        keys: Vec<ColumnId>,
        /// What is computed of each group.
        measures: Vec<Measure>,
    },
    /// Each row, with a column that is computed of its neighbours.
    Window {
        /// Of what.
        from: RelationId,
        /// What is computed.
        function: WindowFunction,
        /// The rows that count are those with the same values here; blank is a value.
        partition: Vec<ColumnId>,
        /// The order of the partition; it tells all rows apart.
        order: Vec<OrderKey>,
        /// The new column.
        column: ColumnId,
    },
    /// Each row once for each of some of its cells. The columns of the relation are some of those of `from`, and those of
    /// the three new ones that are needed.
    Unpivot {
        /// Of what.
        from: RelationId,
        /// The cells of a row, in the order of the rows that are made of it.
        cells: Vec<UnpivotedCell>,
        /// The new column with the cells' names.
        name: ColumnId,
        /// The new column with the cells.
        value: ColumnId,
        /// The new column that tells the rows of one row apart: 0 for the first cell, 1 for the second, …
        ordinal: ColumnId,
    },
    /// The rows of all: each source names its columns in the order of the relation's.
    Union {
        /// Of what.
        sources: Vec<UnionSource>,
    },
    /// One-to-one pairs, and what stays alone.
    ///
    /// In each group of rows with equal keys (a blank key is in none), a left and a right row are *candidates* for each
    /// other when their amounts differ by no more than the tolerance; a blank amount has no candidates. Pairs are taken from the
    /// candidates in the order of their difference, then of the left rank, then of the right rank; a row that is taken is no candidate any more.
    ///
    /// The columns are: the keys, the left rank, the right rank, and for each side the number of candidates that its row
    /// had at first. One row for each pair, and one for each row of either side that stays alone (with the other's rank and number
    /// blank). Rows with a blank key are left out.
    Match {
        /// The left side.
        left: MatchSide,
        /// The right side.
        right: MatchSide,
        /// How far amounts may differ; `None` where both sides have no amounts, and all rows of a group are candidates.
        tolerance: Option<Tolerance>,
    },
}

/// Which rows of a join stay without a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum JoinKind {
    /// Only pairs.
    Inner,
    /// Pairs, and left rows without a partner.
    Left,
    /// Pairs, and right rows without a partner.
    Right,
    /// Pairs, and rows of either side without a partner.
    Full,
    /// Left rows that have a partner, once each; the columns are those of the left.
    Semi,
    /// Left rows that have none; the columns are those of the left.
    Anti,
}

/// A new column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computed {
    /// Its number.
    pub column: ColumnId,
    /// Its cells.
    pub expression: Expression,
}

/// What is computed of a group. Blank cells do not count; of a group without others all but counts are blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// What.
    pub function: Aggregation,
    /// Of which column.
    pub of: ColumnId,
    /// The new column.
    pub column: ColumnId,
    /// The result's type.
    #[serde(rename = "type")]
    pub kind: Type,
}

/// What is computed of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Aggregation {
    /// The sum; of integers a decimal(0).
    Sum,
    /// How many cells are not blank.
    Count,
    /// How many different values there are.
    CountDistinct,
    /// The sum divided by the count, rounded half up to six decimals, or as many as the column has where those are more.
    Average,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

/// What is computed of a row's neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum WindowFunction {
    /// The row's number in its partition, from 1.
    RowNumber,
    /// The sum from the first row of the partition to this one; a blank adds nothing. Its type is decimal.
    RunningSum {
        /// Of which column.
        of: ColumnId,
    },
    /// The last value that is not blank from the first row of the partition to this one.
    LastValue {
        /// Of which column.
        of: ColumnId,
    },
}

/// A cell of a row that gets a row of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpivotedCell {
    /// What it is called there.
    pub name: String,
    /// The column that it stands in; all have one type.
    pub column: ColumnId,
}

/// A source of a union.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnionSource {
    /// The relation.
    pub from: RelationId,
    /// Its columns, in the order of the union's and with their types.
    pub columns: Vec<ColumnId>,
}

/// A side of a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchSide {
    /// The relation.
    pub from: RelationId,
    /// Its keys; the types of a pair are one.
    pub keys: Vec<ColumnId>,
    /// Its amount, of one type on both sides.
    pub amount: Option<ColumnId>,
    /// A whole number that tells the rows of a group apart: ties go by it.
    pub rank: ColumnId,
}

/// The most candidate pairs of one group of a match: beyond, the match fails and says so.
pub const MATCH_CANDIDATES_MAX: usize = 1_000_000;

/// How far two amounts may differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Tolerance {
    /// At most by that much.
    Absolute {
        /// How much, of the type of the amounts; not below zero.
        most: crate::expression::Constant,
    },
    /// At most by that part of the base, without its sign.
    Percent {
        /// Percent, a decimal(6); not below zero.
        percent: crate::expression::Constant,
        /// Of which amount.
        base: ToleranceBase,
    },
}

/// The amount that a tolerance in percent is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToleranceBase {
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// The larger, without signs.
    Larger,
    /// The smaller, without signs.
    Smaller,
}

/// What comes out of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanOutput {
    /// The output's name.
    pub name: String,
    /// How it is written.
    pub format: Format,
    /// Of CSV: whether cells of text are written as [`records::guard`] has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub formula_guard: bool,
    /// Of what.
    pub from: RelationId,
    /// Its columns, in order, under these names.
    pub columns: Vec<PlanColumn>,
    /// The order of its rows; none where any will do.
    pub order: Vec<OrderKey>,
}

impl Body {
    /// The relations that it is made of.
    pub fn sources(&self) -> Vec<RelationId> {
        match self {
            Self::Read { .. } => Vec::new(),
            Self::Project { from, .. }
            | Self::Filter { from, .. }
            | Self::Aggregate { from, .. }
            | Self::Window { from, .. }
            | Self::Unpivot { from, .. } => vec![*from],
            Self::Join { left, right, .. } => vec![*left, *right],
            Self::Union { sources } => sources.iter().map(|source| source.from).collect(),
            Self::Match { left, right, .. } => vec![left.from, right.from],
        }
    }
}
