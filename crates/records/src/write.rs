//! Writes records: quotes where needed and nowhere else, always UTF-8.

use std::borrow::Cow;

use memchr::{memchr_iter, memchr3};
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
    skip_initial_space: bool,
    /// The present record as it is without quotes, and where in it each field ends.
    line: String,
    ends: Vec<usize>,
}

impl Writer {
    /// Writes with the delimiter and quote of `format`; a format without quotes is given `"`.
    pub fn new(format: &Format, line_end: LineEnd) -> Self {
        Self {
            out: Vec::new(),
            delimiter: format.delimiter,
            quote: format.quote.unwrap_or(b'"'),
            line_end,
            guarded: Vec::new(),
            skip_initial_space: format.skip_initial_space,
            line: String::new(),
            ends: Vec::new(),
        }
    }

    /// Guards the columns marked `true` against spreadsheets that would run their cells as formulas: see [`guard`].
    /// Columns behind the last mark are not guarded.
    #[must_use]
    pub fn guarding(self, columns: Vec<bool>) -> Self {
        Self { guarded: columns, ..self }
    }

    /// Writes a record of which nothing is guarded.
    pub fn write_header<'f>(&mut self, names: impl IntoIterator<Item = &'f str>) {
        for name in names {
            self.add_field(name);
        }
        self.end_record();
    }

    /// Writes a record; one without fields has one that is empty.
    pub fn write<'f>(&mut self, fields: impl IntoIterator<Item = &'f str>) {
        for (index, field) in fields.into_iter().enumerate() {
            match self.guarded.get(index) {
                Some(true) => self.add_field(&guard(field)),
                _ => self.add_field(field),
            }
        }
        self.end_record();
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
    fn add_field(&mut self, field: &str) {
        if !self.ends.is_empty() {
            self.line.push(char::from(self.delimiter));
        }
        self.line.push_str(field);
        self.ends.push(self.line.len());
    }

    fn end_record(&mut self) {
        if self.ends.is_empty() {
            self.add_field("");
        }
        if self.needs_quotes() {
            self.write_quoting();
        } else {
            self.out.extend_from_slice(self.line.as_bytes());
        }
        self.out.extend_from_slice(match self.line_end {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
        });
        self.line.clear();
        self.ends.clear();
    }

    /// Whether any field does. The record is looked at as a whole, which is quicker than field by field: then all its
    /// delimiters are those between fields.
    #[inline]
    fn needs_quotes(&self) -> bool {
        let line = self.line.as_bytes();
        self.line.is_empty()
            || memchr3(self.quote, b'\r', b'\n', line).is_some()
            || memchr_iter(self.delimiter, line).count() + 1 != self.ends.len()
            || self.skip_initial_space
            || self.begins_with_mark(&self.line)
    }

    /// Writes the record field by field.
    fn write_quoting(&mut self) {
        let mut start = 0;
        for end in &self.ends {
            if start > 0 {
                self.out.push(self.delimiter);
            }
            let field = self.line.get(start..*end).unwrap_or_default();
            let special = |byte: &u8| matches!(byte, b'\r' | b'\n') || *byte == self.delimiter || *byte == self.quote;
            // A lone empty field would be an empty line, which is no record.
            let quoted = self.line.is_empty()
                || field.as_bytes().iter().any(special)
                || (self.skip_initial_space && field.starts_with(' '))
                || (start == 0 && self.begins_with_mark(field));
            if quoted {
                write_quoted(&mut self.out, field, self.quote);
            } else {
                self.out.extend_from_slice(field.as_bytes());
            }
            start = end + 1;
        }
    }

    /// Whether the text would be a byte order mark where it is to stand.
    fn begins_with_mark(&self, text: &str) -> bool {
        self.out.is_empty() && text.starts_with('\u{feff}')
    }
}

fn write_quoted(out: &mut Vec<u8>, field: &str, quote: u8) {
    out.push(quote);
    for byte in field.bytes() {
        if byte == quote {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(quote);
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
