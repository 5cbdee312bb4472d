//! What SUMIFS, COUNTIFS and AVERAGEIFS share.

use crate::{
    error::PlanError,
    expression::{Constant, Expression},
    operations::group_by::measured,
    parameters::{CaseRule, Condition, KeyPair, TableName},
    plan::{Aggregation, JoinKind, PlanColumn},
    planner::{StepPlan, Table},
};

/// For each row of one table, a measure of those rows of another that meet the criteria.
#[derive(Debug)]
pub(crate) struct Criteria<'a> {
    pub(crate) from: &'a TableName,
    pub(crate) table: &'a TableName,
    pub(crate) on: &'a [KeyPair],
    pub(crate) condition: Option<&'a Condition>,
    pub(crate) case: CaseRule,
    pub(crate) function: Aggregation,
    pub(crate) column: Option<&'a str>,
    /// What no row at all makes; blank unless given.
    pub(crate) none: Option<&'a str>,
    pub(crate) result: &'a str,
}

impl Criteria<'_> {
    pub(crate) fn plan(&self, step: &mut StepPlan<'_>) -> Result<Table, PlanError> {
        let (left, mut right) = step.pair(self.from, self.table)?;
        if self.on.is_empty() {
            return Err(step.fail("expected one key at least in `on`"));
        }
        if let Some(condition) = self.condition {
            let condition = condition.expression(step, &right, self.case)?;
            right = step.filter(&right, condition);
        }
        let pairs: Vec<_> = self.on.iter().map(|pair| (pair.left.clone(), pair.right.clone())).collect();
        let keyed = step.keys(&left, &right, &pairs, self.case)?;
        let (right, of) = measured(step, &keyed.right, self.function, self.column)?;
        let mut keys = Vec::new();
        for id in &keyed.right_keys {
            keys.push(PlanColumn { id: *id, name: "#".to_owned(), kind: step.kind(&right, *id)? });
        }
        let sums = step.aggregate(&right, &keys, vec![("#".to_owned(), self.function, of)]);
        let sum = sums.columns.last().cloned().ok_or_else(|| step.fail("no measure"))?;
        let joined = step.join(JoinKind::Left, &keyed.left, &sums, keyed.pairs());
        let table = Table { columns: left.columns, order: left.order, ..joined };
        let none = self.none.and_then(|none| Constant::parse(sum.kind, none));
        let cell = sum.expression();
        let cell = none.map_or_else(|| cell.clone(), |none| cell.clone().or_else(Expression::from(none)));
        Ok(step.extend(&table, vec![(self.result.to_owned(), cell)]))
    }
}
