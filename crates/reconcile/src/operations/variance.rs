//! Variance.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Expression, OnZero, Operator},
    operations::{Documented, Operation, Reference, Results, columns::arithmetic},
    parameters::{BlankAs, Operand, TableName},
    planner::StepPlan,
    types::{Rounding, SCALE_MAX, Type},
};

/// How far an amount is from another, and in percent of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Variance {
    /// The table.
    from: TableName,
    /// The amount that is.
    actual: Operand,
    /// The amount that should be: the base of the percentage.
    expected: Operand,
    /// The new column with `actual` − `expected`.
    difference: String,
    /// The new column with the difference in percent of `expected`, without its sign; none unless given.
    #[serde(default)]
    percent: Option<String>,
    /// The decimals of the percentage, 18 at most; 2 unless given.
    #[serde(default)]
    percent_decimals: Option<u8>,
    /// How the percentage is rounded; `halfUp` unless given.
    #[serde(default)]
    rounding: Option<Rounding>,
    /// What the percentage of an `expected` of zero is; `blank` unless given.
    #[serde(default)]
    on_zero: Option<OnZero>,
    /// What a blank amount counts as.
    #[serde(default)]
    blank_as: BlankAs,
}

/// The most decimals of a percentage: the share that it is has two more.
const PERCENT_DECIMALS_MAX: u8 = SCALE_MAX - 2;

impl Operation for Variance {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        if self.percent.as_ref() == Some(&self.difference) {
            return Err(step.fail_on(&self.difference, "the difference and the percentage would have one name"));
        }
        let decimal = |operand: &Operand| {
            let operand = self.blank_as.apply(operand.number(step, &table)?);
            let kind = Type::Decimal(operand.kind().scale());
            operand.cast(kind).ok_or_else(|| step.fail("expected a number"))
        };
        let (actual, expected) = (decimal(&self.actual)?, decimal(&self.expected)?);
        let half_up = Rounding::HalfUp;
        let difference = arithmetic(step, Operator::Subtract, actual, expected.clone(), None, half_up, OnZero::Fail)?;
        let mut new = vec![(self.difference.clone(), difference.clone())];
        if let Some(percent) = &self.percent {
            let base = Expression::Absolute { of: Box::new(expected) };
            new.push((percent.clone(), self.percentage(step, difference, base)?));
        } else if self.percent_decimals.is_some() || self.rounding.is_some() || self.on_zero.is_some() {
            return Err(step.fail("`percentDecimals`, `rounding` and `onZero` do not go without `percent`"));
        }
        Ok(step.extend(&table, new).into())
    }
}

impl Variance {
    /// The difference in percent of the base. What is rounded is the share, with two decimals more: a hundred times the
    /// difference may not fit where the percentage does.
    fn percentage(
        &self,
        step: &StepPlan<'_>,
        difference: Expression,
        base: Expression,
    ) -> Result<Expression, PlanError> {
        let decimals = self.percent_decimals.unwrap_or(2);
        if decimals > PERCENT_DECIMALS_MAX {
            return Err(step.fail(format!("`percentDecimals` is at most {PERCENT_DECIMALS_MAX}")));
        }
        let (rounding, on_zero) = (self.rounding.unwrap_or_default(), self.on_zero.unwrap_or(OnZero::Blank));
        let share = arithmetic(step, Operator::Divide, difference, base, Some(decimals + 2), rounding, on_zero)?;
        let hundred = Expression::integer(100);
        arithmetic(step, Operator::Multiply, share, hundred, Some(decimals), rounding, OnZero::Fail)
    }
}

