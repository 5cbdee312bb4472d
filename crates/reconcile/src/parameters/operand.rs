//! Values and columns that something is computed of.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;

use crate::{
    decimal,
    error::PlanError,
    expression::{Constant, Expression},
    planner::{StepPlan, Table},
    types::Type,
};

/// A value that stands in the job: text, a whole number, or true or false. A decimal is written as text, `"12.50"`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(untagged)]
pub enum Literal {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Anything else, as text: also a decimal, a date or a timestamp, by where it stands.
    Text(String),
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Bool(truth) => Ok(Self::Boolean(truth)),
            Json::String(text) if text.contains('\0') => Err(de::Error::custom("a text has no NUL character")),
            Json::String(text) => Ok(Self::Text(text)),
            Json::Number(number) => number.as_i64().map(Self::Integer).ok_or_else(|| {
                de::Error::custom(format!(
                    "{number} cannot be held exactly as a JSON number: write it as text, \"{number}\""
                ))
            }),
            _ => Err(de::Error::custom("expected text, a whole number, true or false")),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Literal {
    fn plain(&self) -> String {
        match self {
            Self::Boolean(truth) => truth.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// The value where one of that type is expected; a number may have more decimals than the type. `None` when it is
    /// none.
    pub fn expected(&self, kind: Type) -> Option<Constant> {
        let fits = match self {
            Self::Boolean(_) => kind == Type::Boolean,
            Self::Integer(_) => kind.is_number(),
            Self::Text(text) => kind != Type::Boolean || text.is_empty(),
        };
        let text = self.plain();
        if !fits {
            return None;
        }
        if kind.is_number() && !text.is_empty() {
            let (_, scale) = decimal::parse(&text)?;
            let wide = if scale == 0 { Type::Integer } else { Type::Decimal(scale.min(crate::types::SCALE_MAX)) };
            let narrow = if kind == Type::Integer { wide } else { kind.common(wide)? };
            return Constant::parse(narrow, &text).or_else(|| Constant::parse(Type::Decimal(kind.scale()), &text));
        }
        Constant::parse(kind, &text)
    }

    /// The value by its own form: true or false, a number where it is written as one, else text.
    pub fn by_form(&self) -> Constant {
        match self {
            Self::Boolean(truth) => Constant::boolean(*truth),
            Self::Integer(number) => Constant::integer(*number),
            Self::Text(text) => Constant::text(text),
        }
    }
}

/// What is calculated with: a column by its name, or `{"value": "1.5"}`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(untagged)]
pub enum Operand {
    /// A column.
    Column(String),
    /// A value that is the same in every row.
    Value(ValueOperand),
}

/// A value that is the same in every row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValueOperand {
    /// The value.
    pub value: Literal,
    /// Its type, where it does not follow from its place.
    #[serde(default, rename = "type")]
    pub kind: Option<Type>,
}

impl<'de> Deserialize<'de> for Operand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::String(column) => Ok(Self::Column(column)),
            Json::Object(map) => serde_json::from_value(Json::Object(map)).map(Self::Value).map_err(de::Error::custom),
            _ => Err(de::Error::custom("expected a column's name, or a value as {\"value\": …}")),
        }
    }
}

impl Operand {
    /// The operand as an expression. `expected` is the type that a value has where it says none.
    pub fn expression(
        &self,
        step: &StepPlan<'_>,
        table: &Table,
        expected: Option<Type>,
    ) -> Result<Expression, PlanError> {
        match self {
            Self::Column(name) => Ok(step.column(table, name)?.expression()),
            Self::Value(ValueOperand { value, kind }) => {
                let constant = match (kind, expected) {
                    // A type that is said is the value's, whatever its decimals.
                    (Some(kind), _) => {
                        value.expected(*kind).and_then(|constant| Expression::from(constant).cast(*kind))
                    }
                    (None, Some(kind)) => value.expected(kind).map(Expression::from),
                    (None, None) => Some(value.by_form().into()),
                };
                let kind = kind.or(expected).unwrap_or(Type::Text);
                constant.ok_or_else(|| step.fail(format!("the value {value} is no {}", kind.written())))
            }
        }
    }

    /// The operand as a number: a column of numbers, or a value that is one.
    pub fn number(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        match self {
            Self::Column(name) => Ok(step.number(table, name)?.expression()),
            Self::Value(_) => {
                let number = self.expression(step, table, Some(Type::Integer))?;
                if number.kind().is_number() {
                    Ok(number)
                } else {
                    Err(step.fail(format!("expected a number, it is {}", number.kind())))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_no_json_numbers() {
        let read = |text: &str| serde_json::from_str::<Literal>(text).map_err(|error| error.to_string());
        assert_eq!(read("7"), Ok(Literal::Integer(7)));
        assert_eq!(read("\"1.5\"").unwrap().expected(Type::Decimal(2)), Constant::parse(Type::Decimal(2), "1.50"));
        assert_eq!(read("\"1.555\"").unwrap().expected(Type::Decimal(2)), Constant::parse(Type::Decimal(3), "1.555"));
        assert!(read("1.5").unwrap_err().contains("write it as text, \"1.5\""));
        assert!(read("9223372036854775808").is_err());
        assert!(read("null").is_err());
    }
}
