//! The automaton that says where records end. Splitter and parser both ask it, so they cannot disagree.
//!
//! It is RFC 4180 and what people upload besides:
//!
//! - LF, CRLF or a lone CR ends a record, outside quotes; the last record needs none.
//! - Lines without a byte are no records. CR LF is, to the automaton, a line end and such an empty line.
//! - A quote opens a quoted field only where a field begins; elsewhere it is an ordinary character.
//! - In a quoted field delimiters and line ends are ordinary, and a doubled quote stands for one; any other quote closes
//!   it. What then follows before the delimiter makes the record a reject, but does not move its end.

use error_class::{Classified, ErrorClass};
use memchr::{memchr, memchr2, memchr3};

use crate::dialect::{Encoding, Format};

/// Bytes in which no records can be told apart. Nothing of such an input can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// A record beyond the bound; most often a stray quote that swallows what follows.
    #[error(
        "row {row}, at byte {offset}, is longer than {limit} bytes: a quote may be open that is never closed, or the \
         bound that is declared for records is too low"
    )]
    RecordTooLong {
        /// The record's row; 0 is the header.
        row: u64,
        /// Where it begins, in bytes from the beginning of the input.
        offset: u64,
        /// The bound in bytes.
        limit: usize,
    },
    /// The input ends inside a quoted field.
    #[error("row {row}, at byte {offset}, opens a quote that is not closed before the end of the file")]
    UnterminatedQuote {
        /// The record's row; 0 is the header.
        row: u64,
        /// Where it begins, in bytes from the beginning of the input.
        offset: u64,
    },
    /// More empty lines at a stretch than a record may have bytes.
    #[error("more than {limit} bytes of empty lines from byte {offset} on")]
    TooManyEmptyLines {
        /// Where they begin, in bytes from the beginning of the input.
        offset: u64,
        /// The bound in bytes.
        limit: usize,
    },
    /// The byte order mark tells of another encoding.
    #[error(
        "the file begins with the byte order mark of {found}, but its declared encoding is {declared}: save it as \
         {declared}, or declare another where that can be read"
    )]
    WrongEncoding {
        /// What the mark says.
        found: &'static str,
        /// What is declared.
        declared: Encoding,
    },
    /// More ranges than the bound.
    #[error("more than {limit} chunks: declare larger ones")]
    TooManyChunks {
        /// The bound.
        limit: u64,
    },
}

impl Classified for StructureError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

/// Where in a record the automaton stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a field: a quote opens it.
    FieldStart,
    /// In a field that is not quoted, or behind one that was.
    Unquoted,
    /// In a quoted field.
    Quoted,
    /// Behind a quote in a quoted field, which closes it unless a second one follows.
    QuoteInQuoted,
}

/// The automaton. Its state is carried from one block of bytes to the next.
#[derive(Debug, Clone)]
pub(crate) struct RecordEnd {
    delimiter: u8,
    quote: Option<u8>,
    double_quote: bool,
    skip_initial_space: bool,
    state: State,
    saw_quote: bool,
}

impl RecordEnd {
    pub(crate) fn new(format: &Format) -> Self {
        Self {
            delimiter: format.delimiter,
            quote: format.quote,
            double_quote: format.double_quote,
            skip_initial_space: format.skip_initial_space,
            state: State::FieldStart,
            saw_quote: false,
        }
    }

    /// Stands at the first byte of a record.
    pub(crate) fn restart(&mut self) {
        self.state = State::FieldStart;
        self.saw_quote = false;
    }

    /// Whether the record so far has a quote anywhere.
    pub(crate) fn saw_quote(&self) -> bool {
        self.saw_quote
    }

    /// Whether an end of the input here would leave a quote open.
    pub(crate) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Reads on in a record. The index of the line end that closes it, or `None` when it goes on behind `bytes`.
    #[inline]
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        loop {
            rest = match self.state {
                State::FieldStart | State::Unquoted => {
                    let Some(at) = self.next_special(rest) else {
                        self.state = self.state_after(rest);
                        return None;
                    };
                    let (before, from) = rest.split_at(at);
                    if matches!(from.first(), Some(b'\n' | b'\r')) {
                        return Some(bytes.len() - from.len());
                    }
                    self.saw_quote = true;
                    let opens = self.state_after(before) == State::FieldStart;
                    self.state = if opens { State::Quoted } else { State::Unquoted };
                    from.get(1..)?
                }
                State::Quoted => {
                    let behind = rest.get(memchr(self.quote?, rest)? + 1..)?;
                    self.state = State::QuoteInQuoted;
                    behind
                }
                State::QuoteInQuoted => {
                    let next = *rest.first()?;
                    if self.double_quote && Some(next) == self.quote {
                        self.state = State::Quoted;
                        rest.get(1..)?
                    } else if next == self.delimiter && rest.get(1).is_some_and(|byte| Some(*byte) == self.quote) {
                        // No search where the next field is quoted too: they often come in rows.
                        self.state = State::Quoted;
                        rest.get(2..)?
                    } else {
                        self.state = State::Unquoted;
                        rest
                    }
                }
            };
        }
    }

    fn next_special(&self, bytes: &[u8]) -> Option<usize> {
        match self.quote {
            Some(quote) => memchr3(b'\n', b'\r', quote, bytes),
            None => memchr2(b'\n', b'\r', bytes),
        }
    }

    /// The state behind `bytes`, which hold no line end and no quote that matters, when this is the state before them.
    fn state_after(&self, bytes: &[u8]) -> State {
        let mut last = bytes.iter().rev();
        match last.find(|byte| !(self.skip_initial_space && **byte == b' ')) {
            None => self.state,
            Some(byte) if *byte == self.delimiter => State::FieldStart,
            Some(_) => State::Unquoted,
        }
    }
}

/// How many bytes of line ends stand at the beginning of `bytes`.
#[inline]
pub(crate) fn empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len())
}
