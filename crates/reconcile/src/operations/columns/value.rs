//! VALUE.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Expression, NumberText, OnError},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
    types::Type,
};

/// The number that a text stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ValueOf {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The type of the result: `integer` or a decimal.
    #[serde(rename = "type")]
    kind: Type,
    /// The decimal sign.
    #[serde(default = "point")]
    decimal_sign: char,
    /// What groups digits by threes; `null` where nothing may.
    #[serde(default = "comma")]
    group_sign: Option<char>,
    /// What happens where a text is no number.
    #[serde(default)]
    on_error: OnError,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

const fn point() -> char {
    '.'
}

#[expect(clippy::unnecessary_wraps, reason = "it is the default of an option")]
const fn comma() -> Option<char> {
    Some(',')
}

impl ColumnOperation for ValueOf {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let column = step.column(table, &self.column)?;
        if column.kind != Type::Text {
            return Err(step.fail_on(&self.column, format!("expected text, it is {}", column.kind)));
        }
        if !self.kind.is_number() {
            return Err(step.fail(format!("expected the type of a number, not {}", self.kind)));
        }
        let sign = |sign: char| !sign.is_alphanumeric() && !"+-()".contains(sign);
        if Some(self.decimal_sign) == self.group_sign || !sign(self.decimal_sign) || !self.group_sign.is_none_or(sign) {
            return Err(step.fail("`decimalSign` and `groupSign` are two different signs"));
        }
        let format = NumberText { decimal: self.decimal_sign, group: self.group_sign };
        let of = Box::new(column.expression());
        Ok(Expression::ParseNumber { of, format, kind: self.kind, on_error: self.on_error })
    }
}

impl Documented for ValueOf {
    const NAME: &'static str = "value";
    const REFERENCE: Reference = Reference {
        title: "VALUE",
        summary: "The number that a text stands for, as ledgers and banks write numbers.",
        types: "Text becomes an integer or a decimal. Less than nothing is: a minus before or behind, parentheses, or `CR` behind; one of them. `DR`, a plus, spaces at the ends and \
                one currency (`$ € £ ¥ ₹` or three capitals) at either end do not count. Grouped digits are groups of three. More decimals than \
                the type has are an error, unless they are zeros: nothing is rounded.",
        blanks: "A blank stays one. With `onError: \"blank\"` a text that is no number is blank, too.",
        rows: ROW_BY_ROW,
        spreadsheet: "VALUE knows parentheses and the signs of the machine's locale, percentages and dates; it gives #VALUE! for the rest. Here a text means the same on every machine.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("ledgers and banks")
                .input("a", "x: text", &["1,234.50", "(1,234.50)", "1234.50-", "12.00 CR", "12.00 dr", "-$5", "€ 7.1", "USD 3", "1.230", ""])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "as": "z"}"#)
                .gives("x: text | z: decimal(2)", &["1,234.50 | 1234.50", "(1,234.50) | -1234.50", "1234.50- | -1234.50", "12.00 CR | -12.00", "12.00 dr | 12.00", "-$5 | -5.00", "€ 7.1 | 7.10", "USD 3 | 3.00", "1.230 | 1.23", " | "]),
            Case::new("other signs; what is no number is blank")
                .input("a", "x: text", &["1.234,5", "1,234.5", "12.34", "n/a", "1e3", "٣", "(-1)"])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(1)", "decimalSign": ",", "groupSign": ".", "onError": "blank", "as": "x"}"#)
                .gives("x: decimal(1)", &["1234.5", "", "", "", "", "", ""]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "groupSign": null, "as": "z"}"#)
                .gives("x: text | z: integer", &[]),
            Case::new("what is no number is an error")
                .input("a", "x: text", &["1", "1.5"])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "as": "z"}"#)
                .fails(r#"step "step" (value), column "z", row 2 of "a": "1.5" is no integer"#),
            Case::new("a number already")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "as": "z"}"#)
                .refused(r#"column "x": expected text, it is integer"#),
            Case::new("a type that is no number")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "date", "as": "z"}"#)
                .refused(r#"expected the type of a number, not date"#),
            Case::new("one sign for both")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "groupSign": ".", "as": "z"}"#)
                .refused(r#"two different signs"#),
        ]
    }
}
