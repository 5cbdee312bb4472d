//! The report: what an engine says of a task that it has run. It is the last that the engine writes, and what it does not name
//! does not count.

use std::{collections::BTreeMap, fmt};

use error_class::ErrorClass;
use ethnum::I256;
use serde::{Deserialize, Serialize};

use crate::{
    error::RunError,
    types::{Type, Value},
};

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`Report::VERSION`].
    pub version: u32,
    /// Who ran it.
    pub engine: Engine,
    /// How it ended: in JSON, `failure`, or the keys of [`Figures`].
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What runs tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Engine {
    /// The one in a function.
    Embedded,
    /// The distributed one.
    Spark,
}

impl Engine {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Spark => "spark",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It could not be run to its end.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// All its outputs are there.
    Done(Figures),
}

/// Why a task could not be run to its end. What is known of the place is said, for people, in `message` too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// What is to be done about it: [`ErrorClass::InvalidInput`] where the data is at fault.
    pub class: ErrorClass,
    /// What is wrong.
    pub message: String,
    /// The step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Its operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The column that was computed, or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The input that the row is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The key of the object that the row is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Which row of it: the first behind the header is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
}

/// What a task made, and what it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// What was read, by input.
    pub inputs: BTreeMap<String, InputFigures>,
    /// What was done, as far as the engine can tell steps apart.
    pub steps: Vec<StepFigures>,
    /// What was written, in the order of the plan.
    pub outputs: Vec<OutputFigures>,
    /// How long it took.
    pub milliseconds: u64,
    /// The most memory that it held.
    pub peak_memory_bytes: u64,
    /// What it wrote to disk because memory was short.
    pub spilled_bytes: u64,
}

/// What was read of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputFigures {
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What was read of each object, in their order; of Parquet, of which no more is read than is needed, nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectFigures>,
}

/// What was read of an object of CSV or JSON lines, counted where bytes have become rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectFigures {
    /// Its key.
    pub key: String,
    /// Its rows, a header not counted.
    pub rows: u64,
    /// Its bytes: those that are no row's, such as a header, are counted too.
    pub bytes: u64,
}

/// What a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepFigures {
    /// The step.
    pub step: String,
    /// Its operation.
    pub operation: String,
    /// The rows that came of it: of a step with several results those of all that something is made of, together.
    pub rows: u64,
    /// The bytes of their cells, where the engine counts them: 8 of an integer or a timestamp, 16 of a decimal, 4 of a date,
    /// 1 of a boolean, those of the UTF-8 of a text; none of a blank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The time that went into it, of all processors together, where the engine can tell steps apart: Spark computes many
    /// of them in one piece of code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
}

/// What was written of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputFigures {
    /// The output.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The exact sum of each column of numbers, as [`Sum`] writes it: made of the cells before they were written.
    pub totals: BTreeMap<String, String>,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Its key, whole, in the bucket of the task's output.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

impl Report {
    /// The version of reports that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// A report of that.
    pub const fn new(engine: Engine, outcome: Outcome) -> Self {
        Self { version: Self::VERSION, engine, outcome }
    }
}

impl Failure {
    /// The failure of a step; `object` knows the keys of an input's objects.
    pub fn of(error: &RunError, object: impl Fn(&str, i64) -> Option<String>) -> Self {
        use error_class::Classified as _;

        let (input, key, row) = match &error.row {
            Some(at) => (Some(at.input.clone()), object(&at.input, at.object), u64::try_from(at.row).ok()),
            None => (None, None, None),
        };
        let of = key.as_ref().map_or_else(String::new, |key| format!(" ({key})"));
        Self {
            class: error.class(),
            message: format!("{error}{of}"),
            step: Some(error.step.clone()),
            operation: Some(error.operation.clone()),
            column: error.column.clone(),
            input,
            object: key,
            row,
        }
    }
}

/// The exact sum of a column of numbers; blanks add nothing.
///
/// Cells have at most 38 digits, so that 256 bits hold the sum of more rows than can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    units: I256,
    scale: u8,
}

impl Sum {
    /// Of no cells yet; `None` where the type is no number.
    pub fn of(kind: Type) -> Option<Self> {
        kind.is_number().then(|| Self { units: I256::ZERO, scale: kind.scale() })
    }

    /// The sum that [`Sum`]'s `Display` has written for a column of that type; `None` of any other text.
    pub fn parse(kind: Type, text: &str) -> Option<Self> {
        let sum = Self::of(kind)?;
        let digits: String = text.chars().filter(|character| *character != '.').collect();
        let sum = Self { units: digits.parse().ok()?, ..sum };
        (sum.to_string() == text).then_some(sum)
    }

    /// Adds a cell of the column.
    pub fn add(&mut self, cell: &Value) {
        match cell {
            Value::Integer(number) => self.add_units(i128::from(*number)),
            Value::Decimal(units) => self.add_units(*units),
            _ => {}
        }
    }

    /// Adds so many units of the column's last decimal.
    pub fn add_units(&mut self, units: i128) {
        self.units = self.units.wrapping_add(I256::new(units));
    }

