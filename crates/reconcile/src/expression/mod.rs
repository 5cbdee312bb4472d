//! What is computed of one row: the expressions of a plan.
//!
//! Every expression has one type, known before any data is read. Rules that hold for all of them, in every engine:
//!
//! * What has a blank operand is blank, unless the expression says otherwise.
//! * As a condition blank counts as false, so `and`, `or`, `not` and comparisons are never blank. A comparison with a
//!   blank is false.
//! * Text without characters is blank.
//! * A number beyond its type is an error, never a wrap.
//! * A branch that is not taken, and what stands behind the value that decides `and`, `or` or `coalesce`, is not
//!   evaluated: its errors are none.

mod constant;
mod making;
mod rules;

use serde::{Deserialize, Serialize};

pub use self::{
    constant::Constant,
    rules::{Comparison, Credit, DateUnit, NumberText, OnError, OnZero, Operator},
};
use crate::types::{Rounding, Type};

/// A column of a plan: unique in it, whatever the column is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnId(pub u32);

/// A branch of [`Expression::Case`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// When it is taken.
    pub when: Expression,
    /// What the case is then.
    pub then: Expression,
}

/// What is computed of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Expression {
    /// The row's cell in that column.
    Column {
        /// The column.
        id: ColumnId,
        /// Its type.
        #[serde(rename = "type")]
        kind: Type,
    },
    /// A value that is the same in every row.
    Constant {
        /// It.
        constant: Constant,
    },
    /// Two numbers become one: the exact result, rounded once to the type's decimals.
    Arithmetic {
        /// How.
        operator: Operator,
        /// The first.
        left: Box<Expression>,
        /// The second.
        right: Box<Expression>,
        /// The result's type: integer only where both are.
        #[serde(rename = "type")]
        kind: Type,
        /// How it is rounded where it has more decimals.
        rounding: Rounding,
        /// Of a division.
        on_zero: OnZero,
    },
    /// The number with its sign turned.
    Negate {
        /// The number.
        of: Box<Expression>,
    },
    /// The number without its sign.
    Absolute {
        /// The number.
        of: Box<Expression>,
    },
    /// The number rounded to so many decimals, or to a multiple of 10, 100, … where they are below zero. A number that has
    /// fewer decimals stays as it is.
    Round {
        /// The number.
        of: Box<Expression>,
        /// The decimals, from −37 to 20.
        decimals: i8,
        /// How.
        rounding: Rounding,
        /// The result's type: integer of an integer, else a decimal of at least the decimals that are left.
        #[serde(rename = "type")]
        kind: Type,
    },
    /// A comparison of two values of one type; false where one is blank.
    Compare {
        /// How.
        comparison: Comparison,
        /// The first.
        left: Box<Expression>,
        /// The second.
        right: Box<Expression>,
    },
    /// Whether all are true.
    And {
        /// The conditions.
        of: Vec<Expression>,
    },
    /// Whether one is true.
    Or {
        /// The conditions.
        of: Vec<Expression>,
    },
    /// Whether it is not true.
    Not {
        /// The condition.
        of: Box<Expression>,
    },
    /// Whether it is blank.
    IsBlank {
        /// The value.
        of: Box<Expression>,
    },
    /// Whether the text has that text in it; false where one is blank.
    Contains {
        /// The text.
        of: Box<Expression>,
        /// What is looked for.
        find: Box<Expression>,
    },
    /// The first branch whose condition is true; all branches have one type.
    Case {
        /// The branches.
        branches: Vec<Branch>,
        /// Where no condition is true.
        otherwise: Box<Expression>,
    },
    /// The first that is not blank; all have one type.
    Coalesce {
        /// The values.
        of: Vec<Expression>,
    },
    /// One text behind the other; a blank adds nothing.
    Concatenate {
        /// The texts.
        of: Vec<Expression>,
    },
    /// The text without spaces (U+0020, no other white space) at its ends, and with one where there are several, as the
    /// spreadsheet's TRIM.
    Trim {
        /// The text.
        of: Box<Expression>,
    },
    /// Unicode's full upper case, of no particular language: ß becomes SS.
    Upper {
        /// The text.
        of: Box<Expression>,
    },
    /// Unicode's full lower case, of no particular language: İ becomes i and U+0307, and Σ at the end of a word ς.
    Lower {
        /// The text.
        of: Box<Expression>,
    },
    /// A part of the text, in Unicode scalar values.
    Substring {
        /// The text.
        of: Box<Expression>,
        /// The first character taken; 1 is the text's first. Behind the text's end the part is blank.
        start: u32,
        /// How many are taken, as far as there are.
        length: u32,
    },
    /// The end of the text, in Unicode scalar values.
    Last {
        /// The text.
        of: Box<Expression>,
        /// How many are taken, as far as there are.
        length: u32,
    },
    /// The number of Unicode scalar values; 0 of a blank.
    Length {
        /// The text.
        of: Box<Expression>,
    },
    /// The text with something put for something else. Occurrences are found from left to right and share no character; case
    /// counts; what is put in is not looked at again.
    Replace {
        /// The text.
        of: Box<Expression>,
        /// What goes; not empty.
        find: String,
        /// What comes for it.
        with: String,
        /// Only this occurrence, from 1; all where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        occurrence: Option<u32>,
    },
    /// The number that a text stands for: digits (0 to 9) with at most one decimal sign, and before or behind it. Around all
    /// of these, Unicode white space does not count.
    ///
    /// * Digits before the decimal sign may be grouped by threes, all of them or none.
    /// * At most one of: a minus (`-`, U+2212) or plus before or behind the number, parentheses around all of it (less than
    ///   nothing), `CR` or `DR` at the very end, in any case and behind no letter.
    /// * At most one currency, before or behind the number, outside or inside of its sign: one of `$€£¥₹`, or three capital
    ///   letters of A to Z.
    ///
    /// Percent signs and exponents are no part of a number.
    ParseNumber {
        /// The text.
        of: Box<Expression>,
        /// What it looks like.
        format: NumberText,
        /// Integer or decimal. More decimals than it has, unless they are zeros, and a number that does not fit are as a text
        /// that is no number.
        #[serde(rename = "type")]
        kind: Type,
        /// What a text is that is no number.
        on_error: OnError,
    },
    /// The day that a text stands for, all of which must be as the pattern says.
    ParseDate {
        /// The text.
        of: Box<Expression>,
        /// How it is written, as [`records::DatePattern`] has it: a pattern of `strptime`, or `default` for ISO 8601 with all its zeros: `2024-05-01`.
        ///
        /// `%Y` is four digits, `%y` two (69 to 99 are of 1969 to 1999, 00 to 68 of 2000 to 2068), `%m` and `%d` one or two;
        /// `%b` and `%B` an English month and `%a` and `%A` an English weekday, whole or its first three letters, in any
        /// case, and the weekday must be right; `%e` is `%d` behind white space; `%F` is `%Y-%m-%d`, `%D` is `%m/%d/%y`. Of a
        /// time (`%H %I %M %S`: one or two digits; `%f`: one to nine; `%p`: AM or PM; `%z`: `Z`, `+hh:mm` or `+hhmm`;
        /// `%T` is `%H:%M:%S`, `%R` is `%H:%M`) only the form is looked at. White space (ASCII), `%n` and `%t` stand for any
        /// ASCII white space, or none; `%%` is a percent sign; anything else is itself.
        format: String,
        /// What a text is that is no such day.
        on_error: OnError,
    },
    /// How far two days are apart.
    DateDifference {
        /// The first.
        from: Box<Expression>,
        /// The second; an error where it is before the first, but for days.
        to: Box<Expression>,
        /// In what.
        unit: DateUnit,
    },
    /// The value as another type that holds it exactly: integer or decimal → decimal of as many decimals or more, date →
    /// timestamp (midnight UTC), anything → text as outputs write it: a decimal with all its decimals, dates as
    /// `2024-05-01`, timestamps as `2024-05-01T10:00:00.5Z` without trailing zeros, `true` and `false`.
    Cast {
        /// The value.
        of: Box<Expression>,
        /// The result's type.
        #[serde(rename = "type")]
        kind: Type,
    },
    /// The value where the condition is true; an error elsewhere.
    Require {
        /// The condition.
        condition: Box<Expression>,
        /// The value.
        of: Box<Expression>,
        /// What is wrong where the condition is not true.
        message: String,
        /// What is shown behind the message, as text.
        shown: Vec<Expression>,
    },
}

