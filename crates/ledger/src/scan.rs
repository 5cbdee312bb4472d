//! Telling the records of a file of events apart: for job-splitter, and for whoever counts a file before sending it.

use records::{Header, HeaderError, Split, SplitPlan, Splitter, StructureError, Validator};

use crate::{EventFormat, Ledger, json_lines::LineSplitter};

/// Why the records of a file cannot be told apart.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// As text, a packed file would only be one very strange header.
    #[error("it is packed with {found}, and the ledger definition says none")]
    Packed {
        /// By its first bytes.
        found: &'static str,
    },
    /// There is not even a header.
    #[error("it is empty, and a header is expected: a file without events has its header line alone")]
    NoHeader,
    /// The records run into one another.
    #[error(transparent)]
    Structure(#[from] StructureError),
}

/// The scanner of a ledger's files of events. Push a file's bytes, unpacked, in blocks of any size; then finish.
#[derive(Debug)]
pub struct EventScanner {
    records: Records,
    /// Whether nothing was pushed yet that should be plain text.
    is_at_start: bool,
    expects_header: bool,
}

#[derive(Debug)]
enum Records {
    Csv(Box<Splitter>),
    JsonLines(LineSplitter),
}

impl EventScanner {
    /// A scanner that cuts a file as `plan` says.
    pub fn new(ledger: &Ledger, plan: SplitPlan) -> Self {
        let events = &ledger.definition().events;
        let (records, expects_header) = match events.format {
            EventFormat::Csv => {
                (Records::Csv(Box::new(Splitter::new(ledger.format(), plan))), ledger.format().has_header())
            }
            EventFormat::JsonLines => (Records::JsonLines(LineSplitter::new(plan)), false),
        };
        Self { records, is_at_start: events.compression.packing().is_none(), expects_header }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, block: &[u8]) -> Result<(), ScanError> {
        if self.is_at_start && !block.is_empty() {
            self.is_at_start = false;
            expect_plain(block)?;
        }
        match &mut self.records {
            Records::Csv(splitter) => splitter.push(block)?,
            Records::JsonLines(splitter) => splitter.push(block)?,
        }
        Ok(())
    }

    /// What the file is made of.
    pub fn finish(self) -> Result<Split, ScanError> {
        let split = match self.records {
            Records::Csv(splitter) => splitter.finish()?,
            Records::JsonLines(splitter) => splitter.finish()?,
        };
        if self.expects_header && split.header.is_none() { Err(ScanError::NoHeader) } else { Ok(split) }
    }
}

fn expect_plain(first: &[u8]) -> Result<(), ScanError> {
    const MAGIC: [(&[u8], &str); 2] = [(b"\x1F\x8B", "gzip"), (b"\x28\xB5\x2F\xFD", "zstd")];
    match MAGIC.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, found)) => Err(ScanError::Packed { found }),
        None => Ok(()),
    }
}

/// The header that stands in `bytes`, once its columns are known to be those of the definition.
pub fn header(ledger: &Ledger, bytes: &[u8]) -> Result<Header, HeaderError> {
    let header = Header::parse(bytes, ledger.format())?;
    Validator::new(&ledger.schema, &header, ledger.format())?;
    Ok(header)
}
