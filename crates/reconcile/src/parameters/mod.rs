//! What the parameters of several operations are made of.

mod condition;
mod operand;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    condition::{ColumnTest, Condition, Test},
    operand::{Literal, Operand, ValueOperand},
};
use crate::expression::{Constant, Expression};

/// The name of an input or of a step, or `step.result` where a step has several results.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TableName(pub String);

impl TableName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Whether upper and lower case are the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CaseRule {
    /// They are: both are compared in Unicode lower case.
    Ignore,
    /// They are not.
    Sensitive,
}

impl CaseRule {
    pub(crate) fn ignore() -> Self {
        Self::Ignore
    }

    pub(crate) fn sensitive() -> Self {
        Self::Sensitive
    }

    /// The expression as it is compared.
    pub fn apply(self, expression: Expression) -> Expression {
        if self == Self::Ignore { expression.folded() } else { expression }
    }
}

/// What a blank operand counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BlankAs {
    /// Nothing: the result is blank.
    #[default]
    Blank,
    /// Zero, as in a spreadsheet.
    Zero,
}

impl BlankAs {
    /// The operand as it counts.
    pub fn apply(self, operand: Expression) -> Expression {
        let zero = Constant::parse(operand.kind(), "0").map(Expression::from);
        match (self, zero) {
            (Self::Zero, Some(zero)) => operand.or_else(zero),
            _ => operand,
        }
    }
}

/// A column of each of two tables.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"left\": …, \"right\": …}")]
pub struct KeyPair {
    /// The column of the first table.
    pub left: String,
    /// The column of the second table.
    pub right: String,
}

/// A column that is taken from a table, under another name if need be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"column\": …}")]
pub struct TakenColumn {
    /// The column.
    pub column: String,
    /// What it is called in the result; as before unless given.
    #[serde(rename = "as")]
    pub name: Option<String>,
}

impl TakenColumn {
    /// What it is called in the result.
    pub fn result(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.column)
    }
}
