//! Rows for which a condition is true.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results},
    parameters::{CaseRule, Condition, TableName},
    planner::StepPlan,
};

/// The rows for which a condition is true.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Filter {
    /// The table.
    from: TableName,
    /// The condition.
    #[serde(rename = "where")]
    condition: Condition,
    /// Whether case counts in text, where a test does not say.
    #[serde(default = "CaseRule::sensitive")]
    case: CaseRule,
}

impl Operation for Filter {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        let condition = self.condition.expression(step, &table, self.case)?;
        Ok(step.filter(&table, condition).into())
    }
}

impl Documented for Filter {
    const NAME: &'static str = "filter";
    const REFERENCE: Reference = Reference {
        title: "Filter",
        summary: "The rows for which a condition is true.",
        types: "A column is compared with a value or a column of its type; integers and decimals compare as numbers. `contains`, \
                `startsWith` and `endsWith` are for text. Text is compared by code points.",
        blanks: "A comparison with a blank is false, and `<>` is the opposite of `=`: rows with a blank are kept by `<>`. `blank` and \
                 `notBlank` test for it.",
        rows: "Rows keep their order; duplicates are not looked at.",
        spreadsheet: "A spreadsheet's filter ignores case; say `case: \"ignore\"` for that. It also finds a blank equal to an empty \
                      text, which does not exist here.",
    };

    fn cases() -> Vec<Case> {
        let amounts = |title| {
            Case::new(title).input(
                "a",
                "id: integer | status: text | paid: decimal(2) | due: decimal(2)",
                &["1 | Paid | 10.00 | 10.00", "2 | open | | 5.00", "3 | | 7.50 | 7.00", "4 | PAID | -1.00 | 2.00"],
            )
        };
        let header = "id: integer | status: text | paid: decimal(2) | due: decimal(2)";
        vec![
            amounts("a value; case counts")
                .step(r#"{"from": "a", "where": {"column": "status", "is": "=", "value": "Paid"}}"#)
                .gives(header, &["1 | Paid | 10.00 | 10.00"]),
            amounts("a value; case does not count")
                .step(r#"{"from": "a", "case": "ignore", "where": {"column": "status", "is": "=", "value": "paid"}}"#)
                .gives(header, &["1 | Paid | 10.00 | 10.00", "4 | PAID | -1.00 | 2.00"]),
            amounts("unequal keeps blanks, greater does not")
                .step(r#"{"from": "a", "where": {"column": "paid", "is": "<>", "to": "due"}}"#)
                .gives(header, &["2 | open | | 5.00", "3 | | 7.50 | 7.00", "4 | PAID | -1.00 | 2.00"]),
            amounts("a value with more decimals than the column")
                .step(r#"{"from": "a", "where": {"column": "paid", "is": ">", "value": "7.499"}}"#)
                .gives(header, &["1 | Paid | 10.00 | 10.00", "3 | | 7.50 | 7.00"]),
            amounts("all, any, not, in and blank")
                .step(
                    r#"{"from": "a", "where": {"any": [{"column": "status", "is": "blank"}, {"all": [
                        {"column": "id", "is": "in", "values": [1, 2]}, {"not": {"column": "paid", "is": "blank"}}]}]}}"#,
                )
                .gives(header, &["1 | Paid | 10.00 | 10.00", "3 | | 7.50 | 7.00"]),
            Case::new("parts of texts, in any script")
                .input("a", "name: text", &["Straße 1", "STRASSE", "ΟΔΟΣ", "日本語", ""])
                .step(
                    r#"{"from": "a", "case": "ignore", "where": {"any": [
                        {"column": "name", "is": "startsWith", "value": "strass"},
                        {"column": "name", "is": "contains", "value": "本"},
                        {"column": "name", "is": "endsWith", "value": "ος"}]}}"#,
                )
                .gives("name: text", &["STRASSE", "ΟΔΟΣ", "日本語"]),
            Case::new("a sigma is one, at the end of a word too")
                .input("a", "name: text | part: text", &["ΟΣΟΝ | x", "ΚΟΣΜΟΣ | ΚΟΣ", "ΝΟΣΟΣ | ΟΣ", "ΣΟΦΟΣ | x", " | x"])
                .step(
                    r#"{"from": "a", "case": "ignore", "where": {"any": [
                        {"column": "name", "is": "startsWith", "value": "ΟΣ"},
                        {"column": "name", "is": "contains", "to": "part"},
                        {"column": "name", "is": "endsWith", "value": "φοσ"}]}}"#,
                )
                .gives("name: text | part: text", &["ΟΣΟΝ | x", "ΚΟΣΜΟΣ | ΚΟΣ", "ΝΟΣΟΣ | ΟΣ", "ΣΟΦΟΣ | x"]),
            Case::new("no rows")
                .input("a", "id: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "id", "is": "=", "value": 1}}"#)
                .gives("id: integer", &[]),
            Case::new("values of another type")
                .input("a", "id: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "id", "is": "=", "value": "one"}}"#)
                .refused(r#"column "id": the value "one" is no integer"#),
            Case::new("columns of another type")
                .input("a", "id: integer | day: date", &[])
                .step(r#"{"from": "a", "where": {"column": "id", "is": "<", "to": "day"}}"#)
                .refused(r#"column "id": integer is not compared with date"#),
            Case::new("a list without values")
                .input("a", "id: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "id", "is": "in", "values": []}}"#)
                .refused("`values` is an empty list: no row would meet it"),
            Case::new("what is blank has no case")
                .input("a", "name: text", &[])
                .step(r#"{"from": "a", "where": {"column": "name", "is": "blank", "case": "ignore"}}"#)
                .refused("this test compares with nothing: leave `value`, `values`, `to` and `case`"),
            Case::new("a condition without an end")
                .input("a", "id: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "id", "is": "<"}}"#)
                .refused("expected either `value` or `to`"),
        ]
    }
}