impl Expression {
    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Self::Column { kind, .. }
            | Self::Arithmetic { kind, .. }
            | Self::Round { kind, .. }
            | Self::ParseNumber { kind, .. }
            | Self::Cast { kind, .. } => *kind,
            Self::Constant { constant } => constant.kind(),
            Self::Negate { of } | Self::Absolute { of } | Self::Require { of, .. } => of.kind(),
            Self::Compare { .. }
            | Self::And { .. }
            | Self::Or { .. }
            | Self::Not { .. }
            | Self::IsBlank { .. }
            | Self::Contains { .. } => Type::Boolean,
            Self::Case { otherwise, .. } => otherwise.kind(),
            Self::Coalesce { of } => of.first().map_or(Type::Text, Self::kind),
            Self::Concatenate { .. }
            | Self::Trim { .. }
            | Self::Upper { .. }
            | Self::Lower { .. }
            | Self::Substring { .. }
            | Self::Last { .. }
            | Self::Replace { .. } => Type::Text,
            Self::Length { .. } | Self::DateDifference { .. } => Type::Integer,
            Self::ParseDate { .. } => Type::Date,
        }
    }

    /// Whether there may be rows for which it is an error.
    pub(crate) fn can_fail(&self) -> bool {
        let by_itself = match self {
            Self::Arithmetic { .. }
            | Self::Negate { .. }
            | Self::Absolute { .. }
            | Self::Round { .. }
            | Self::DateDifference { .. }
            | Self::Require { .. } => true,
            Self::ParseNumber { on_error, .. } | Self::ParseDate { on_error, .. } => *on_error == OnError::Fail,
            Self::Cast { kind, .. } => kind.is_number(),
            _ => false,
        };
        by_itself || self.parts().into_iter().any(Self::can_fail)
    }

    /// The expressions that it is made of.
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Column { .. } | Self::Constant { .. } => Vec::new(),
            Self::Arithmetic { left, right, .. } | Self::Compare { left, right, .. } => vec![left, right],
            Self::Contains { of, find } => vec![of, find],
            Self::DateDifference { from, to, .. } => vec![from, to],
            Self::Negate { of }
            | Self::Absolute { of }
            | Self::Round { of, .. }
            | Self::Not { of }
            | Self::IsBlank { of }
            | Self::Trim { of }
            | Self::Upper { of }
            | Self::Lower { of }
            | Self::Substring { of, .. }
            | Self::Last { of, .. }
            | Self::Length { of }
            | Self::Replace { of, .. }
            | Self::ParseNumber { of, .. }
            | Self::ParseDate { of, .. }
            | Self::Cast { of, .. } => vec![of],
            Self::And { of } | Self::Or { of } | Self::Coalesce { of } | Self::Concatenate { of } => {
                of.iter().collect()
            }
            Self::Case { branches, otherwise } => {
                let branches = branches.iter().flat_map(|branch| [&branch.when, &branch.then]);
                branches.chain([otherwise.as_ref()]).collect()
            }
            Self::Require { condition, of, shown, .. } => {
                [condition.as_ref(), of.as_ref()].into_iter().chain(shown).collect()
            }
        }
    }
}
