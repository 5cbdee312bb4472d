//! The number that a text stands for.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Credit, Expression, NumberText, OnError},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, text},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
    types::Type,
};

/// The number that a text stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Value {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The result's type: integer or decimal.
    #[serde(rename = "type")]
    kind: Type,
    /// The decimal sign.
    #[serde(default = "point")]
    decimal_char: char,
    /// What groups digits by threes; null where nothing may. A space stands for no-break spaces, too.
    #[serde(default = "comma")]
    group_char: Option<char>,
    /// What `CR` behind a number means; `DR` is the opposite.
    #[serde(default)]
    credit: Credit,
    /// What a text is that is no number of that type.
    #[serde(default)]
    on_error: OnError,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

/// Signs that have another meaning in numbers.
const TAKEN: [char; 10] = ['-', '\u{2212}', '+', '(', ')', '$', '€', '£', '¥', '₹'];

const fn point() -> char {
    '.'
}

#[expect(clippy::unnecessary_wraps, reason = "it is the value of an optional parameter")]
const fn comma() -> Option<char> {
    Some(',')
}

impl ColumnOperation for Value {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = text(step, table, &self.column)?;
        if !self.kind.is_number() {
            return Err(step.fail(format!("`type` is integer or decimal, it is {}", self.kind)));
        }
        for sign in [Some(self.decimal_char), self.group_char].into_iter().flatten() {
            if sign.is_alphanumeric() || sign.is_control() || TAKEN.contains(&sign) {
                return Err(step.fail(format!("{sign:?} cannot separate digits")));
            }
        }
        if self.group_char == Some(self.decimal_char) || self.decimal_char.is_whitespace() {
            return Err(step.fail(format!("the decimal sign cannot be {:?}", self.decimal_char)));
        }
        let format = NumberText { decimal: self.decimal_char, group: self.group_char, credit: self.credit };
        Ok(Expression::ParseNumber { of, format, kind: self.kind, on_error: self.on_error })
    }
}

