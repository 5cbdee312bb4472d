//! Versions whose lines are as this program writes them for the ledger as it is defined now, read in one pass.
//!
//! Most are: no event lines, attributes, ids or dated values, and the measures of the definition in its order. Whatever
//! is not exactly so is left to the reader that takes any line of the ledger's, [`artifact::read`](crate::artifact::read).

use money::{Amount, Currency};

use crate::{
    artifact::{Artifact, take_events},
    compiled::Ledger,
    json_text::take_number,
    measure::{Currencies, State},
    sequence::BatchSequence,
};

const LINES: &[u8] = b",\"lines\":[],\"lines_file\":null}";

/// Reads a version of that key and sequence into an artifact without events; `None` where its line is not of the kind that
/// is read here.
pub(crate) fn read(
    ledger: &Ledger,
    line: &[u8],
    key: &str,
    sequence: BatchSequence,
    currencies: &mut Currencies,
    artifact: &mut Artifact<'_>,
) -> Option<()> {
    if ledger.keeps_ids() || !ledger.attributes.is_empty() {
        return None;
    }
    let (events, rest) = take_events(line.strip_suffix(LINES)?, key, sequence)?;
    let mut rest = rest.strip_prefix(b"{")?;
    artifact.events = events;
    for (index, (measure, state)) in ledger.measures.iter().zip(&mut artifact.measures).enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b",")?;
        }
        rest = rest.strip_prefix(b"\"")?.strip_prefix(measure.name.as_bytes())?.strip_prefix(b"\":")?;
        match state {
            State::Count(count) => (*count, rest) = take_number(rest)?,
            State::Amounts(amounts) => rest = take_amounts(rest, amounts, currencies)?,
            State::Dated(_) => return None,
        }
    }
    let previous = rest.strip_prefix(b"},\"attributes\":{},\"previous\":")?;
    let is_entry = previous.starts_with(b"{\"file\":\"") && previous.ends_with(b"}");
    (is_entry || previous == b"null").then_some(())
}

/// A list of amounts, and what stands behind it.
fn take_amounts<'t>(
    text: &'t [u8],
    amounts: &mut Vec<(Option<Currency>, Amount)>,
    currencies: &mut Currencies,
) -> Option<&'t [u8]> {
    let mut rest = text.strip_prefix(b"[")?;
    if let Some(behind) = rest.strip_prefix(b"]") {
        return Some(behind);
    }
    loop {
        rest = rest.strip_prefix(b"{\"currency\":")?;
        let currency = match rest.strip_prefix(b"null") {
            Some(behind) => {
                rest = behind;
                None
            }
            None => {
                let (code, behind) = take_quoted(rest)?;
                rest = behind;
                Some(currencies.find(str::from_utf8(code).ok()?)?)
            }
        };
        let (amount, behind) = take_quoted(rest.strip_prefix(b",\"amount\":")?)?;
        amounts.push((currency, Amount::parse(amount).ok()?));
        rest = behind.strip_prefix(b"}")?;
        match rest.split_first()? {
            (b',', behind) => rest = behind,
            (b']', behind) => return Some(behind),
            _ => return None,
        }
    }
}

/// A short text without anything escaped, and what stands behind it.
fn take_quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let (inside, behind) = text.split_at_checked(text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?)?;
    Some((inside, behind.strip_prefix(b"\"")?))
}
