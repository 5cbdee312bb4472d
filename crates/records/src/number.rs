//! Numbers as files write them.

use money::Amount;

/// How numbers are written where they are not plain: as a field's `decimalChar`, `groupChar` and `bareNumber` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPattern(NumberFormat);

impl NumberPattern {
    /// Numbers with that decimal sign and those signs between groups, whole ones alone if so said; `bare` where a cell is
    /// nothing but the number.
    pub const fn new(decimal_char: char, group_char: Option<char>, bare: bool, whole: bool) -> Self {
        Self(NumberFormat { decimal_char, group_char, bare, whole })
    }

    /// The number that the text stands for; `None` when it is not written so.
    pub fn read(&self, text: &str) -> Option<Amount> {
        self.0.parse(text)
    }
}

/// How the numbers of a column are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NumberFormat {
    pub(crate) decimal_char: char,
    pub(crate) group_char: Option<char>,
    /// Whether a cell is nothing but the number.
    pub(crate) bare: bool,
    /// Whether there can be decimals.
    pub(crate) whole: bool,
}

impl Default for NumberFormat {
    fn default() -> Self {
        Self { decimal_char: '.', group_char: None, bare: true, whole: false }
    }
}

impl NumberFormat {
    /// Whether cells are written as [`Amount`] reads them.
    pub(crate) const fn is_plain(&self) -> bool {
        self.decimal_char == '.' && self.group_char.is_none() && self.bare
    }

    /// The exact value of a cell, or `None` when it is no such number.
    #[inline]
    pub(crate) fn parse(&self, text: &str) -> Option<Amount> {
        if self.is_plain() {
            let number = Amount::parse(text.as_bytes()).ok()?;
            return (!self.whole || !text.contains('.')).then_some(number);
        }
        self.parse_written(text)
    }

    /// The same where numbers are not plain.
    fn parse_written(&self, text: &str) -> Option<Amount> {
        let (negative, digits) = self.strip(text)?;
        let (whole, decimals) = match digits.split_once(self.decimal_char) {
            Some(_) if self.whole => return None,
            Some((whole, decimals)) => (self.ungroup(whole)?, decimals),
            None => (self.ungroup(digits)?, ""),
        };
        let sign = if negative { "-" } else { "" };
        let point = if decimals.is_empty() { "" } else { "." };
        Amount::parse(format!("{sign}{whole}{point}{decimals}").as_bytes()).ok()
    }

    /// The sign, and the text from the first to the last digit or decimal sign.
    ///
    /// A sign stands at the beginning or right before the digits. What could mean less than nothing in another way, a
    /// minus behind the digits or parentheses, is no number here rather than a positive one.
    fn strip<'t>(&self, text: &'t str) -> Option<(bool, &'t str)> {
        let numeric = |char: char| char.is_ascii_digit() || char == self.decimal_char;
        let (before, rest) = text.split_at_checked(text.find(numeric)?)?;
        let digits = rest.trim_end_matches(|char| !numeric(char));
        let behind = rest.strip_prefix(digits)?;
        if self.bare {
            return (behind.is_empty() && matches!(before, "" | "-" | "+")).then_some((before == "-", digits));
        }
        let unit = before.trim();
        let (unit, sign) = match (unit.strip_prefix(['-', '+']), unit.strip_suffix(['-', '+'])) {
            (Some(unit), _) => (unit, before.trim_start()),
            (None, Some(unit)) => (unit, before.trim_start_matches(|char| char != '-')),
            (None, None) => (unit, ""),
        };
        let plain = |text: &str| !text.contains(['-', '+', '(', ')']);
        (plain(unit) && plain(behind)).then_some((sign.starts_with('-'), digits))
    }

    /// Digits without their group signs, which must stand where groups end: before three digits at last, and before
    /// two or three elsewhere. A sign that stands elsewhere is likely a decimal sign, and the number another one; so is a
    /// point that is neither.
    fn ungroup(&self, digits: &str) -> Option<String> {
        let groups: Vec<&str> = match self.group_char {
            Some(group_char) => digits.split(group_char).collect(),
            None => vec![digits],
        };
        if !groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit())) {
            return None;
        }
        if let [first, middle @ .., last] = groups.as_slice() {
            let well_formed = (1..=3).contains(&first.len())
                && middle.iter().all(|group| matches!(group.len(), 2 | 3))
                && last.len() == 3;
            if !well_formed {
                return None;
            }
        }
        Some(groups.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: &NumberFormat, text: &str) -> Option<String> {
        format.parse(text).map(|number| number.to_string())
    }

    #[test]
    fn plain_numbers() {
        let plain = NumberFormat::default();
        assert!(plain.is_plain() && !NumberFormat { bare: false, ..NumberFormat::default() }.is_plain());
        assert_eq!(parse(&plain, "-1234.50").as_deref(), Some("-1234.50"));
        for text in ["", " 1", "1 ", "1,000", "$1", "1e3", "NaN", "(1)"] {
            assert_eq!(parse(&plain, text), None, "{text}");
        }
        let whole = NumberFormat { whole: true, ..plain };
        assert_eq!(parse(&whole, "+12").as_deref(), Some("12"));
        assert_eq!((parse(&whole, "12.0"), parse(&whole, "12.")), (None, None));
    }

    #[test]
    fn other_signs() {
        let german = NumberFormat { decimal_char: ',', group_char: Some('.'), ..NumberFormat::default() };
        for (text, value) in [
            ("1.234.567,89", Some("1234567.89")),
            ("-1.234", Some("-1234")),
            ("0,5", Some("0.5")),
            (",5", Some("0.5")),
            ("12.34.567", Some("1234567")),
            ("1.5", None),
            ("1234.567", None),
            ("1..234", None),
            (".123", None),
            ("1,234.5", None),
            ("1,2,3", None),
            ("--1", None),
            ("1 ", None),
        ] {
            assert_eq!(parse(&german, text).as_deref(), value, "{text}");
        }
        // One thousand two hundred, or one and a bit: whoever wrote it knows.
        let ungrouped = NumberFormat { decimal_char: ',', ..NumberFormat::default() };
        for (text, value) in [("1,5", Some("1.5")), ("1.234", None), ("12.50", None), ("1.5,0", None)] {
            assert_eq!(parse(&ungrouped, text).as_deref(), value, "{text}");
        }
        let french = NumberFormat { decimal_char: ',', group_char: Some('\u{202f}'), ..NumberFormat::default() };
        assert_eq!(parse(&french, "1\u{202f}234,5").as_deref(), Some("1234.5"));
        assert_eq!((parse(&french, "12.50"), parse(&french, "1\u{202f}234.5")), (None, None));
    }

    #[test]
    fn units_around_numbers() {
        let dollars = NumberFormat { group_char: Some(','), bare: false, ..NumberFormat::default() };
        for (text, value) in [
            ("$1,234.50", Some("1234.50")),
            ("-$5.00", Some("-5.00")),
            ("EUR -5.00", Some("-5.00")),
            ("95 %", Some("95")),
            (" 7 ", Some("7")),
            ("- 7", Some("-7")),
            ("(5.00)", None),
            ("5.00-", None),
            ("US-$ 5", None),
            ("--5", None),
            ("$", None),
        ] {
            assert_eq!(parse(&dollars, text).as_deref(), value, "{text}");
        }
    }
}
