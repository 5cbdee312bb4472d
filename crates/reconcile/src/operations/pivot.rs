//! Values of a column become columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Constant, Expression},
    operations::{Documented, Operation, Reference, Results, group_by::measured_column},
    parameters::{Literal, TableName},
    plan::{Aggregation, PlanColumn},
    planner::StepPlan,
};

/// The most columns that a pivot can make.
const PIVOT_COLUMNS_MAX: usize = 1000;

/// One row for each group, with a column for each value of a column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Pivot {
    /// The table.
    from: TableName,
    /// The columns whose values make the rows; none for one row of everything.
    rows: Vec<String>,
    /// The column whose values become columns.
    column: String,
    /// Those values, in the order of the columns: at most 1,000.
    values: Vec<PivotValue>,
    /// What is computed of each cell's rows.
    function: Aggregation,
    /// Of which column; `count` without one counts rows.
    #[serde(default)]
    of: Option<String>,
    /// What happens to rows with another value, or none.
    #[serde(default)]
    others: Others,
    /// A further column over all values, those of `others` among them unless they are dropped.
    #[serde(default)]
    total: Option<String>,
}

/// A value that becomes a column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"value\": …}")]
struct PivotValue {
    /// The value.
    value: Literal,
    /// What its column is called; as the value unless given.
    #[serde(default, rename = "as")]
    name: Option<String>,
}

/// What happens to rows whose value is not in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Others {
    /// The job fails and says which value.
    #[default]
    Fail,
    /// They are left out.
    Drop,
    /// They get a column of that name.
    Column(String),
}

impl Operation for Pivot {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let count = self.values.len();
        if count == 0 || count > PIVOT_COLUMNS_MAX {
            return Err(
                step.fail_on(&self.column, format!("expected 1 to {PIVOT_COLUMNS_MAX} `values`, there are {count}"))
            );
        }
        let table = step.table(&self.from)?;
        let keys = step.columns(&table, &self.rows)?;
        let column = step.column(&table, &self.column)?;
        let (table, of) = measured_column(step, &table, self.function, self.of.as_deref())?;
        let (mut names, mut tests) = (Vec::new(), Vec::new());
        let mut constants: Vec<Constant> = Vec::new();
        for value in &self.values {
            let (constant, test) = self.test(step, &column, value)?;
            if constants.iter().any(|other| other.same(&constant)) {
                return Err(step.fail_on(&self.column, format!("the value {} is there twice", value.value)));
            }
            names.push(value.name.clone().unwrap_or_else(|| plain(&value.value)));
            constants.push(constant);
            tests.push(test);
        }
        let listed = Expression::Or { of: tests.clone() };
        let table = match self.others {
            Others::Drop => step.filter(&table, listed.clone()),
            Others::Fail => {
                let message = format!(
                    "{:?} has a value that is not in `values`, and `others` does not say what to do",
                    self.column
                );
                step.require(&table, listed.clone(), message, vec![column.expression()])
            }
            Others::Column(_) => table,
        };
        let mut cells: Vec<Expression> =
            tests.into_iter().map(|test| Expression::case(test, of.expression(), Expression::blank(of.kind))).collect();
        if let Others::Column(name) = &self.others {
            names.push(name.clone());
            cells.push(Expression::case(listed.not(), of.expression(), Expression::blank(of.kind)));
        }
        if let Some(total) = &self.total {
            names.push(total.clone());
            cells.push(of.expression());
        }
        let (table, ids) = step.hidden(&table, cells);
        let cell =
            |(id, name): (_, String)| (name, self.function, PlanColumn { id, name: "#".to_owned(), kind: of.kind });
        let measures = ids.into_iter().zip(names).map(cell).collect();
        Ok(step.aggregate(&table, &keys, measures).into())
    }
}

impl Pivot {
    /// A value, and whether a row has it.
    fn test(
        &self,
        step: &StepPlan<'_>,
        column: &PlanColumn,
        value: &PivotValue,
    ) -> Result<(Constant, Expression), PlanError> {
        let constant = value.value.expected(column.kind).filter(|constant| !constant.value().is_blank());
        let test = |constant: Constant| {
            let (one, two) = column.expression().alike(constant.clone().into())?;
            Some((constant, one.equals(two)))
        };
        let problem =
            || step.fail_on(&self.column, format!("the value {} is no {}", value.value, column.kind.written()));
        constant.and_then(test).ok_or_else(problem)
    }
}

