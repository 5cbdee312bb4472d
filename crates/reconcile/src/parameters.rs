//! What the parameters of several operations are made of.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value as Json;

use crate::{
    decimal,
    error::PlanError,
    expression::{Comparison, Constant, Expression},
    planner::{StepPlan, Table},
    types::Type,
};

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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPair {
    /// The column of the first table.
    pub left: String,
    /// The column of the second table.
    pub right: String,
}

/// A column that is taken from a table, under another name if need be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
                let constant = match kind.or(expected) {
                    None => Some(value.by_form()),
                    Some(kind) => value.expected(kind),
                };
                let kind = kind.or(expected).unwrap_or(Type::Text);
                constant.map(Expression::from).ok_or_else(|| step.fail(format!("the value {value} is no {kind}")))
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

/// What is true or false of a row.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(untagged)]
pub enum Condition {
    /// All of them are true.
    All {
        /// The conditions.
        all: Vec<Condition>,
    },
    /// One of them at least is true.
    Any {
        /// The conditions.
        any: Vec<Condition>,
    },
    /// It is not true.
    Not {
        /// The condition.
        not: Box<Condition>,
    },
    /// A column and what it is compared with.
    Compare(Box<ColumnTest>),
}

/// A column and what it is compared with: `value`, `values` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnTest {
    /// The column.
    pub column: String,
    /// How it is compared.
    pub is: Test,
    /// With a value.
    #[serde(default)]
    pub value: Option<Literal>,
    /// With several values, for `in`.
    #[serde(default)]
    pub values: Option<Vec<Literal>>,
    /// With another column of the row.
    #[serde(default)]
    pub to: Option<String>,
    /// Whether case counts in text.
    #[serde(default)]
    pub case: Option<CaseRule>,
}

/// How a column is compared. A comparison with a blank is false, but for `<>`, which is the opposite of `=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Test {
    /// Equal.
    #[serde(rename = "=")]
    Equal,
    /// Not equal.
    #[serde(rename = "<>")]
    NotEqual,
    /// Less.
    #[serde(rename = "<")]
    Less,
    /// Less or equal.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// Greater.
    #[serde(rename = ">")]
    Greater,
    /// Greater or equal.
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// One of several values.
    In,
    /// An empty cell.
    Blank,
    /// No empty cell.
    NotBlank,
    /// Text that has another in it.
    Contains,
    /// Text that begins with another.
    StartsWith,
    /// Text that ends with another.
    EndsWith,
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = serde_json::Map::deserialize(deserializer)?;
        let only = |map: &serde_json::Map<String, Json>, key: &str| match map.keys().find(|other| *other != key) {
            Some(other) => Err(de::Error::custom(format!("`{other}` does not go with `{key}`"))),
            None => Ok(()),
        };
        for key in ["all", "any", "not"] {
            if let Some(inner) = map.remove(key) {
                only(&map, key)?;
                let nested = |error: serde_json::Error| de::Error::custom(format!("in `{key}`: {error}"));
                return match key {
                    "all" => serde_json::from_value(inner).map(|all| Self::All { all }).map_err(nested),
                    "any" => serde_json::from_value(inner).map(|any| Self::Any { any }).map_err(nested),
                    _ => serde_json::from_value(inner).map(|not| Self::Not { not }).map_err(nested),
                };
            }
        }
        serde_json::from_value(Json::Object(map)).map(|test| Self::Compare(Box::new(test))).map_err(de::Error::custom)
    }
}

impl Condition {
    /// The condition as an expression; `case` is what counts where a test does not say.
    pub fn expression(&self, step: &StepPlan<'_>, table: &Table, case: CaseRule) -> Result<Expression, PlanError> {
        let each = |conditions: &[Self]| -> Result<Vec<Expression>, PlanError> {
            if conditions.is_empty() {
                return Err(step.fail("a list of conditions is empty"));
            }
            conditions.iter().map(|condition| condition.expression(step, table, case)).collect()
        };
        match self {
            Self::All { all } => Ok(Expression::And { of: each(all)? }),
            Self::Any { any } => Ok(Expression::Or { of: each(any)? }),
            Self::Not { not } => Ok(not.expression(step, table, case)?.not()),
            Self::Compare(test) => test.expression(step, table, case),
        }
    }
}

