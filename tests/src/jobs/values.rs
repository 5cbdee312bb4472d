//! Values that are hard to treat alike.

use reconcile::{Type, Value};

use crate::dice::Dice;

/// Texts that come again and again, so that keys meet.
const TEXTS: [&str; 20] = [
    "a", "A", "b", "B", "a b", "east", "EAST", "East", "West", "ß", "ss", "SS", "é", "e\u{301}", "İ", "i", "ı", "I",
    "Σ", "ς",
];

/// Texts that show how text is treated.
const STRANGE: [&str; 53] = [
    "  a  b ",
    " lead",
    "trail ",
    "x,y",
    "\"quoted\"",
    "say \"hi\"",
    "line\nbreak",
    "cr\rlf\r\nend",
    "tab\there",
    "\u{a0}nbsp\u{a0}",
    "ΟΔΟΣ",
    "ΑΣ ΣΑΣ",
    "ΑΣ'Α",
    "ΑΣ.",
    "ΑΣ^Α",
    "Σ",
    "İSTANBUL",
    "ISPARTA ırmak",
    "straße",
    "ŉ ﬁ ǅ ΐ",
    "😀",
    "a😀b😀c",
    "👨‍👩‍👧",
    "𐐀𐐨",
    "e\u{301}e\u{301}",
    "\u{301}a",
    "12",
    "1,234.50",
    "(5)",
    "-7",
    "7-",
    "1.505",
    "$ 5.00",
    "5 EUR-",
    "3.00 CR",
    "4 DR",
    "\u{2212}9",
    "2024-02-29",
    "29.02.2024",
    "Thu, 29-Feb-24",
    "31.12.9999",
    "=1+1",
    "'=1+1",
    "''-7",
    "@SUM(A1)",
    "+49 30 1234",
    "-.",
    "\ttab",
    "+170141183460469231731687303715884105728",
    "null",
    "true",
    "\\",
    "\u{fffd}\u{10ffff}",
];

const DATES: [&str; 16] = [
    "0001-01-01",
    "9999-12-31",
    "1582-10-10",
    "1900-01-01",
    "1900-03-01",
    "1969-12-31",
    "1970-01-01",
    "2000-02-29",
    "2023-02-28",
    "2023-03-31",
    "2024-01-31",
    "2024-02-29",
    "2024-03-01",
    "2024-12-31",
    "2024-05-01",
    "2024-05-02",
];

const TIMES: [&str; 9] = [
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2024-05-01T10:00:00.5Z",
    "2024-05-01T10:00:00.000001Z",
    "2024-02-29T23:59:59.12Z",
    "1500-01-01T00:00:00.000010Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-05-01T00:00:00Z",
];

/// How strange the values of a job are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taste {
    /// Blanks in a hundred cells.
    pub(super) blanks: u64,
    /// Numbers at the edges of their types in a hundred.
    pub(super) edges: u64,
    /// Strange texts in a hundred.
    pub(super) strange: u64,
}

/// A value of that type.
pub(super) fn value(dice: &mut Dice, kind: Type, taste: Taste) -> Value {
    if dice.below(100) < taste.blanks { Value::Blank } else { filled(dice, kind, taste) }
}

/// A value of that type that is not blank.
pub(super) fn filled(dice: &mut Dice, kind: Type, taste: Taste) -> Value {
    let edge = dice.below(100) < taste.edges;
    let of = |text: &str| kind.parse(text).unwrap_or(Value::Blank);
    match kind {
        Type::Text if dice.below(100) < taste.strange => Value::text(dice.pick(&STRANGE)),
        Type::Text => Value::text(dice.pick(&TEXTS)),
        Type::Integer if edge => {
            Value::Integer(dice.pick(&[i64::MIN, i64::MAX, i64::MAX - 1, 3_037_000_500, -1_000_000_000_000]))
        }
        Type::Integer => Value::Integer(small(dice, 7)),
        Type::Decimal(_) if edge => Value::Decimal(at_the_edge(dice)),
        Type::Decimal(scale) => Value::Decimal(plain(dice, scale)),
        Type::Date => of(dice.pick(&DATES)),
        Type::Timestamp => of(dice.pick(&TIMES)),
        Type::Boolean => Value::Boolean(dice.below(2) == 0),
    }
}

fn small(dice: &mut Dice, most: i64) -> i64 {
    dice.below(2 * most as u64 + 1) as i64 - most
}

/// A number of which there are more, or one halfway between two of fewer decimals.
fn plain(dice: &mut Dice, scale: u8) -> i128 {
    let one = 10_i128.pow(u32::from(scale));
    let whole = i128::from(small(dice, 20));
    match dice.below(5) {
        0 => whole * one,
        1 => whole * one + one / 2,
        2 => whole * one / 8,
        3 => i128::from(small(dice, 100)),
        _ => i128::from(small(dice, 1_000_000)) * one / 1000 + i128::from(small(dice, 9)),
    }
}

fn at_the_edge(dice: &mut Dice) -> i128 {
    let most = 10_i128.pow(38) - 1;
    let size =
        dice.pick(&[most, most - 1, most / 2, most / 3, 10_i128.pow(37) + 5, 10_i128.pow(30) + 5, 10_i128.pow(19) - 1]);
    if dice.below(2) == 0 { size } else { -size }
}

/// A type, as random jobs have them.
pub(super) fn kind(dice: &mut Dice) -> Type {
    match dice.below(12) {
        0..4 => Type::Text,
        4 | 5 => Type::Integer,
        6..9 => Type::Decimal(dice.pick(&[0, 1, 2, 2, 2, 3, 6, 12, 20])),
        9 => Type::Date,
        10 => Type::Timestamp,
        _ => Type::Boolean,
    }
}
