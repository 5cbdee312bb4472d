//! What there is to say about how something is computed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What two numbers become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operator {
    /// Left + right.
    Add,
    /// Left − right.
    Subtract,
    /// Left × right.
    Multiply,
    /// Left ÷ right.
    Divide,
}

/// What a division by zero is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnZero {
    /// An error: the job fails and says where.
    #[default]
    Fail,
    /// Blank.
    Blank,
}

/// What a text that cannot be read is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnError {
    /// An error: the job fails and says where.
    #[default]
    Fail,
    /// Blank.
    Blank,
}

/// How two values of one type compare. Text compares by code points, false comes before true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// Left = right.
    Equal,
    /// Left < right.
    Less,
    /// Left ≤ right.
    LessOrEqual,
}

/// In which unit two days are apart, as the spreadsheet's DATEDIF names them.
///
/// A month is complete when its day of the month is reached: from 31 January, February is complete on 1 March. Days beyond
/// months or years are counted from the first day moved forward by them; where that month has no such day, from its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DateUnit {
    /// Days.
    #[serde(rename = "D")]
    Days,
    /// Complete months.
    #[serde(rename = "M")]
    Months,
    /// Complete years.
    #[serde(rename = "Y")]
    Years,
    /// Complete months beyond complete years.
    #[serde(rename = "YM")]
    MonthsOfYear,
    /// Days beyond complete months.
    #[serde(rename = "MD")]
    DaysOfMonth,
    /// Days beyond complete years.
    #[serde(rename = "YD")]
    DaysOfYear,
}

/// What `CR` behind a number makes of it; `DR` is the opposite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Credit {
    /// Less than nothing, as in one's own books.
    #[default]
    Negative,
    /// More than nothing, as on a bank's statement.
    Positive,
}

/// What numbers in a text look like besides plain ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberText {
    /// The decimal sign.
    pub decimal: char,
    /// What groups digits; it must stand where groups of three end. U+0020 stands for U+00A0 and U+202F, too.
    pub group: Option<char>,
    /// What `CR` means.
    pub credit: Credit,
}