impl Documented for Variance {
    const NAME: &'static str = "variance";
    const REFERENCE: Reference = Reference {
        title: "Variance",
        summary: "How far an amount is from the expected one, and in percent of it.",
        types: "Numbers; the difference is a decimal with the decimals of the operand with more of them, the percentage has `percentDecimals`. \
                The percentage is of the exact difference, rounded once.",
        blanks: "Where an amount is blank, so are the results; with `blankAs: \"zero\"` a blank counts as 0. The percentage of an expected amount \
                 of 0 is blank, or an error with `onZero: \"fail\"`.",
        rows: "Row by row: rows and their order stay. A column that is called as a result is replaced where it stands.",
        spreadsheet: "As `=B2-C2` and `=100*(B2-C2)/ABS(C2)`; a division by zero is #DIV/0! there.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "a",
                "is: decimal(2) | due: integer",
                &["110.00 | 100", "-110.00 | -100", "5.00 | 0", " | 7", "0.01 | 3", "0.00 | 8"],
            )
        };
        vec![
            case("the difference, and in percent")
                .step(r#"{"from": "a", "actual": "is", "expected": "due", "difference": "d", "percent": "p"}"#)
                .gives(
                    "is: decimal(2) | due: integer | d: decimal(2) | p: decimal(2)",
                    &[
                        "110.00 | 100 | 10.00 | 10.00",
                        "-110.00 | -100 | -10.00 | -10.00",
                        "5.00 | 0 | 5.00 | ",
                        " | 7 | | ",
                        "0.01 | 3 | -2.99 | -99.67",
                        "0.00 | 8 | -8.00 | -100.00",
                    ],
                ),
            Case::new("a blank as zero; another rounding; against a value")
                .input("a", "is: decimal(2)", &["", "8.01"])
                .step(
                    r#"{"from": "a", "actual": "is", "expected": {"value": 8}, "difference": "d", "percent": "p", "blankAs": "zero",
                        "percentDecimals": 1, "rounding": "down"}"#,
                )
                .gives("is: decimal(2) | d: decimal(2) | p: decimal(1)", &[" | -8.00 | -100.0", "8.01 | 0.01 | 0.1"]),
            Case::new("integers do not overflow: the result is decimal")
                .input("a", "x: integer | y: integer", &["9223372036854775807 | -9223372036854775808"])
                .step(r#"{"from": "a", "actual": "x", "expected": "y", "difference": "d"}"#)
                .gives("x: integer | y: integer | d: decimal(0)", &["9223372036854775807 | -9223372036854775808 | 18446744073709551615"]),
            Case::new("a percentage fits where a hundred times the difference does not")
                .input("a", "is: decimal(20) | due: decimal(20)", &["20000000000000000 | 10000000000000000", "10000000000000000 | 0"])
                .step(r#"{"from": "a", "actual": "is", "expected": "due", "difference": "d", "percent": "p"}"#)
                .gives(
                    "is: decimal(20) | due: decimal(20) | d: decimal(20) | p: decimal(2)",
                    &["20000000000000000 | 10000000000000000 | 10000000000000000 | 100.00", "10000000000000000 | 0 | 10000000000000000 | "],
                ),
            Case::new("no rows").input("a", "x: integer", &[]).step(r#"{"from": "a", "actual": "x", "expected": "x", "difference": "x"}"#).gives("x: decimal(0)", &[]),
            case("a division by zero can be an error")
                .step(r#"{"from": "a", "actual": "is", "expected": "due", "difference": "d", "percent": "p", "onZero": "fail"}"#)
                .fails(r#"column "p", row 3 of "a": division by zero"#),
            case("a percentage that nobody wants")
                .step(r#"{"from": "a", "actual": "is", "expected": "due", "difference": "d", "percentDecimals": 1}"#)
                .refused("`percentDecimals`, `rounding` and `onZero` do not go without `percent`"),
            case("a percentage of too many decimals")
                .step(r#"{"from": "a", "actual": "is", "expected": "due", "difference": "d", "percent": "p", "percentDecimals": 19}"#)
                .refused("`percentDecimals` is at most 18"),
            case("one name for both")
                .step(r#"{"from": "a", "actual": "is", "expected": "due", "difference": "d", "percent": "d"}"#)
                .refused("the difference and the percentage would have one name"),
            Case::new("text is no amount")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "actual": "x", "expected": "x", "difference": "d"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
