//! Values that stand in a plan.

use serde::{Deserialize, Serialize};

use crate::{
    decimal,
    types::{Type, Value},
};

/// A typed value that stands in the plan itself; in JSON `value` is its text, or null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ConstantForm", into = "ConstantForm")]
pub struct Constant {
    value: Value,
    kind: Type,
}

#[derive(Serialize, Deserialize)]
struct ConstantForm {
    value: Option<String>,
    #[serde(rename = "type")]
    kind: Type,
}

impl Constant {
    /// That text as a value of the type; `None` when it is none.
    pub fn parse(kind: Type, text: &str) -> Option<Self> {
        kind.parse(text).map(|value| Self { value, kind })
    }

    /// A blank of the type.
    pub const fn blank(kind: Type) -> Self {
        Self { value: Value::Blank, kind }
    }

    /// A whole number.
    pub const fn integer(number: i64) -> Self {
        Self { value: Value::Integer(number), kind: Type::Integer }
    }

    /// True or false.
    pub const fn boolean(truth: bool) -> Self {
        Self { value: Value::Boolean(truth), kind: Type::Boolean }
    }

    /// Text; blank where it has no characters.
    pub fn text(text: &str) -> Self {
        Self { value: Value::text(text), kind: Type::Text }
    }

    /// The value.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Whether it is the same value as another: numbers are, whatever their decimals.
    pub fn same(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(one), Some(two)) => decimal::compare(one, two).is_eq(),
            _ => self.value == other.value,
        }
    }

    /// Its units and decimals, where it is a number.
    fn number(&self) -> Option<(i128, u8)> {
        match self.value {
            Value::Integer(number) => Some((number.into(), 0)),
            Value::Decimal(units) => Some((units, self.kind.scale())),
            _ => None,
        }
    }

    /// Its type.
    pub const fn kind(&self) -> Type {
        self.kind
    }
}

impl From<Constant> for ConstantForm {
    fn from(constant: Constant) -> Self {
        let value = (!constant.value.is_blank()).then(|| constant.kind.format(&constant.value));
        Self { value, kind: constant.kind }
    }
}

impl TryFrom<ConstantForm> for Constant {
    type Error = String;

    fn try_from(form: ConstantForm) -> Result<Self, String> {
        let text = form.value.unwrap_or_default();
        Self::parse(form.kind, &text).ok_or_else(|| format!("{text:?} is no {}", form.kind))
    }
}
