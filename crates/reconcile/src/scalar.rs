//! What single values become: shared by all engines that run row by row or column by column, so that cells cannot differ.

use jiff::{Unit, civil::Date};

pub use crate::number_text::read as number;
use crate::{
    decimal,
    error::Fault,
    expression::DateUnit,
    types::{Rounding, Type, Value},
};

/// The number rounded to so many decimals, or to a multiple of 10, 100, … where they are below zero, in units of 10^−`to`: see
/// [`Expression::Round`](crate::expression::Expression::Round). `None` when it has more than 38 digits.
pub fn round((units, scale): decimal::Number, decimals: i8, rounding: Rounding, to: u8) -> Option<i128> {
    if let Ok(decimals) = u8::try_from(decimals) {
        let rounded = if decimals < scale { decimal::rescale(units, scale, decimals, rounding)? } else { units };
        return decimal::rescale(rounded, decimals.min(scale), to, rounding);
    }
    // To tens, hundreds, …: as if it had that many more decimals, and back. Beyond the digits there are it is one of
    // nought and the first such number, which does not fit.
    let tens = decimals.unsigned_abs();
    let rounded = decimal::rescale(units, scale.checked_add(tens)?, 0, rounding)?;
    let whole = rounded.checked_mul(10_i128.checked_pow(u32::from(tens))?)?;
    decimal::rescale(whole, 0, to, rounding)
}

/// How far two days, since 1970-01-01, are apart.
pub fn date_difference(from: i32, to: i32, unit: DateUnit) -> Result<i64, Fault> {
    if unit == DateUnit::Days {
        return Ok(i64::from(to) - i64::from(from));
    }
    let date = |days: i32| Value::calendar(days).ok_or(Fault::Plan("no date"));
    let (one, two) = (date(from)?, date(to)?);
    if one > two {
        return Err(Fault::DatesReversed { from: one.to_string(), to: two.to_string() });
    }
    apart(one, two, unit).ok_or(Fault::Overflow(Type::Integer))
}

/// Writes the text without spaces at its ends, and with one where there are several, behind what is there.
pub fn trim(text: &str, made: &mut String) {
    for (at, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if at > 0 {
            made.push(' ');
        }
        made.push_str(word);
    }
}

/// `length` characters of the text, from the character `start` on; 1 is the first.
pub fn substring(text: &str, start: u32, length: u32) -> &str {
    let (before, taken) = (start.saturating_sub(1) as usize, length as usize);
    if text.is_ascii() {
        let from = before.min(text.len());
        return text.get(from..from.saturating_add(taken).min(text.len())).unwrap_or_default();
    }
    let rest = text.char_indices().nth(before).and_then(|(at, _)| text.get(at..)).unwrap_or_default();
    match rest.char_indices().nth(taken) {
        Some((end, _)) => rest.get(..end).unwrap_or_default(),
        None => rest,
    }
}

/// The last `length` characters of the text.
pub fn last(text: &str, length: u32) -> &str {
    let Some(before) = length.checked_sub(1) else { return "" };
    let start = text.char_indices().rev().nth(before as usize).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default()
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
pub fn replace(text: &str, find: &str, with: &str, occurrence: Option<u32>) -> String {
    let Some(occurrence) = occurrence else { return text.replace(find, with) };
    let skipped = usize::try_from(occurrence.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some((at, _)) = text.match_indices(find).nth(skipped) else { return text.to_owned() };
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    format!("{before}{with}{}", rest.strip_prefix(find).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_of_texts_are_counted_in_characters() {
        for (text, start, length, part, end) in [
            ("abc", 1, 2, "ab", "bc"),
            ("abc", 3, 9, "c", "abc"),
            ("abc", 4, 1, "", "c"),
            ("aéßc", 2, 2, "éß", "ßc"),
            ("é", 1, 0, "", ""),
            ("€uro", 2, u32::MAX, "uro", "€uro"),
            ("", 1, 1, "", ""),
            ("é", 0, 1, "é", "é"),
        ] {
            assert_eq!((substring(text, start, length), last(text, length)), (part, end), "{text} {start} {length}");
        }
    }

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
