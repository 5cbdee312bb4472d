//! Numbers as people write them.

use crate::{
    decimal,
    expression::NumberText,
    types::{Rounding, Type, Value},
};

/// The number that a text stands for: spaces around it do not count; what is less than nothing has a minus before or behind
/// it, stands in parentheses, or has `CR` behind it; `DR` and a plus are for more. Digits may be grouped by threes. One
/// currency sign, before or behind the digits, does not count, nor does its sign of less than nothing stand inside it.
///
/// `None` when it is no such number, has two signs of less than nothing, has other decimals than zeros beyond the type's, or
/// does not fit.
pub(crate) fn read(text: &str, format: &NumberText, kind: Type) -> Option<Value> {
    let (mut rest, mut signs, mut negative) = (text.trim(), 0, false);
    if let Some(inner) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        (rest, signs, negative) = (inner.trim(), 1, true);
    }
    let marks = |rest: &str| -> Option<(usize, usize, bool)> {
        let upper = rest.get(rest.len().checked_sub(2)?..).map(str::to_ascii_uppercase);
        match upper.as_deref() {
            Some("CR") => Some((0, 2, true)),
            Some("DR") => Some((0, 2, false)),
            _ => None,
        }
    };
    if let Some((_, length, less)) = marks(rest) {
        rest = rest.get(..rest.len() - length)?.trim_end();
        (signs, negative) = (signs + 1, negative || less);
    }
    let mut currency = false;
    // A sign and a currency, in either order, on either side.
    for _ in 0..2 {
        for minus in ['-', '\u{2212}', '+'] {
            let bare = rest.strip_prefix(minus).or_else(|| rest.strip_suffix(minus));
            if let Some(bare) = bare {
                (rest, signs, negative) = (bare.trim(), signs + 1, negative || minus != '+');
            }
        }
        if !currency && let Some(bare) = without_currency(rest) {
            (rest, currency) = (bare.trim(), true);
        }
    }
    if signs > 1 {
        return None;
    }
    let (whole, decimals) = rest.split_once(format.decimal).unwrap_or((rest, ""));
    let plain = format!("{}.{decimals}", ungrouped(whole, format.group)?);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(decimals) {
        return None;
    }
    let (units, scale) = decimal::parse(plain.trim_end_matches('.'))?;
    number(if negative { -units } else { units }, scale, kind)
}

/// The number in the type, where it holds it exactly.
fn number(units: i128, scale: u8, kind: Type) -> Option<Value> {
    let fitted = decimal::rescale(units, scale, kind.scale(), Rounding::Down)?;
    if decimal::compare((fitted, kind.scale()), (units, scale)).is_ne() {
        return None;
    }
    match kind {
        Type::Integer => i64::try_from(fitted).ok().map(Value::Integer),
        _ => Some(Value::Decimal(fitted)),
    }
}

const CURRENCY_SIGNS: [char; 5] = ['$', '€', '£', '¥', '₹'];

/// The text without a currency's sign or three-letter code at one end.
fn without_currency(text: &str) -> Option<&str> {
    if let Some(bare) = text.strip_prefix(CURRENCY_SIGNS).or_else(|| text.strip_suffix(CURRENCY_SIGNS)) {
        return Some(bare);
    }
    let code = |code: &str| code.bytes().all(|byte| byte.is_ascii_uppercase());
    let before = text.split_at_checked(3).filter(|(head, _)| code(head)).map(|(_, rest)| rest);
    let behind = || text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)).filter(|(_, tail)| code(tail));
    before.or_else(|| behind().map(|(rest, _)| rest)).filter(|rest| !rest.is_empty())
}

/// Digits without the signs between groups of three; `None` where a sign stands elsewhere.
fn ungrouped(whole: &str, group: Option<char>) -> Option<String> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(group) = group.filter(|group| whole.contains(*group)) else {
        return digits(whole).then(|| whole.to_owned());
    };
    let groups: Vec<&str> = whole.split(group).collect();
    let (first, rest) = groups.split_first()?;
    let formed = (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3);
    (formed && groups.iter().all(|group| digits(group))).then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_ledgers_and_banks() {
        let english = NumberText { decimal: '.', group: Some(',') };
        let german = NumberText { decimal: ',', group: Some('.') };
        for (text, format, number) in [
            ("1,234.50", &english, Some("1234.50")),
            ("(1,234.50)", &english, Some("-1234.50")),
            ("1234.50-", &english, Some("-1234.50")),
            ("1,234.50 CR", &english, Some("-1234.50")),
            ("1,234.50dr", &english, Some("1234.50")),
            (" $ 5 ", &english, Some("5.00")),
            ("-$5.00", &english, Some("-5.00")),
            ("$-5.00", &english, Some("-5.00")),
            ("($5)", &english, Some("-5.00")),
            ("EUR 5", &english, Some("5.00")),
            ("5 EUR-", &english, Some("-5.00")),
            ("−7", &english, Some("-7.00")),
            ("1.500", &english, Some("1.50")),
            ("1.234,5", &german, Some("1234.50")),
            ("1.505", &english, None),
            ("(5.00) CR", &english, None),
            ("(-5)", &english, None),
            ("--5", &english, None),
            ("5-CR", &english, None),
            ("12,34", &english, None),
            ("1,2345", &english, None),
            ("", &english, None),
            ("CR", &english, None),
            ("USD", &english, None),
            ("()", &english, None),
            (".", &english, None),
            ("1.2.3", &english, None),
            ("1e3", &english, None),
            ("abc", &english, None),
            ("£1é", &english, None),
        ] {
            let read = read(text, format, Type::Decimal(2)).map(|value| Type::Decimal(2).format(&value));
            assert_eq!(read.as_deref(), number, "{text}");
        }
        let plain = NumberText { decimal: '.', group: None };
        assert_eq!(read("1,234", &plain, Type::Integer), None);
        assert_eq!(read("7.00", &plain, Type::Integer), Some(Value::Integer(7)));
        assert_eq!(read("9223372036854775808", &plain, Type::Integer), None);
    }
}