impl Documented for Value {
    const NAME: &'static str = "value";
    const REFERENCE: Reference = Reference {
        title: "VALUE",
        summary: "The number that a text stands for: also one with separators, parentheses, a trailing minus, DR or \
                CR, or a currency.",
        types: "Text; gives `type`. Nothing is rounded: a number with more decimals than the type, unless they are \
                zeros, is an error, as is one that does not fit, and a text that is no number; or they are blank with \
                `onError: \"blank\"`. A minus, parentheses and CR (or DR, with `credit: \"positive\"`) are for less \
                than nothing; two such signs are an error. One currency is passed over: $, €, £, ¥, ₹ or three capital \
                letters, so `INV 7` is read as 7: filter out first what is no amount. Spaces around all of these do not \
                count.",
        blanks: "A blank stays blank.",
        rows: ROW_BY_ROW,
        spreadsheet: "As VALUE and NUMBERVALUE, with signs of their own instead of those of the computer. Those \
                read percent signs, exponents, dates and times, too, which are errors here; they do not read DR, CR or \
                a minus behind. NUMBERVALUE passes over separators anywhere; here they must part groups of three.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("as ledgers and banks write")
                .input(
                    "a",
                    "x: text",
                    &[
                        "1,234.50",
                        "(1,234.50)",
                        "1234.5-",
                        "1,234.50 CR",
                        "1,234.50 dr",
                        "-$5",
                        "EUR 5",
                        "1,000 IDR",
                        "7",
                        "\" .5 \"",
                        "-0.00",
                        "",
                    ],
                )
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "as": "z"}"#)
                .gives(
                    "x: text | z: decimal(2)",
                    &[
                        "1,234.50 | 1234.50",
                        "(1,234.50) | -1234.50",
                        "1234.5- | -1234.50",
                        "1,234.50 CR | -1234.50",
                        "1,234.50 dr | 1234.50",
                        "-$5 | -5.00",
                        "EUR 5 | 5.00",
                        "1,000 IDR | 1000.00",
                        "7 | 7.00",
                        "\" .5 \" | 0.50",
                        "-0.00 | 0.00",
                        " | ",
                    ],
                ),
            Case::new("a comma as decimal sign")
                .input("a", "x: text", &["1.234,50", "1234,5", "-1,00 €"])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "decimalChar": ",", "groupChar": ".", "as": "z"}"#)
                .gives("x: text | z: decimal(2)", &["1.234,50 | 1234.50", "1234,5 | 1234.50", "-1,00 € | -1.00"]),
            Case::new("grouped by spaces of any kind")
                .input("a", "x: text", &["1 234 567,8", "1\u{a0}234,00", "1\u{202f}234"])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(1)", "decimalChar": ",", "groupChar": " ", "as": "z"}"#)
                .gives(
                    "x: text | z: decimal(1)",
                    &["1 234 567,8 | 1234567.8", "1\u{a0}234,00 | 1234.0", "1\u{202f}234 | 1234.0"],
                ),
            Case::new("a statement, on which credits are money that came")
                .input("a", "x: text", &["10.00 CR", "10.00 DR", "10.00", "10.00-"])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "credit": "positive", "as": "z"}"#)
                .gives(
                    "x: text | z: decimal(2)",
                    &["10.00 CR | 10.00", "10.00 DR | -10.00", "10.00 | 10.00", "10.00- | -10.00"],
                ),
            Case::new("what is no number can be blank")
                .input(
                    "a",
                    "x: text",
                    &[
                        "n/a",
                        "1.234",
                        "12,34",
                        "(-5)",
                        "5% ",
                        "1e3",
                        "٣",
                        "--1",
                        "1 2",
                        "99999999999999999999999999999999999999",
                    ],
                )
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "onError": "blank", "as": "z"}"#)
                .gives(
                    "x: text | z: decimal(2)",
                    &[
                        "n/a | ",
                        "1.234 | ",
                        "12,34 | ",
                        "(-5) | ",
                        "5% | ",
                        "1e3 | ",
                        "٣ | ",
                        "--1 | ",
                        "1 2 | ",
                        "99999999999999999999999999999999999999 | ",
                    ],
                ),
            Case::new("integers")
                .input("a", "x: text", &["9,223,372,036,854,775,807", "-9223372036854775808", "7.00"])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "as": "z"}"#)
                .gives(
                    "x: text | z: integer",
                    &[
                        "9,223,372,036,854,775,807 | 9223372036854775807",
                        "-9223372036854775808 | -9223372036854775808",
                        "7.00 | 7",
                    ],
                ),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "as": "z"}"#)
                .gives("x: text | z: decimal(2)", &[]),
            Case::new("a text that is no number is an error")
                .input("a", "x: text", &["1", "one"])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "as": "z"}"#)
                .fails(r#"step "step" (value), column "z", row 2 of "a": "one" is no decimal(2)"#),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: text", &["9223372036854775808"])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "as": "z"}"#)
                .fails(r#""9223372036854775808" is no integer"#),
            Case::new("more decimals than the type are an error")
                .input("a", "x: text", &["1.005"])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "as": "z"}"#)
                .fails(r#""1.005" is no decimal(2)"#),
            Case::new("no groups are read where there are none")
                .input("a", "x: text", &["1,000"])
                .step(r#"{"from": "a", "column": "x", "type": "integer", "groupChar": null, "as": "z"}"#)
                .fails(r#""1,000" is no integer"#),
            Case::new("a number already")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "as": "z"}"#)
                .refused(r#"column "x": expected text, it is integer"#),
            Case::new("a type that is no number")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "date", "as": "z"}"#)
                .refused("`type` is integer or decimal, it is date"),
            Case::new("one sign for two things")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "decimalChar": ",", "as": "z"}"#)
                .refused("the decimal sign cannot be ','"),
            Case::new("a sign that is another")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "type": "decimal(2)", "groupChar": "-", "as": "z"}"#)
                .refused("'-' cannot separate digits"),
        ]
    }
}