impl ColumnTest {
    fn expression(&self, step: &StepPlan<'_>, table: &Table, case: CaseRule) -> Result<Expression, PlanError> {
        let case = self.case.unwrap_or(case);
        let column = step.column(table, &self.column)?.expression();
        match self.is {
            Test::Blank | Test::NotBlank => {
                if self.value.is_some() || self.to.is_some() || self.values.is_some() {
                    return Err(step.fail_on(&self.column, "this test compares with nothing"));
                }
                let blank = column.is_blank();
                Ok(if self.is == Test::Blank { blank } else { blank.not() })
            }
            Test::In => {
                let (None, None, Some(values)) = (&self.value, &self.to, &self.values) else {
                    return Err(step.fail_on(&self.column, "expected `values`, a list"));
                };
                if values.is_empty() {
                    return Err(step.fail_on(&self.column, "`values` is an empty list: no row would meet it"));
                }
                let equals = |value: &Literal| {
                    let value = self.constant(step, value, column.kind())?;
                    let (one, two) = self.alike(step, column.clone(), value)?;
                    Ok(case.apply(one).equals(case.apply(two)))
                };
                Ok(Expression::Or { of: values.iter().map(equals).collect::<Result<_, _>>()? })
            }
            Test::Contains | Test::StartsWith | Test::EndsWith => self.within(step, table, column, case),
            _ => {
                let right = self.right(step, table, column.kind())?;
                let (one, two) = self.alike(step, column, right)?;
                Ok(compared(self.is, case.apply(one), case.apply(two)))
            }
        }
    }

    fn alike(
        &self,
        step: &StepPlan<'_>,
        one: Expression,
        two: Expression,
    ) -> Result<(Expression, Expression), PlanError> {
        let kinds = (one.kind(), two.kind());
        one.alike(two)
            .ok_or_else(|| step.fail_on(&self.column, format!("{} is not compared with {}", kinds.0, kinds.1)))
    }

    fn constant(&self, step: &StepPlan<'_>, value: &Literal, kind: Type) -> Result<Expression, PlanError> {
        let constant = value.expected(kind).filter(|constant| !constant.value().is_blank());
        let constant = constant.ok_or_else(|| step.fail_on(&self.column, format!("the value {value} is no {kind}")))?;
        Ok(constant.into())
    }

    fn right(&self, step: &StepPlan<'_>, table: &Table, kind: Type) -> Result<Expression, PlanError> {
        match (&self.value, &self.to, &self.values) {
            (Some(value), None, None) => self.constant(step, value, kind),
            (None, Some(to), None) => Ok(step.column(table, to)?.expression()),
            _ => Err(step.fail_on(&self.column, "expected either `value` or `to`")),
        }
    }

    fn within(
        &self,
        step: &StepPlan<'_>,
        table: &Table,
        column: Expression,
        case: CaseRule,
    ) -> Result<Expression, PlanError> {
        if column.kind() != Type::Text {
            return Err(step.fail_on(&self.column, format!("expected text, it is {}", column.kind())));
        }
        let right = self.right(step, table, Type::Text)?;
        if right.kind() != Type::Text {
            return Err(step.fail_on(&self.column, format!("text is not compared with {}", right.kind())));
        }
        let (of, find) = (case.apply(column), case.apply(right));
        if self.is == Test::Contains {
            return Ok(Expression::Contains { of: Box::new(of), find: Box::new(find) });
        }
        let Expression::Constant { constant } = self.right(step, table, Type::Text)? else {
            return Err(step.fail_on(&self.column, "the beginning or the end of a text is compared with a `value`"));
        };
        // Lower case may have another number of characters: the text to compare with is what counts them.
        let text = Type::Text.format(constant.value());
        let text = if case == CaseRule::Ignore { text.to_lowercase() } else { text };
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let of = Box::new(of);
        let part = if self.is == Test::StartsWith {
            Expression::Substring { of, start: 1, length }
        } else {
            Expression::Last { of, length }
        };
        Ok(part.equals(Expression::text(&text)))
    }
}

/// A test of two values of one type.
fn compared(test: Test, one: Expression, two: Expression) -> Expression {
    match test {
        Test::NotEqual => one.equals(two).not(),
        Test::Less => one.compare(Comparison::Less, two),
        Test::LessOrEqual => one.compare(Comparison::LessOrEqual, two),
        Test::Greater => two.compare(Comparison::Less, one),
        Test::GreaterOrEqual => two.compare(Comparison::LessOrEqual, one),
        _ => one.equals(two),
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

    #[test]
    fn a_condition_has_one_form() {
        let read = |text: &str| serde_json::from_str::<Condition>(text).map_err(|error| error.to_string());
        assert!(read(r#"{"all": [{"column": "a", "is": "blank"}]}"#).is_ok());
        assert!(read(r#"{"all": [], "any": []}"#).unwrap_err().contains("`any` does not go with `all`"));
        assert!(read(r#"{"not": {"column": "a", "iss": "blank"}}"#).unwrap_err().contains("unknown field `iss`"));
        assert!(read(r#"{"column": "a", "is": "~"}"#).unwrap_err().contains("unknown variant `~`"));
    }
}
