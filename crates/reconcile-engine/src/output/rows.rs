//! Rows as CSV and as JSON lines.

use std::borrow::Cow;

use arrow::{array::RecordBatch, error::ArrowError};
use reconcile::{
    Format, Type,
    plan::{PlanColumn, PlanOutput},
};

use crate::{columns, text::Formatter};

/// How the rows of an output are written.
pub(super) struct Rows {
    columns: Vec<PlanColumn>,
    /// Of CSV: whether texts are kept from being run as formulas.
    guards: bool,
    /// Of JSON lines: what stands before each value.
    keys: Option<Vec<String>>,
}

impl Rows {
    pub(super) fn of(output: &PlanOutput) -> Self {
        let key = |(at, column): (usize, &PlanColumn)| {
            let before = if at == 0 { '{' } else { ',' };
            format!("{before}{}:", serde_json::Value::from(column.name.as_str()))
        };
        let keys = (output.format == Format::JsonLines).then(|| output.columns.iter().enumerate().map(key).collect());
        Self { columns: output.columns.clone(), guards: output.formula_guard, keys }
    }

    /// The rows of a batch.
    pub(super) fn write(&self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let formatter = |column: &PlanColumn| Formatter::new(columns::column(batch, column.id)?, column.kind);
        let formatters = self.columns.iter().map(formatter).collect::<Result<Vec<_>, _>>()?;
        let mut out = Vec::with_capacity(batch.num_rows() * (self.columns.len() * 8 + 2));
        for row in 0..batch.num_rows() {
            match &self.keys {
                None => write_csv(&formatters, self.guards, row, &mut out),
                Some(keys) => self.write_json(keys, &formatters, row, &mut out)?,
            }
        }
        Ok(out)
    }

    fn write_json(
        &self,
        keys: &[String],
        formatters: &[Formatter<'_>],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        for ((key, formatter), column) in keys.iter().zip(formatters).zip(&self.columns) {
            out.extend_from_slice(key.as_bytes());
            if formatter.is_blank(row) {
                out.extend_from_slice(b"null");
                continue;
            }
            match (formatter.text(row), column.kind) {
                (Some(text), _) => {
                    serde_json::to_writer(&mut *out, text).map_err(|error| ArrowError::JsonError(error.to_string()))?;
                }
                (None, Type::Integer | Type::Boolean) => formatter.write(row, out),
                (None, _) => {
                    out.push(b'"');
                    formatter.write(row, out);
                    out.push(b'"');
                }
            }
        }
        out.extend_from_slice(if keys.is_empty() { b"{}\n" } else { b"}\n" });
        Ok(())
    }
}

fn write_csv(formatters: &[Formatter<'_>], guards: bool, row: usize, out: &mut Vec<u8>) {
    let begin = out.len();
    for (at, formatter) in formatters.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match formatter.text(row) {
            Some(text) => {
                let text = if guards { records::guard(text) } else { Cow::Borrowed(text) };
                write_text(text.as_bytes(), out);
            }
            None => formatter.write(row, out),
        }
    }
    // A lone empty cell would be an empty line, which is no record.
    out.extend_from_slice(if out.len() == begin { b"\"\"\r\n" } else { b"\r\n" });
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    // Without a way out of the loop it runs over many bytes at once.
    let special = |byte: &u8| (*byte == b',') | (*byte == b'"') | (*byte == b'\r') | (*byte == b'\n');
    if !text.iter().fold(false, |found, byte| found | special(byte)) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
