//! Columns by which the rows of two tables are compared.

use super::{StepPlan, Table};
use crate::{
    error::PlanError,
    expression::{ColumnId, Expression},
    parameters::CaseRule,
};

/// Two tables with the columns by which their rows are compared.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// The left one.
    pub left: Table,
    /// The right one.
    pub right: Table,
    /// The left one's keys.
    pub left_keys: Vec<ColumnId>,
    /// The right one's keys, of the same types in the same order.
    pub right_keys: Vec<ColumnId>,
}

impl Keyed {
    /// Key by key.
    pub fn pairs(&self) -> Vec<(ColumnId, ColumnId)> {
        self.left_keys.iter().copied().zip(self.right_keys.iter().copied()).collect()
    }
}

impl StepPlan<'_> {
    /// Two columns as keys of one type, in lower case where case does not count.
    fn key_pair(
        &self,
        (left, one): (&Table, &str),
        (right, two): (&Table, &str),
        case: CaseRule,
    ) -> Result<(Expression, Expression), PlanError> {
        let (one, two) = (self.column(left, one)?, self.column(right, two)?);
        let pair = one.expression().alike(two.expression()).ok_or_else(|| {
            let problem = format!(
                "it is {}, and {:?} of {} is {}: they are never equal",
                one.kind, two.name, right.name, two.kind
            );
            self.fail_on(&one.name, problem)
        })?;
        Ok(if case == CaseRule::Ignore { (pair.0.folded(), pair.1.folded()) } else { pair })
    }

    /// Both tables with the columns by which their rows are compared, and those columns' numbers.
    pub fn keys(
        &mut self,
        left: &Table,
        right: &Table,
        pairs: &[(String, String)],
        case: CaseRule,
    ) -> Result<Keyed, PlanError> {
        let pair = |(one, two): &(String, String)| self.key_pair((left, one), (right, two), case);
        let pairs: Vec<(Expression, Expression)> = pairs.iter().map(pair).collect::<Result<_, _>>()?;
        let (ones, twos) = pairs.into_iter().unzip();
        let ((left, left_keys), (right, right_keys)) = (self.hidden(left, ones), self.hidden(right, twos));
        Ok(Keyed { left, right, left_keys, right_keys })
    }
}
