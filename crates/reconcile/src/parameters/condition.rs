//! Conditions on a row.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value as Json;

use super::{CaseRule, Literal};
use crate::{
    error::PlanError,
    expression::{Comparison, Expression},
    planner::{StepPlan, Table},
    types::Type,
};

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
    /// Text that begins with `value`; not with what another column has.
    StartsWith,
    /// Text that ends with `value`; not with what another column has.
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
                if self.value.is_some() || self.to.is_some() || self.values.is_some() || self.case.is_some() {
                    return Err(step.fail_on(
                        &self.column,
                        "this test compares with nothing: leave `value`, `values`, `to` and `case`",
                    ));
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
        let no_value = || step.fail_on(&self.column, format!("the value {value} is no {}", kind.written()));
        let constant = value.expected(kind).ok_or_else(no_value)?;
        if constant.value().is_blank() {
            return Err(step.fail_on(&self.column, "blank cells are told by `blank` and `notBlank`"));
        }
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
        let fixed = match &right {
            Expression::Constant { constant } => Some(Type::Text.format(constant.value())),
            _ => None,
        };
        // Lower case may have another number of characters: the text to compare with is what counts them.
        let fixed = if case == CaseRule::Ignore { fixed.map(|text| text.to_lowercase()) } else { fixed };
        let is_folded = case == CaseRule::Ignore && fixed.as_ref().is_none_or(|text| text.contains(SIGMAS));
        let folded = |text: Expression| if is_folded { with_one_sigma(case.apply(text)) } else { case.apply(text) };
        let of = folded(column);
        if self.is == Test::Contains {
            return Ok(Expression::Contains { of: Box::new(of), find: Box::new(folded(right)) });
        }
        let Some(text) = fixed else {
            return Err(step.fail_on(
                &self.column,
                "the beginning or the end of a text is compared with a `value`, not with another column",
            ));
        };
        let text = if is_folded { text.replace(FINAL_SIGMA, SIGMA) } else { text };
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

const SIGMA: &str = "σ";
const FINAL_SIGMA: &str = "ς";
const SIGMAS: [char; 2] = ['σ', 'ς'];

/// Lower case with one sigma: that at the end of a word is another one, and a word of a part may end elsewhere.
fn with_one_sigma(lower: Expression) -> Expression {
    let (find, with) = (FINAL_SIGMA.to_owned(), SIGMA.to_owned());
    Expression::Replace { of: Box::new(lower), find, with, occurrence: None }
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
    fn a_condition_has_one_form() {
        let read = |text: &str| serde_json::from_str::<Condition>(text).map_err(|error| error.to_string());
        assert!(read(r#"{"all": [{"column": "a", "is": "blank"}]}"#).is_ok());
        assert!(read(r#"{"all": [], "any": []}"#).unwrap_err().contains("`any` does not go with `all`"));
        assert!(read(r#"{"not": {"column": "a", "iss": "blank"}}"#).unwrap_err().contains("unknown field `iss`"));
        assert!(read(r#"{"column": "a", "is": "~"}"#).unwrap_err().contains("unknown variant `~`"));
    }
}
