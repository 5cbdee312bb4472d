//! How far the amounts of a pair may differ.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    error::PlanError,
    expression::Constant,
    parameters::Literal,
    plan::{Tolerance, ToleranceBase},
    planner::StepPlan,
    types::{Type, Value},
};

/// How far amounts may differ.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum ToleranceOf {
    /// At most by that much.
    Absolute(Literal),
    /// At most by that part of an amount.
    Percent(PercentOf),
}

/// A part of an amount.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"percent\": …, \"of\": …}")]
pub(super) struct PercentOf {
    /// Percent, with at most six decimals.
    percent: Literal,
    /// Of which amount, without its sign.
    of: ToleranceBase,
}

/// The decimals of a percentage.
const PERCENT: Type = Type::Decimal(6);
const PERCENT_MAX: i128 = 1000 * 1_000_000;

/// The tolerance as plans have it, for amounts of that type; of none the amounts are equal.
pub(super) fn checked(
    tolerance: Option<&ToleranceOf>,
    step: &StepPlan<'_>,
    amount: Type,
) -> Result<Tolerance, PlanError> {
    let positive = |literal: &Literal, kind: Type| {
        let zero = Constant::parse(kind, "0");
        let constant = literal.expected(kind).and_then(|constant| {
            // A tolerance of fewer decimals than the amounts has theirs.
            let text = constant.kind().format(constant.value());
            Constant::parse(constant.kind().common(kind)?, &text)
        });
        let good = |constant: &Constant| {
            !constant.value().is_blank() && zero.as_ref().is_some_and(|zero| constant.value() >= zero.value())
        };
        constant.filter(good).ok_or_else(|| step.fail(format!("the tolerance {literal} is no {kind} of zero or more")))
    };
    match tolerance {
        None => Ok(Tolerance::Absolute { most: positive(&Literal::Integer(0), amount)? }),
        Some(ToleranceOf::Absolute(most)) => Ok(Tolerance::Absolute { most: positive(most, amount)? }),
        Some(ToleranceOf::Percent(PercentOf { percent, of })) => {
            let constant = positive(percent, PERCENT)?;
            let small = matches!(constant.value(), Value::Decimal(units) if *units <= PERCENT_MAX);
            if constant.kind() != PERCENT || !small {
                return Err(step.fail(format!(
                    "the tolerance {percent} is no percentage: expected 0 to 1000, with at most six decimals"
                )));
            }
            Ok(Tolerance::Percent { percent: constant, base: *of })
        }
    }
}
