//! Events as the bytes of a file.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serializer;
use serde_json::value::{RawValue, to_raw_value};

use super::{COLUMNS, Fault, Row};

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// CSV, with a header.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Format {
    /// The ending of a file's name.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Csv => ".csv",
            Self::JsonLines => ".jsonl",
        }
    }

    /// The word of ledger definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonLines",
        }
    }
}

impl Packing {
    /// What it adds to the name of a file.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The word of ledger definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Writes a file of events.
pub fn write(rows: &[Row], format: Format, packing: Packing, out: impl Write) -> io::Result<()> {
    match packing {
        Packing::None => plain(rows, format, out),
        Packing::Gzip => {
            let mut packed = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            plain(rows, format, &mut packed)?;
            packed.finish().map(drop)
        }
        Packing::Zstd => {
            let mut packed = zstd::Encoder::new(out, 1)?;
            plain(rows, format, &mut packed)?;
            packed.finish().map(drop)
        }
    }
}

fn plain(rows: &[Row], format: Format, mut out: impl Write) -> io::Result<()> {
    match format {
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            writer.write_record(COLUMNS)?;
            for row in rows {
                writer.write_record(row.cells())?;
            }
            writer.flush()
        }
        Format::JsonLines => {
            for row in rows {
                serde_json::Serializer::new(&mut out).collect_map(object(row)?)?;
                out.write_all(b"\n")?;
            }
            out.flush()
        }
    }
}

/// A row as JSON: numbers are numbers, digit for digit, and what is empty is null or absent.
fn object(row: &Row) -> serde_json::Result<Vec<(&'static str, Box<RawValue>)>> {
    let mut members = Vec::new();
    for (name, cell) in COLUMNS.into_iter().zip(row.cells()) {
        let value = match name {
            "units" if cell.is_empty() => continue,
            _ if cell.is_empty() => to_raw_value(&()),
            "units" => RawValue::from_string(cell),
            "amount" if row.fault != Some(Fault::Amount) => RawValue::from_string(cell),
            _ => to_raw_value(&cell),
        };
        members.push((name, value?));
    }
    Ok(members)
}
