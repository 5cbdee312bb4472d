//! Expressions of a row.

use std::cmp::Ordering;

use jiff::{Unit, civil::Date};
use records::DatePattern;

use crate::{
    decimal,
    error::Fault,
    expression::{Branch, Comparison, DateUnit, Expression, OnError, OnZero, Operator},
    number_text,
    reference::Rows,
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
                let show = |one: &Expression| Ok(one.kind().format(&self.value(one)?));
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
        let size = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
        match expression {
            Expression::Concatenate { of } => {
                let texts =
                    of.iter().map(|one| Ok(read(one)?.unwrap_or_default())).collect::<Result<Vec<_>, Fault>>()?;
                Ok(Value::text(texts.concat()))
            }
            Expression::Trim { of } => {
                changed(of, &|text| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
            }
            Expression::Upper { of } => changed(of, &str::to_uppercase),
            Expression::Lower { of } => changed(of, &str::to_lowercase),
            Expression::Substring { of, start, length } => {
                changed(of, &|text| text.chars().skip(size(start.saturating_sub(1))).take(size(*length)).collect())
            }
            Expression::Last { of, length } => {
                changed(of, &|text| text.chars().skip(text.chars().count().saturating_sub(size(*length))).collect())
            }
            Expression::Length { of } => {
                let count = read(of)?.unwrap_or_default().chars().count();
                i64::try_from(count).map(Value::Integer).map_err(|_| Fault::Overflow(Type::Integer))
            }
            Expression::Replace { of, find, with, occurrence } => {
                changed(of, &|text| replace(text, find, with, *occurrence))
            }
            Expression::ParseNumber { of, format, kind, on_error } => {
                let Some(text) = read(of)? else { return Ok(Value::Blank) };
                match (number_text::read(&text, format, *kind), on_error) {
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
        let round = || {
            let scale = of.kind().scale();
            if let Ok(decimals) = u8::try_from(decimals) {
                let rounded =
                    if decimals < scale { decimal::rescale(units, scale, decimals, rounding)? } else { units };
                return decimal::rescale(rounded, decimals.min(scale), kind.scale(), rounding);
            }
            // To tens, hundreds, …: as if it had that many more decimals, and back. Beyond the digits there are it is one of
            // nought and the first such number, which does not fit.
            let tens = decimals.unsigned_abs();
            let rounded = decimal::rescale(units, scale.checked_add(tens)?, 0, rounding)?;
            rounded
                .checked_mul(10_i128.checked_pow(u32::from(tens))?)
                .and_then(|whole| decimal::rescale(whole, 0, kind.scale(), rounding))
        };
        round().and_then(|units| value(units, kind)).ok_or(Fault::Overflow(kind))
    }

    fn date_difference(self, from: &Expression, to: &Expression, unit: DateUnit) -> Result<Value, Fault> {
        let (Value::Date(one), Value::Date(two)) = (self.value(from)?, self.value(to)?) else {
            return Ok(Value::Blank);
        };
        if unit == DateUnit::Days {
            return Ok(Value::Integer(i64::from(two) - i64::from(one)));
        }
        let date = |days: i32| Value::calendar(days).ok_or(Fault::Plan("no date"));
        let (one, two) = (date(one)?, date(two)?);
        if one > two {
            return Err(Fault::DatesReversed { from: one.to_string(), to: two.to_string() });
        }
        let apart = apart(one, two, unit).ok_or(Fault::Overflow(Type::Integer))?;
        Ok(Value::Integer(apart))
    }
}

/// Complete months of two days: a month is complete on the same day of the month, or behind its end where it has no such
/// day.
fn complete_months(from: Date, to: Date) -> i64 {
    let months = (i64::from(to.year()) - i64::from(from.year())) * 12 + i64::from(to.month()) - i64::from(from.month());
    if to.day() < from.day() { months - 1 } else { months }
}

fn apart(from: Date, to: Date, unit: DateUnit) -> Option<i64> {
    let months = complete_months(from, to);
    let days_behind = |months: i64| -> Option<i64> {
        let begin = from.checked_add(jiff::Span::new().try_months(months).ok()?).ok()?;
        Some(i64::from(to.since((Unit::Day, begin)).ok()?.get_days()))
    };
    match unit {
        DateUnit::Days => None,
        DateUnit::Months => Some(months),
        DateUnit::Years => Some(months / 12),
        DateUnit::MonthsOfYear => Some(months % 12),
        DateUnit::DaysOfMonth => days_behind(months),
        DateUnit::DaysOfYear => days_behind(months - months % 12),
    }
}

/// The text with one or all occurrences replaced.
fn replace(text: &str, find: &str, with: &str, occurrence: Option<u32>) -> String {
    let Some(occurrence) = occurrence else { return text.replace(find, with) };
    let skipped = usize::try_from(occurrence.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some((at, _)) = text.match_indices(find).nth(skipped) else { return text.to_owned() };
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    format!("{before}{with}{}", rest.strip_prefix(find).unwrap_or(rest))
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

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn years_months_and_days_lead_from_one_day_to_the_other(begin in -719_162..2_932_896_i32, length in 0..60_000_i32) {
            let (from, to) = (Value::calendar(begin).unwrap(), Value::calendar((begin + length).min(2_932_896)).unwrap());
            let [months, years, rest, days, days_of_year] =
                [DateUnit::Months, DateUnit::Years, DateUnit::MonthsOfYear, DateUnit::DaysOfMonth, DateUnit::DaysOfYear]
                    .map(|unit| apart(from, to, unit).unwrap());
            prop_assert_eq!(months, years * 12 + rest);
            prop_assert!((0..12).contains(&rest) && (0..31).contains(&days) && (0..366).contains(&days_of_year));
            prop_assert_eq!(from.saturating_add(months.months()).saturating_add(days.days()), to);
            prop_assert_eq!(from.saturating_add(years.years()).saturating_add(days_of_year.days()), to);
            // No more month is complete, but for one that ends before its day.
            let next = from.saturating_add((months + 1).months());
            prop_assert!(next > to || next.day() < from.day() || to == Date::MAX);
        }
    }
}