fn plain(value: &Literal) -> String {
    match value {
        Literal::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Documented for Pivot {
    const NAME: &'static str = "pivot";
    const REFERENCE: Reference = Reference {
        title: "Pivot",
        summary: "One row for each group, with a column for each value of a column, as a PivotTable.",
        types: "Cells have the types of `groupBy`'s measures. The values are of the column's type; they are listed, because the columns of a \
                result are known before data is read.",
        blanks: "A cell without rows is blank, a count 0. A blank in the column is one of the `others`; blanks among the rows make a group.",
        rows: "Groups come in the order of their keys, blanks last; columns in the order of `values`. A value that is not listed is an error \
               unless `others` says otherwise, so that nothing is left out in silence; with `others: \"drop\"`, a group whose rows are \
               all dropped has no row.",
        spreadsheet: "A PivotTable finds the values itself and sorts them. `total` is its Grand Total of rows.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "s",
                "region: text | year: integer | v: decimal(2)",
                &[
                    "W | 2024 | 1.00",
                    "E | 2025 | 2.00",
                    "W | 2024 | 0.50",
                    " | 2025 | ",
                    "E | 2023 | 4.00",
                    "E | | 8.00",
                ],
            )
        };
        vec![
            case("others in a column, and a total")
                .step(
                    r#"{"from": "s", "rows": ["region"], "column": "year", "values": [{"value": 2025}, {"value": 2024, "as": "last"}],
                        "function": "sum", "of": "v", "others": {"column": "other"}, "total": "all"}"#,
                )
                .gives(
                    "region: text | 2025: decimal(2) | last: decimal(2) | other: decimal(2) | all: decimal(2)",
                    &["E | 2.00 | | 12.00 | 14.00", "W | | 1.50 | | 1.50", " | | | | "],
                ),
            case("others are dropped; rows are counted")
                .step(
                    r#"{"from": "s", "rows": [], "column": "year", "values": [{"value": 2024}, {"value": 2026}], "function": "count",
                        "others": "drop", "total": "all"}"#,
                )
                .gives("2024: integer | 2026: integer | all: integer", &["2 | 0 | 2"]),
            case("a group of dropped others has no row")
                .step(
                    r#"{"from": "s", "rows": ["region"], "column": "year", "values": [{"value": 2024}], "function": "sum", "of": "v",
                        "others": "drop"}"#,
                )
                .gives("region: text | 2024: decimal(2)", &["W | 1.50"]),
            Case::new("no rows")
                .input("s", "k: integer | c: text", &[])
                .step(r#"{"from": "s", "rows": ["k"], "column": "c", "values": [{"value": "x"}], "function": "count"}"#)
                .gives("k: integer | x: integer", &[]),
            case("a value that is not listed is an error")
                .step(r#"{"from": "s", "rows": ["region"], "column": "year", "values": [{"value": 2024}, {"value": 2025}], "function": "sum", "of": "v"}"#)
                .fails(r#""year" has a value that is not in `values`, and `others` does not say what to do: "#),
            Case::new("the row of such a value is told")
                .input("s", "k: text | c: text", &["a | x", "b | y", "c | x"])
                .step(r#"{"from": "s", "rows": ["k"], "column": "c", "values": [{"value": "x"}], "function": "count"}"#)
                .fails(
                    r#"step "step" (pivot), row 2 of "s": "c" has a value that is not in `values`, and `others` does not say what to do: y"#,
                ),
            case("a value of another type")
                .step(r#"{"from": "s", "rows": [], "column": "year", "values": [{"value": "x"}], "function": "count"}"#)
                .refused(r#"column "year": the value "x" is no integer"#),
            case("a value that is there twice")
                .step(r#"{"from": "s", "rows": [], "column": "region", "values": [{"value": "W"}, {"value": "W", "as": "w"}], "function": "count"}"#)
                .refused(r#"column "region": the value "W" is there twice"#),
            case("a number that is there twice, with other decimals")
                .step(r#"{"from": "s", "rows": [], "column": "year", "values": [{"value": 2024}, {"value": "2024.0"}], "function": "count"}"#)
                .refused(r#"column "year": the value "2024.0" is there twice"#),
            case("no values")
                .step(r#"{"from": "s", "rows": [], "column": "region", "values": [], "function": "count"}"#)
                .refused("expected 1 to 1000 `values`, there are 0"),
        ]
    }
}
