//! Expressions of a row.

use std::cmp::Ordering;

use records::DatePattern;

use crate::{
    decimal,
    error::Fault,
    expression::{Branch, Comparison, DateUnit, Expression, OnError, OnZero, Operator},
    reference::Rows,
    scalar,
    types::{Rounding, Type, Value},
};

/// A row of a relation.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) of: &'a Rows,
    pub(crate) cells: &'a [Value],
}

impl Row<'_> {
    /// The expression's value for this row.
    pub(crate) fn value(self, expression: &Expression) -> Result<Value, Fault> {
        match expression {
            Expression::Column { id, .. } => self.of.cell(self.cells, *id).cloned(),
            Expression::Constant { constant } => Ok(constant.value().clone()),
            Expression::Arithmetic { operator, left, right, kind, rounding, on_zero } => {
                let sides = (self.value(left)?, self.value(right)?);
                let scales = (left.kind().scale(), right.kind().scale());
                arithmetic(*operator, sides, scales, *kind, *rounding, *on_zero)
            }
            Expression::Negate { of } => self.number(of, i128::checked_neg),
            Expression::Absolute { of } => self.number(of, i128::checked_abs),
            Expression::Round { of, decimals, rounding, kind } => self.round(of, *decimals, *rounding, *kind),
            Expression::Case { branches, otherwise } => {
                for Branch { when, then } in branches {
                    if self.truth(when)? {
                        return self.value(then);
                    }
                }
                self.value(otherwise)
            }
            Expression::Coalesce { of } => {
                for one in of {
                    let value = self.value(one)?;
                    if !value.is_blank() {
                        return Ok(value);
                    }
                }
                Ok(Value::Blank)
            }
            Expression::DateDifference { from, to, unit } => self.date_difference(from, to, *unit),
            Expression::Cast { of, kind } => cast(&self.value(of)?, of.kind(), *kind),
            Expression::Require { condition, of, message, shown } => {
                if self.truth(condition)? {
                    return self.value(of);
                }
                let show = |one: &Expression| match self.value(one)? {
                    Value::Blank => Ok("(blank)".to_owned()),
                    value => Ok(one.kind().format(&value)),
                };
                let shown: Vec<String> = shown.iter().map(show).collect::<Result<_, Fault>>()?;
                Err(Fault::Required(if shown.is_empty() {
                    message.clone()
                } else {
                    format!("{message}: {}", shown.join(", "))
                }))
            }
            Expression::Compare { .. }
            | Expression::And { .. }
            | Expression::Or { .. }
            | Expression::Not { .. }
            | Expression::IsBlank { .. }
            | Expression::Contains { .. } => self.test(expression).map(Value::Boolean),
            _ => self.text(expression),
        }
    }

    /// Whether a condition is true; blank is not.
    pub(crate) fn truth(self, condition: &Expression) -> Result<bool, Fault> {
        Ok(self.value(condition)? == Value::Boolean(true))
    }

    fn test(self, expression: &Expression) -> Result<bool, Fault> {
        match expression {
            Expression::Compare { comparison, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                let wanted: &[Ordering] = match comparison {
                    Comparison::Equal => &[Ordering::Equal],
                    Comparison::Less => &[Ordering::Less],
                    Comparison::LessOrEqual => &[Ordering::Less, Ordering::Equal],
                };
                Ok(!left.is_blank() && !right.is_blank() && wanted.contains(&left.cmp(&right)))
            }
            Expression::And { of } => {
                for one in of {
                    if !self.truth(one)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expression::Or { of } => {
                for one in of {
                    if self.truth(one)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Expression::Not { of } => Ok(!self.truth(of)?),
            Expression::IsBlank { of } => Ok(self.value(of)?.is_blank()),
            Expression::Contains { of, find } => match (self.value(of)?, self.value(find)?) {
                (Value::Text(text), Value::Text(find)) => Ok(text.contains(&find)),
                _ => Ok(false),
            },
            _ => Err(Fault::Plan("no condition")),
        }
    }

    /// A text, or what is computed of one.
    fn text(self, expression: &Expression) -> Result<Value, Fault> {
        let read = |of: &Expression| match self.value(of)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Blank => Ok(None),
            _ => Err(Fault::Plan("no text")),
        };
        let changed = |of: &Expression, change: &dyn Fn(&str) -> String| -> Result<Value, Fault> {
            Ok(read(of)?.map_or(Value::Blank, |text| Value::text(change(&text))))
        };
        match expression {
            Expression::Concatenate { of } => {
                let texts =
                    of.iter().map(|one| Ok(read(one)?.unwrap_or_default())).collect::<Result<Vec<_>, Fault>>()?;
                Ok(Value::text(texts.concat()))
            }
            Expression::Trim { of } => changed(of, &|text| {
                let mut trimmed = String::new();
                scalar::trim(text, &mut trimmed);
                trimmed
            }),
            Expression::Upper { of } => changed(of, &str::to_uppercase),
            Expression::Lower { of } => changed(of, &str::to_lowercase),
            Expression::Substring { of, start, length } => {
                changed(of, &|text| scalar::substring(text, *start, *length).to_owned())
            }
            Expression::Last { of, length } => changed(of, &|text| scalar::last(text, *length).to_owned()),
            Expression::Length { of } => {
                let count = read(of)?.unwrap_or_default().chars().count();
                i64::try_from(count).map(Value::Integer).map_err(|_| Fault::Overflow(Type::Integer))
            }
            Expression::Replace { of, find, with, occurrence } => {
                changed(of, &|text| scalar::replace(text, find, with, *occurrence))
            }
            Expression::ParseNumber { of, format, kind, on_error } => {
                let Some(text) = read(of)? else { return Ok(Value::Blank) };
                match (scalar::number(&text, format, *kind), on_error) {
                    (Some(number), _) => Ok(number),
                    (None, OnError::Blank) => Ok(Value::Blank),
                    (None, OnError::Fail) => Err(Fault::NotANumber { text, kind: *kind }),
                }
            }
            Expression::ParseDate { of, format, on_error } => {
                let Some(text) = read(of)? else { return Ok(Value::Blank) };
                let pattern = DatePattern::compile(format).map_err(|_| Fault::Plan("no date pattern"))?;
                match (pattern.read(&text).and_then(Value::date), on_error) {
                    (Some(date), _) => Ok(date),
                    (None, OnError::Blank) => Ok(Value::Blank),
                    (None, OnError::Fail) => Err(Fault::NotADate { text, format: format.clone() }),
                }
            }
            _ => Err(Fault::Plan("no such expression")),
        }
    }

    /// A number changed, with its type.
    fn number(self, of: &Expression, change: impl Fn(i128) -> Option<i128>) -> Result<Value, Fault> {
        let kind = of.kind();
        match units(&self.value(of)?)? {
            None => Ok(Value::Blank),
            Some(units) => change(units).and_then(|units| value(units, kind)).ok_or(Fault::Overflow(kind)),
        }
    }

    fn round(self, of: &Expression, decimals: i8, rounding: Rounding, kind: Type) -> Result<Value, Fault> {
        let Some(units) = units(&self.value(of)?)? else { return Ok(Value::Blank) };
        let rounded = scalar::round((units, of.kind().scale()), decimals, rounding, kind.scale());
        rounded.and_then(|units| value(units, kind)).ok_or(Fault::Overflow(kind))
    }

    fn date_difference(self, from: &Expression, to: &Expression, unit: DateUnit) -> Result<Value, Fault> {
        match (self.value(from)?, self.value(to)?) {
            (Value::Date(one), Value::Date(two)) => scalar::date_difference(one, two, unit).map(Value::Integer),
            _ => Ok(Value::Blank),
        }
    }
}

/// The units of a number; `None` for a blank.
pub(crate) fn units(value: &Value) -> Result<Option<i128>, Fault> {
    match value {
        Value::Integer(number) => Ok(Some(i128::from(*number))),
        Value::Decimal(units) => Ok(Some(*units)),
        Value::Blank => Ok(None),
        _ => Err(Fault::Plan("no number")),
    }
}

/// The number of that type, if it fits.
pub(crate) fn value(units: i128, kind: Type) -> Option<Value> {
    match kind {
        Type::Integer => i64::try_from(units).ok().map(Value::Integer),
        _ => decimal::rescale(units, 0, 0, Rounding::Down).map(Value::Decimal),
    }
}

fn arithmetic(
    operator: Operator,
    (left, right): (Value, Value),
    scales: (u8, u8),
    kind: Type,
    rounding: Rounding,
    on_zero: OnZero,
) -> Result<Value, Fault> {
    let (Some(left), Some(right)) = (units(&left)?, units(&right)?) else { return Ok(Value::Blank) };
    if operator == Operator::Divide && right == 0 {
        return if on_zero == OnZero::Blank { Ok(Value::Blank) } else { Err(Fault::DivisionByZero) };
    }
    let (left, right, scale) = ((left, scales.0), (right, scales.1), kind.scale());
    let result = match operator {
        Operator::Add => decimal::add(left, right, scale),
        Operator::Subtract => decimal::subtract(left, right, scale),
        Operator::Multiply => decimal::multiply(left, right, scale, rounding),
        Operator::Divide => decimal::divide(left, right, scale, rounding),
    };
    result.and_then(|units| value(units, kind)).ok_or(Fault::Overflow(kind))
}

fn cast(value: &Value, from: Type, to: Type) -> Result<Value, Fault> {
    match (value, to) {
        (Value::Blank, _) => Ok(Value::Blank),
        (_, Type::Text) => Ok(Value::text(from.format(value))),
        (Value::Integer(_) | Value::Decimal(_), Type::Decimal(scale)) => {
            let units = units(value)?.and_then(|units| decimal::rescale(units, from.scale(), scale, Rounding::Down));
            units.map(Value::Decimal).ok_or(Fault::Overflow(to))
        }
        (Value::Date(days), Type::Timestamp) => Ok(Value::Timestamp(i64::from(*days) * 86_400_000_000)),
        _ if from == to => Ok(value.clone()),
        _ => Err(Fault::Plan("no such cast")),
    }
}
