//! What SUMIFS, COUNTIFS and AVERAGEIFS share.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    error::PlanError,
    expression::{Constant, Expression},
    operations::group_by::measured_column,
    parameters::{CaseRule, Condition, KeyPair, TableName},
    plan::{Aggregation, JoinKind, PlanColumn},
    planner::{StepPlan, Table},
};

/// For each row of a table, a measure of those rows of another that meet the criteria. `C` is the name of a column, or
/// that of one that may be left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Criteria<C> {
    /// The table whose rows get the result.
    from: TableName,
    /// The table whose rows count.
    #[serde(rename = "in")]
    table: TableName,
    /// The criteria that differ from row to row: a column of `from` (`left`) and the one of `in` (`right`) that must equal it.
    on: Vec<KeyPair>,
    /// The criteria that are the same for all rows, about `in`.
    #[serde(default, rename = "where")]
    condition: Option<Condition>,
    /// The column of `in` whose cells count; blank ones do not. COUNTIFS counts all rows where it is left out.
    column: C,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::ignore")]
    case: CaseRule,
}

impl<C> Criteria<C> {
    pub(crate) fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from), ("in", &self.table)]
    }

    pub(crate) const fn column(&self) -> &C {
        &self.column
    }

    /// The rows of `from` with the measure of `column`; `none` is what no row at all makes, blank unless given.
    pub(crate) fn plan(
        &self,
        step: &mut StepPlan<'_>,
        function: Aggregation,
        column: Option<&str>,
        none: Option<&str>,
    ) -> Result<Table, PlanError> {
        let (left, mut right) = step.pair(&self.from, &self.table)?;
        if self.on.is_empty() {
            return Err(step.fail("expected one key at least in `on`"));
        }
        step.unused(&left, &self.result)?;
        if let Some(condition) = &self.condition {
            let condition = condition.expression(step, &right, self.case)?;
            right = step.filter(&right, condition);
        }
        let pairs: Vec<_> = self.on.iter().map(|pair| (pair.left.clone(), pair.right.clone())).collect();
        let keyed = step.keys(&left, &right, &pairs, self.case)?;
        let (right, of) = measured_column(step, &keyed.right, function, column)?;
        let mut keys = Vec::new();
        for id in &keyed.right_keys {
            keys.push(PlanColumn { id: *id, name: "#".to_owned(), kind: step.kind(&right, *id)? });
        }
        let sums = step.aggregate(&right, &keys, vec![("#".to_owned(), function, of)]);
        let sum = sums.columns.last().cloned().ok_or_else(|| step.fail("no measure"))?;
        let joined = step.join(JoinKind::Left, &keyed.left, &sums, keyed.pairs());
        let table = Table { columns: left.columns, order: left.order, ..joined };
        let none = none.and_then(|none| Constant::parse(sum.kind, none));
        let cell = sum.expression();
        let cell = none.map_or_else(|| cell.clone(), |none| cell.clone().or_else(Expression::from(none)));
        Ok(step.extend(&table, vec![(self.result.clone(), cell)]))
    }
}
