//! The operations: each a file, with its parameters, its type rule, its plan, its documentation and its cases.
//!
//! To add one, write its file after the nearest there is, and add it to [`all`]: the job's schema, the reference, the
//! command line and the tests take it from there.

use std::{fmt, sync::Arc, sync::OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    cases::Case,
    error::PlanError,
    parameters::TableName,
    planner::{StepPlan, Table},
};

mod append;
mod average_ifs;
pub mod columns;
mod control_totals;
mod count_ifs;
mod criteria;
mod drop_columns;
mod filter;
mod flag_duplicates;
mod group_by;
mod join;
mod lookup;
mod match_rows;
mod pivot;
mod remove_duplicates;
mod rename;
mod running_total;
mod select;
mod sort;
mod sum_ifs;
mod unpivot;
mod variance;
mod vlookup;
mod xlookup;

pub(crate) use control_totals::ControlTotals;
pub(crate) use variance::Variance;

/// A step's parameters, and how they become a plan.
pub trait Operation: fmt::Debug + Send + Sync {
    /// The tables that it takes, each with the parameter that names it.
    fn tables(&self) -> Vec<(&'static str, &TableName)>;

    /// Adds what it does to the plan. Types, columns and parameters are checked here: later only data can be wrong.
    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError>;
}

/// What a step gives: one table, or several with names.
#[derive(Debug)]
pub struct Results(pub(crate) Vec<(Option<&'static str>, Table)>);

impl Results {
    /// Several tables: called `step.name`.
    pub fn named(results: impl IntoIterator<Item = (&'static str, Table)>) -> Self {
        Self(results.into_iter().map(|(name, table)| (Some(name), table)).collect())
    }
}

impl From<Table> for Results {
    fn from(table: Table) -> Self {
        Self(vec![(None, table)])
    }
}

/// What people know of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// The name as spreadsheets or reconcilers write it.
    pub title: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Which types it takes and gives, and what is an error.
    pub types: &'static str,
    /// What empty cells do.
    pub blanks: &'static str,
    /// What duplicates and the order of rows do.
    pub rows: &'static str,
    /// What spreadsheets do, and where this differs.
    pub spreadsheet: &'static str,
}

/// An operation that is documented and tested by cases.
pub trait Documented: Operation + DeserializeOwned + JsonSchema + 'static {
    /// The name in jobs.
    const NAME: &'static str;
    /// What people know of it.
    const REFERENCE: Reference;
    /// The names of its results and what they are, where there are several.
    const RESULTS: &'static [(&'static str, &'static str)] = &[];

    /// Examples, which are also its tests.
    fn cases() -> Vec<Case>;
}

/// Where parameters are wrong, and what about them.
pub type ParameterProblem = (String, String);

/// An operation, as the registry knows it.
#[derive(Debug, Clone, Copy)]
pub struct OperationKind {
    /// The name in jobs.
    pub name: &'static str,
    /// What people know of it.
    pub reference: Reference,
    /// The names of its results and what they are, where there are several.
    pub results: &'static [(&'static str, &'static str)],
    /// Reads its parameters.
    pub read: fn(Json) -> Result<Arc<dyn Operation>, ParameterProblem>,
    /// The JSON Schema of its parameters.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Its cases.
    pub cases: fn() -> Vec<Case>,
}

impl OperationKind {
    fn of<O: Documented>() -> Self {
        Self {
            name: O::NAME,
            reference: O::REFERENCE,
            results: O::RESULTS,
            read: |parameters| {
                serde_path_to_error::deserialize::<_, O>(parameters)
                    .map(|operation| Arc::new(operation) as Arc<dyn Operation>)
                    .map_err(|error| (error.path().to_string(), error.inner().to_string()))
            },
            schema: |generator| O::json_schema(generator),
            cases: O::cases,
        }
    }
}

/// All operations, in the order of the reference.
pub fn all() -> &'static [OperationKind] {
    static ALL: OnceLock<Vec<OperationKind>> = OnceLock::new();
    ALL.get_or_init(|| {
        vec![
            OperationKind::of::<vlookup::VLookup>(),
            OperationKind::of::<xlookup::XLookup>(),
            OperationKind::of::<join::Join>(),
            OperationKind::of::<match_rows::Match>(),
            OperationKind::of::<append::Append>(),
            OperationKind::of::<filter::Filter>(),
            OperationKind::of::<sort::Sort>(),
            OperationKind::of::<remove_duplicates::RemoveDuplicates>(),
            OperationKind::of::<flag_duplicates::FlagDuplicates>(),
            OperationKind::of::<group_by::GroupBy>(),
            OperationKind::of::<sum_ifs::SumIfs>(),
            OperationKind::of::<count_ifs::CountIfs>(),
            OperationKind::of::<average_ifs::AverageIfs>(),
            OperationKind::of::<pivot::Pivot>(),
            OperationKind::of::<unpivot::Unpivot>(),
            OperationKind::of::<running_total::RunningTotal>(),
            OperationKind::of::<variance::Variance>(),
            OperationKind::of::<control_totals::ControlTotals>(),
            OperationKind::of::<select::Select>(),
            OperationKind::of::<drop_columns::DropColumns>(),
            OperationKind::of::<rename::Rename>(),
            OperationKind::of::<columns::constant::ConstantColumn>(),
            OperationKind::of::<columns::add::Add>(),
            OperationKind::of::<columns::subtract::Subtract>(),
            OperationKind::of::<columns::multiply::Multiply>(),
            OperationKind::of::<columns::divide::Divide>(),
            OperationKind::of::<columns::abs::Abs>(),
            OperationKind::of::<columns::negate::Negate>(),
            OperationKind::of::<columns::round::Round>(),
            OperationKind::of::<columns::round_up::RoundUp>(),
            OperationKind::of::<columns::round_down::RoundDown>(),
            OperationKind::of::<columns::if_then::If>(),
            OperationKind::of::<columns::ifs::Ifs>(),
            OperationKind::of::<columns::coalesce::Coalesce>(),
            OperationKind::of::<columns::concat::Concat>(),
            OperationKind::of::<columns::trim::Trim>(),
            OperationKind::of::<columns::upper::Upper>(),
            OperationKind::of::<columns::lower::Lower>(),
            OperationKind::of::<columns::left::Left>(),
            OperationKind::of::<columns::mid::Mid>(),
            OperationKind::of::<columns::right::Right>(),
            OperationKind::of::<columns::len::Len>(),
            OperationKind::of::<columns::substitute::Substitute>(),
            OperationKind::of::<columns::value::Value>(),
            OperationKind::of::<columns::date_value::DateValue>(),
            OperationKind::of::<columns::date_dif::DateDif>(),
        ]
    })
}

/// The operation of that name.
pub fn find(name: &str) -> Option<&'static OperationKind> {
    all().iter().find(|kind| kind.name == name)
}

/// The operation that a mistyped name most likely means: the same but for case, spaces and signs, or one that begins so.
pub fn nearest(name: &str) -> Option<&'static str> {
    let plain =
        |name: &str| -> String { name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase() };
    let wanted = plain(name);
    let same = all().iter().find(|kind| plain(kind.name) == wanted);
    let near = || all().iter().find(|kind| wanted.len() > 2 && plain(kind.name).starts_with(&wanted));
    same.or_else(near).map(|kind| kind.name)
}