    /// Adds the sum of other cells of the column.
    pub fn merge(&mut self, other: &Self) {
        self.units = self.units.wrapping_add(other.units);
    }
}

/// With all the decimals of the column: `-12.50`, `0.00`.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = scale + 1);
        let sign = if self.units < 0 { "-" } else { "" };
        match digits.split_at_checked(digits.len() - scale) {
            Some((whole, decimals)) if scale > 0 => write!(f, "{sign}{whole}.{decimals}"),
            _ => write!(f, "{sign}{digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::{Fault, InputRow};

    #[test]
    fn a_report_is_stored_and_read_as_it_was() {
        for written in [
            json!({
                "version": 1, "engine": "spark",
                "inputs": {
                    "orders": {"rows": 2, "bytes": 40, "objects": [{"key": "acme/orders.csv", "rows": 2, "bytes": 40}]},
                    "sums": {"rows": 1, "bytes": 900},
                },
                "steps": [
                    {"step": "dear", "operation": "filter", "rows": 1},
                    {"step": "sum", "operation": "groupBy", "rows": 1, "bytes": 16, "milliseconds": 1},
                ],
                "outputs": [{"name": "dear", "rows": 1, "totals": {"Price": "100.00"},
                    "parts": [{"key": "acme/jobs/close/attempt=1/output/dear/part-00000.csv", "bytes": 10, "rows": 1}]}],
                "milliseconds": 12, "peakMemoryBytes": 1024, "spilledBytes": 0,
            }),
            json!({"version": 1, "engine": "embedded", "failure": {"class": "InvalidInput", "message": "division by zero",
                "step": "ratio", "operation": "divide", "column": "Ratio", "input": "orders", "object": "o.csv", "row": 7}}),
            json!({"version": 1, "engine": "embedded", "failure": {"class": "Unavailable", "message": "the store is away"}}),
        ] {
            let read: Report = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), written);
            assert_eq!(matches!(read.outcome, Outcome::Failed { .. }), written.get("failure").is_some());
        }
        serde_json::from_value::<Report>(json!({"version": 1, "engine": "embedded"})).unwrap_err();
    }

    #[test]
    fn a_failure_names_the_object_and_the_row() {
        let error = RunError {
            step: "ratio".to_owned(),
            operation: "divide".to_owned(),
            column: Some("Ratio".to_owned()),
            row: Some(InputRow { input: "orders".to_owned(), object: 1, row: 7 }),
            fault: Box::new(Fault::DivisionByZero),
        };
        let failure = Failure::of(&error, |input, object| Some(format!("{input}/{object}.csv")));
        assert_eq!((failure.object.as_deref(), failure.row), (Some("orders/1.csv"), Some(7)));
        assert_eq!(failure.class, ErrorClass::InvalidInput);
        assert!(failure.message.ends_with("division by zero (orders/1.csv)"), "{}", failure.message);
    }

    #[test]
    fn sums_are_exact_beyond_what_a_cell_holds() {
        let most = 10_i128.pow(38) - 1;
        let mut sum = Sum::of(Type::Decimal(2)).unwrap();
        for _ in 0..3 {
            sum.add(&Value::Decimal(most));
        }
        sum.add(&Value::Blank);
        assert_eq!(sum.to_string(), "2999999999999999999999999999999999999.97");
        let mut other = Sum::of(Type::Decimal(2)).unwrap();
        for _ in 0..3 {
            other.add(&Value::Decimal(-most));
        }
        other.add(&Value::Decimal(-5));
        sum.merge(&other);
        assert_eq!(sum.to_string(), "-0.05");
        assert_eq!(Sum::of(Type::Integer).unwrap().to_string(), "0");
        assert_eq!(Sum::of(Type::Decimal(2)).unwrap().to_string(), "0.00");
        assert_eq!(Sum::of(Type::Text), None);
    }

    #[test]
    fn a_sum_is_read_as_it_was_written() {
        let mut beyond = Sum::of(Type::Decimal(2)).unwrap();
        (0..1_000).for_each(|_| beyond.add_units(-i128::MAX));
        for (kind, text) in [
            (Type::Decimal(2), "0.00"),
            (Type::Decimal(2), "-0.05"),
            (Type::Decimal(2), beyond.to_string().as_str()),
            (Type::Decimal(0), "-7"),
            (Type::Integer, "9223372036854775808000"),
        ] {
            assert_eq!(Sum::parse(kind, text).map(|sum| sum.to_string()).as_deref(), Some(text), "{kind}");
        }
        for (kind, text) in [
            (Type::Decimal(2), "1.5"),
            (Type::Decimal(2), "1.500"),
            (Type::Decimal(2), "15"),
            (Type::Decimal(2), "-0.00"),
            (Type::Decimal(2), "01.00"),
            (Type::Decimal(2), "+1.00"),
            (Type::Decimal(2), "1.0.0"),
            (Type::Integer, "1.0"),
            (Type::Integer, ""),
            (Type::Text, "1"),
        ] {
            assert_eq!(Sum::parse(kind, text), None, "{kind} {text:?}");
        }
    }
}
