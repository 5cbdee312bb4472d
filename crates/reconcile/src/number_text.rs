//! Numbers as people write them.

use crate::{
    decimal,
    expression::{Credit, NumberText},
    types::{Rounding, Type, Value},
};

/// The number that a text stands for, as [`Expression::ParseNumber`] says; `None` when it stands for none in that type.
///
/// [`Expression::ParseNumber`]: crate::expression::Expression::ParseNumber
pub fn read(text: &str, format: &NumberText, kind: Type) -> Option<Value> {
    let (mut rest, mut signs, mut negative) = (text.trim(), 0, false);
    if let Some(inner) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        (rest, signs, negative) = (inner.trim(), 1, true);
    }
    if let Some((bare, side)) = without_side(rest) {
        (rest, signs, negative) = (bare, signs + 1, negative || side == format.credit);
    }
    let mut currency = false;
    // A sign and a currency, in either order, on either side.
    for _ in 0..2 {
        for sign in ['-', '\u{2212}', '+'] {
            if let Some(bare) = rest.strip_prefix(sign).or_else(|| rest.strip_suffix(sign)) {
                (rest, signs, negative) = (bare.trim(), signs + 1, negative || sign != '+');
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
    let whole = ungrouped(whole, format.group)?;
    if !all_digits(decimals) {
        return None;
    }
    let (units, scale) = decimal::parse(format!("{whole}.{decimals}").trim_end_matches('.'))?;
    number(if negative { -units } else { units }, scale, kind)
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text without `CR` or `DR` behind it, and the credit by which that is less than nothing.
fn without_side(text: &str) -> Option<(&str, Credit)> {
    let (bare, mark) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let side = match mark.to_ascii_uppercase().as_str() {
        "CR" => Credit::Negative,
        "DR" => Credit::Positive,
        _ => return None,
    };
    // The end of IDR and of SCR, which are currencies, is neither.
    (!bare.ends_with(|before: char| before.is_ascii_alphabetic())).then(|| (bare.trim_end(), side))
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
    let spaces = ['\u{a0}', '\u{202f}'];
    let whole = if group == Some(' ') { whole.replace(spaces, " ") } else { whole.to_owned() };
    let Some(group) = group.filter(|group| whole.contains(*group)) else {
        return all_digits(&whole).then_some(whole);
    };
    let groups: Vec<&str> = whole.split(group).collect();
    let (first, rest) = groups.split_first()?;
    let formed = (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3);
    (formed && groups.iter().all(|group| all_digits(group))).then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_ledgers_and_banks() {
        let form = |decimal, group| NumberText { decimal, group, credit: Credit::Negative };
        let english = form('.', Some(','));
        let german = form(',', Some('.'));
        let french = form(',', Some(' '));
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
            ("1 234\u{a0}567\u{202f}890,5", &french, Some("1234567890.50")),
            ("1 000,00\u{a0}€", &french, Some("1000.00")),
            ("1  000", &french, None),
            ("1,000.00 IDR", &english, Some("1000.00")),
            ("SCR 7 DR", &english, Some("7.00")),
            ("5 EURCR", &english, None),
            ("+5", &english, Some("5.00")),
            ("-0", &english, Some("0.00")),
            ("\t5\u{a0}", &english, Some("5.00")),
            ("12.5%", &english, None),
            ("٣", &english, None),
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
        let plain = form('.', None);
        assert_eq!(read("1,234", &plain, Type::Integer), None);
        assert_eq!(read("7.00", &plain, Type::Integer), Some(Value::Integer(7)));
        assert_eq!(read("9223372036854775808", &plain, Type::Integer), None);
        let bank = NumberText { credit: Credit::Positive, ..plain };
        let sides = ["5 CR", "5dr", "5", "-5", "(5)"].map(|text| read(text, &bank, Type::Integer));
        assert_eq!(sides, [5, -5, 5, -5, -5].map(|number| Some(Value::Integer(number))));
    }
}
