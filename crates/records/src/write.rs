//! Writes records: quotes where needed and nowhere else, always UTF-8.

use std::borrow::Cow;

use money::Amount;
use serde::{Deserialize, Serialize};

use crate::dialect::Format;

/// What ends a written record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    /// A line feed.
    #[default]
    Lf,
    /// Carriage return and line feed, as RFC 4180 has it.
    CrLf,
}

/// Writes records into memory.
///
/// What it writes, a [`RecordReader`](crate::RecordReader) of the same format reads back as it was, and so does any
/// other reader of RFC 4180. A field with a quote cannot be written in a format that has no doubled quotes: there, too,
/// quotes are doubled.
#[derive(Debug, Clone)]
pub struct Writer {
    out: Vec<u8>,
    delimiter: u8,
    quote: u8,
    line_end: LineEnd,
    guarded: Vec<bool>,
    /// For each byte, whether a field with it is quoted.
    special: [bool; 256],
    skip_initial_space: bool,
}

impl Writer {
    /// Writes with the delimiter and quote of `format`; a format without quotes is given `"`.
    pub fn new(format: &Format, line_end: LineEnd) -> Self {
        let quote = format.quote.unwrap_or(b'"');
        let mut special = [false; 256];
        for byte in [format.delimiter, quote, b'\r', b'\n'] {
            if let Some(special) = special.get_mut(usize::from(byte)) {
                *special = true;
            }
        }
        let skip_initial_space = format.skip_initial_space;
        let (delimiter, out, guarded) = (format.delimiter, Vec::new(), Vec::new());
        Self { out, delimiter, quote, line_end, guarded, special, skip_initial_space }
    }

    /// Guards the columns marked `true` against spreadsheets that would run their cells as formulas: see [`guard`].
    /// Columns behind the last mark are not guarded.
    #[must_use]
    pub fn guarding(self, columns: Vec<bool>) -> Self {
        Self { guarded: columns, ..self }
    }

    /// Writes a record of which nothing is guarded.
    pub fn write_header<'f>(&mut self, names: impl IntoIterator<Item = &'f str>) {
        let begin = self.out.len();
        for (index, name) in names.into_iter().enumerate() {
            self.write_field(index, name);
        }
        self.end_record(begin);
    }

    /// Writes a record.
    pub fn write<'f>(&mut self, fields: impl IntoIterator<Item = &'f str>) {
        let begin = self.out.len();
        for (index, field) in fields.into_iter().enumerate() {
            match self.guarded.get(index) {
                Some(true) => self.write_field(index, &guard(field)),
                _ => self.write_field(index, field),
            }
        }
        self.end_record(begin);
    }

    /// What has been written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// What has been written, and leaves nothing behind.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    #[inline]
    fn write_field(&mut self, index: usize, field: &str) {
        if index > 0 {
            self.out.push(self.delimiter);
        }
        if self.needs_quotes(field) {
            self.write_quoted(field);
        } else {
            self.out.extend_from_slice(field.as_bytes());
        }
    }

    #[inline]
    fn needs_quotes(&self, field: &str) -> bool {
        let special = |byte: &u8| self.special.get(usize::from(*byte)).copied().unwrap_or_default();
        field.as_bytes().iter().any(special)
            || (self.skip_initial_space && field.starts_with(' '))
            // At the beginning of a file it would be a byte order mark.
            || (self.out.is_empty() && field.starts_with('\u{feff}'))
    }

    fn write_quoted(&mut self, field: &str) {
        self.out.push(self.quote);
        for byte in field.bytes() {
            if byte == self.quote {
                self.out.push(byte);
            }
            self.out.push(byte);
        }
        self.out.push(self.quote);
    }

    fn end_record(&mut self, begin: usize) {
        if self.out.len() == begin {
            // A lone empty field would be an empty line, which is no record.
            self.out.extend_from_slice(&[self.quote, self.quote]);
        }
        self.out.extend_from_slice(match self.line_end {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
        });
    }
}

/// The cell with an apostrophe before it, if a spreadsheet could take it for a formula: if it begins with `=`, `+`,
/// `-`, `@`, TAB or CR and is not simply a number. A cell that is so already but for apostrophes gets one more, so that
/// [`unguard`] gives every cell back.
pub fn guard(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Undoes [`guard`].
pub fn unguard(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|bare| is_formula(bare)).unwrap_or(cell)
}

fn is_formula(cell: &str) -> bool {
    let bare = cell.trim_start_matches('\'');
    bare.starts_with(['=', '+', '-', '@', '\t', '\r']) && bare.parse::<Amount>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(writer: &Writer) -> &str {
        std::str::from_utf8(writer.as_bytes()).unwrap()
    }

    #[test]
    fn quotes_only_where_needed() {
        let mut writer = Writer::new(&Format::default(), LineEnd::Lf);
        writer.write(["plain", "two words", "a,b", "say \"hi\"", "line\nbreak", "", "it's", "é"]);
        writer.write([""]);
        assert_eq!(written(&writer), "plain,two words,\"a,b\",\"say \"\"hi\"\"\",\"line\nbreak\",,it's,é\n\"\"\n");
        let mut writer = Writer::new(&Format { delimiter: b';', ..Format::default() }, LineEnd::CrLf);
        writer.write_header(["a,b", "c;d"]);
        assert_eq!(written(&writer), "a,b;\"c;d\"\r\n");
    }

    /// A person opens the output in a spreadsheet: what a stranger typed must not run there.
    #[test]
    fn formulas_are_guarded_in_marked_columns_only() {
        let mut writer = Writer::new(&Format::default(), LineEnd::Lf).guarding(vec![true, false, true]);
        writer.write_header(["=name", "amount", "note"]);
        writer.write(["=1+1", "-5.00", "@SUM(A1)", "=unmarked"]);
        writer.write(["-5.00", "=x", "+49 30 1234"]);
        writer.write(["\tx", "", "'=already"]);
        let expected = "=name,amount,note\n'=1+1,-5.00,'@SUM(A1),=unmarked\n-5.00,=x,'+49 30 1234\n'\tx,,''=already\n";
        assert_eq!(written(&writer), expected);
    }

    #[test]
    fn taking_leaves_nothing_behind() {
        let mut writer = Writer::new(&Format::default(), LineEnd::Lf);
        writer.write(["a"]);
        assert_eq!(writer.take(), b"a\n");
        assert!(writer.as_bytes().is_empty());
    }
}
