//! How a CSV file is written: its dialect and its encoding, as described and as checked.

use std::{borrow::Cow, fmt, str::FromStr};

use error_class::{Classified, ErrorClass};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Frictionless *CSV Dialect* descriptor. Every key has the standard's default; other keys are refused.
///
/// What this reader does not do is refused by [`Format::new`] rather than ignored: `escapeChar`, `commentChar` and
/// `nullSequence` must be absent or null. `lineTerminator` is accepted and not needed: LF, CRLF and CR all end a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Dialect {
    /// What separates fields: one ASCII character.
    pub delimiter: String,
    /// Not needed: line ends are recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_terminator: Option<String>,
    /// What quotes a field: one ASCII character, or null for files without quoting.
    pub quote_char: Option<String>,
    /// Whether two quotes inside a quoted field stand for one.
    pub double_quote: bool,
    /// Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape_char: Option<String>,
    /// Not supported: the schema's `missingValues` say the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_sequence: Option<String>,
    /// Whether spaces at the beginning of a field are not part of it.
    pub skip_initial_space: bool,
    /// Whether the first record holds the column names.
    pub header: bool,
    /// Not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment_char: Option<String>,
    /// Whether `Country` and `country` are different columns.
    pub case_sensitive_header: bool,
    /// The version of the standard; not used.
    #[serde(rename = "csvddfVersion", skip_serializing_if = "Option::is_none")]
    pub csvddf_version: Option<serde_json::Value>,
    /// The profile of the descriptor; not used.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            line_terminator: None,
            quote_char: Some("\"".to_owned()),
            double_quote: true,
            escape_char: None,
            null_sequence: None,
            skip_initial_space: false,
            header: true,
            comment_char: None,
            case_sensitive_header: false,
            csvddf_version: None,
            profile: None,
        }
    }
}

/// How bytes become text. What is written is always UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    #[default]
    Utf8,
    /// ISO 8859-1 (Latin-1): bytes 80 to 9F are control characters.
    Iso8859_1,
    /// Windows code page 1252: as Latin-1, with € and typographic quotes in 80 to 9F.
    Windows1252,
}

impl Encoding {
    /// The name in descriptors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Iso8859_1 => "iso-8859-1",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// The text of `bytes`, and whether some of them are no text in this encoding; those become U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> (Cow<'_, str>, bool) {
        match self {
            Self::Utf8 => match String::from_utf8_lossy(bytes) {
                Cow::Borrowed(text) => (Cow::Borrowed(text), false),
                Cow::Owned(text) => (Cow::Owned(text), true),
            },
            Self::Iso8859_1 => (encoding_rs::mem::decode_latin1(bytes), false),
            Self::Windows1252 => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.as_str().to_owned()
    }
}

impl FromStr for Encoding {
    type Err = DialectError;

    fn from_str(text: &str) -> Result<Self, DialectError> {
        match text.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(Self::Utf8),
            "iso-8859-1" | "iso8859-1" | "latin-1" | "latin1" => Ok(Self::Iso8859_1),
            "windows-1252" | "cp1252" => Ok(Self::Windows1252),
            _ => Err(DialectError::Encoding { found: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Encoding {
    type Error = DialectError;

    fn try_from(text: String) -> Result<Self, DialectError> {
        text.parse()
    }
}

/// Why a file cannot be read as described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// A key whose value is not one usable character.
    #[error(
        "dialect: {key} is {found:?}: expected one ASCII character other than a line break, and not that of another key"
    )]
    Character {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
    },
    /// A key that asks for what is not done.
    #[error("dialect: {key} is not supported: {instead}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// An encoding that is not read.
    #[error(
        "encoding {found:?} is not supported: expected utf-8, iso-8859-1 or windows-1252 (convert UTF-16 to utf-8 first)"
    )]
    Encoding {
        /// The encoding.
        found: String,
    },
    /// A bound that cannot be one.
    #[error("the record bound must be of 1 byte to 1 GiB")]
    RecordBytesMax,
}

impl Classified for DialectError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

/// How a CSV file is read, checked: all that splitter and parser need to know. The default is the standard's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
    pub(crate) double_quote: bool,
    pub(crate) skip_initial_space: bool,
    pub(crate) header: bool,
    pub(crate) case_sensitive_header: bool,
    pub(crate) encoding: Encoding,
    pub(crate) record_bytes_max: usize,
}

/// The longest record that is read unless told otherwise: 1 MiB.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

