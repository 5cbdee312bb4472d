//! What can be wrong with a job, before its data is read and while it is.

use std::fmt;

use error_class::{Classified, ErrorClass};

/// Why a job cannot be planned. No data has been read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The document is not as it should be.
    #[error("{path}: {problem}")]
    Document {
        /// The key, as a path from the document's top: `steps[2].columns[0].name`.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An input cannot be used.
    #[error("input {input:?}: {problem}")]
    Input {
        /// The input.
        input: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A step does not go with what it is given.
    #[error("step {step:?} ({operation}){}: {problem}", about(column.as_deref()))]
    Step {
        /// The step.
        step: String,
        /// Its operation.
        operation: String,
        /// The column that it is about, where it is about one.
        column: Option<String>,
        /// What is wrong.
        problem: String,
    },
}

impl PlanError {
    pub(crate) fn document(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Document { path: path.into(), problem: problem.into() }
    }

    pub(crate) fn input(input: &str, problem: impl Into<String>) -> Self {
        Self::Input { input: input.to_owned(), problem: problem.into() }
    }
}

impl Classified for PlanError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

fn about(column: Option<&str>) -> String {
    column.map_or_else(String::new, |column| format!(", column {column:?}"))
}

/// What a cell or a row does that no plan can know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number has more digits than its type.
    #[error("the result does not fit {0}")]
    Overflow(crate::types::Type),
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A text that stands for no number.
    #[error("{text:?} is no {kind}")]
    NotANumber {
        /// The text.
        text: String,
        /// What was expected.
        kind: crate::types::Type,
    },
    /// A text that stands for no day.
    #[error("{text:?} is no date as {format}")]
    NotADate {
        /// The text.
        text: String,
        /// How it should be written.
        format: String,
    },
    /// A difference of days that are the wrong way round.
    #[error("{from} is after {to}")]
    DatesReversed {
        /// The first.
        from: String,
        /// The second.
        to: String,
    },
    /// What the step requires is not so.
    #[error("{0}")]
    Required(String),
    /// A group of a match has too many candidates.
    #[error(
        "the rows with {keys} have more than {most} candidate pairs: match by a further key, or with less tolerance"
    )]
    TooManyCandidates {
        /// The keys' values.
        keys: String,
        /// How many there can be.
        most: usize,
    },
    /// The plan is not one that a planner made.
    #[error("the plan is not sound: {0}")]
    Plan(&'static str),
}

/// The row of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRow {
    /// The input.
    pub input: String,
    /// Which of its objects, from 0.
    pub object: i64,
    /// Which row of it; the first is 1.
    pub row: i64,
}

impl fmt::Display for InputRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, object, row } = self;
        if *object == 0 {
            write!(f, ", row {row} of {input:?}")
        } else {
            write!(f, ", row {row} of object {} of {input:?}", object + 1)
        }
    }
}

/// Why a plan could not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step:?} ({operation}){}{}: {fault}", about(column.as_deref()), place(row.as_ref()))]
pub struct RunError {
    /// The step.
    pub step: String,
    /// Its operation.
    pub operation: String,
    /// The column that was computed, where it was one.
    pub column: Option<String>,
    /// The row of an input that it was computed of, where it was one.
    pub row: Option<InputRow>,
    /// What is wrong.
    pub fault: Box<Fault>,
}

fn place(row: Option<&InputRow>) -> String {
    row.map_or_else(String::new, InputRow::to_string)
}

impl Classified for RunError {
    fn class(&self) -> ErrorClass {
        match *self.fault {
            Fault::Plan(_) => ErrorClass::Bug,
            _ => ErrorClass::InvalidInput,
        }
    }
}