impl Default for Format {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            double_quote: true,
            skip_initial_space: false,
            header: true,
            case_sensitive_header: false,
            encoding: Encoding::Utf8,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

impl Format {
    /// Checks a dialect.
    pub fn new(dialect: &Dialect, encoding: Encoding) -> Result<Self, DialectError> {
        for (key, value, instead) in [
            ("escapeChar", &dialect.escape_char, "write a quote inside a quoted field twice"),
            ("commentChar", &dialect.comment_char, "remove comment lines before the upload"),
            ("nullSequence", &dialect.null_sequence, "name it in the schema's missingValues"),
        ] {
            if value.is_some() {
                return Err(DialectError::Unsupported { key, instead });
            }
        }
        let delimiter = character("delimiter", &dialect.delimiter)?;
        let quote = dialect.quote_char.as_deref().map(|text| character("quoteChar", text)).transpose()?;
        if quote == Some(delimiter) || (dialect.skip_initial_space && delimiter == b' ') {
            return Err(DialectError::Character { key: "delimiter", found: dialect.delimiter.clone() });
        }
        if dialect.skip_initial_space && quote == Some(b' ') {
            return Err(DialectError::Character { key: "quoteChar", found: " ".to_owned() });
        }
        Ok(Self {
            delimiter,
            quote,
            double_quote: dialect.double_quote,
            skip_initial_space: dialect.skip_initial_space,
            header: dialect.header,
            case_sensitive_header: dialect.case_sensitive_header,
            encoding,
            record_bytes_max: RECORD_BYTES_MAX,
        })
    }

    /// The same with another bound on the length of a record, in bytes, its line end not counted.
    pub fn with_record_bytes_max(self, record_bytes_max: usize) -> Result<Self, DialectError> {
        // Positions in a record, decoded, are 32-bit numbers.
        if !(1..=1 << 30).contains(&record_bytes_max) {
            return Err(DialectError::RecordBytesMax);
        }
        Ok(Self { record_bytes_max, ..self })
    }

    /// The same format of records that have been decoded: UTF-8, in which a record can be three times as long.
    #[must_use]
    pub fn decoded(self) -> Self {
        let record_bytes_max = self.record_bytes_max.saturating_mul(3).min(1 << 30);
        Self { encoding: Encoding::Utf8, record_bytes_max, ..self }
    }

    /// The text of bytes in this encoding, and whether all of them are text.
    pub fn decode(self, bytes: &[u8]) -> (Cow<'_, str>, bool) {
        self.encoding.decode(bytes)
    }

    /// Whether the first record holds the column names.
    pub fn has_header(&self) -> bool {
        self.header
    }
}

fn character(key: &'static str, text: &str) -> Result<u8, DialectError> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0) => Ok(*byte),
        _ => Err(DialectError::Character { key, found: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(json: &str) -> Result<Format, String> {
        let dialect: Dialect = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Format::new(&dialect, Encoding::Utf8).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_dialect_is_the_standards_default() {
        assert_eq!(format("{}").unwrap(), Format::default());
        assert_eq!(format(r#"{"lineTerminator": "\n", "csvddfVersion": 1.2}"#).unwrap(), Format::default());
        let semicolon = format(r#"{"delimiter": ";", "quoteChar": null, "header": false}"#).unwrap();
        assert_eq!((semicolon.delimiter, semicolon.quote, semicolon.header), (b';', None, false));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for (json, says) in [
            (r#"{"escapeChar": "\\"}"#, "escapeChar is not supported: write a quote"),
            (r##"{"commentChar": "#"}"##, "commentChar is not supported"),
            (r#"{"nullSequence": "\\N"}"#, "missingValues"),
            (r#"{"delimiter": "||"}"#, "delimiter is \"||\": expected one ASCII"),
            (r#"{"delimiter": "¦"}"#, "expected one ASCII"),
            (r#"{"delimiter": ""}"#, "expected one ASCII"),
            (r#"{"delimiter": "\n"}"#, "line break"),
            (r#"{"quoteChar": ","}"#, "another key"),
            (r#"{"delimiter": " ", "skipInitialSpace": true}"#, "expected one ASCII"),
            (r#"{"delimeter": ";"}"#, "unknown field `delimeter`"),
        ] {
            let error = format(json).unwrap_err();
            assert!(error.contains(says), "{json}: {error}");
        }
        assert!(Format::default().with_record_bytes_max(0).is_err());
    }

    #[test]
    fn encodings_have_several_names_and_utf_16_is_refused() {
        for (name, encoding) in
            [("UTF-8", Encoding::Utf8), ("latin1", Encoding::Iso8859_1), ("CP1252", Encoding::Windows1252)]
        {
            assert_eq!(serde_json::from_value::<Encoding>(name.into()).unwrap(), encoding);
        }
        let error = serde_json::from_value::<Encoding>("utf-16".into()).unwrap_err().to_string();
        assert!(error.contains("convert UTF-16 to utf-8"), "{error}");
        assert_eq!(Encoding::Windows1252.decode(b"\x80 5").0, "€ 5");
        assert_eq!(Encoding::Iso8859_1.decode(b"M\xfcller").0, "Müller");
        assert_eq!(Encoding::Utf8.decode(b"M\xfcller"), (Cow::from("M\u{fffd}ller"), true));
    }
}
