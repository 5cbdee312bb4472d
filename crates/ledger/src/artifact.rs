//! Artifacts, as part-files have them: one JSON object a line.
//!
//! `docs/ledger.md` shows one. Amounts are text, so that no reader makes floats of them; what differs by currency is a
//! list of objects, so that every line has the same columns.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use money::{Amount, Currency};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    codec::Corrupt,
    compiled::Ledger,
    index_entry::IndexEntry,
    lines::SideFile,
    measure::{Dated, State},
    rule::Judgement,
    sequence::BatchSequence,
};

/// What an artifact knows, as far as the next version is made of it.
#[derive(Debug, Clone)]
pub(crate) struct Artifact<'a> {
    pub(crate) events: u64,
    pub(crate) measures: Vec<State>,
    pub(crate) attributes: Vec<Option<Dated>>,
    /// Its event lines, by event time and event id.
    pub(crate) lines: Vec<&'a RawValue>,
    pub(crate) side_file: Option<SideFile>,
    /// Whether lines of this version went to a side file: then all of them do.
    pub(crate) moved: bool,
    /// The ids that it has taken, in order, where it keeps them.
    pub(crate) ids: Vec<TakenId<'a>>,
}

impl Artifact<'_> {
    /// An artifact without events.
    pub(crate) fn empty(ledger: &Ledger) -> Self {
        Self {
            events: 0,
            measures: ledger.measures.iter().map(|measure| State::empty(measure.kind)).collect(),
            attributes: vec![None; ledger.attributes.len()],
            lines: Vec::new(),
            side_file: None,
            moved: false,
            ids: Vec::new(),
        }
    }
}

/// An event that an artifact has taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TakenId<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(deserialize_with = "from_hex")]
    pub(crate) digest: u64,
}

/// A line, as it is read. What can be made again from the rest (status, difference, previous) is not looked at.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    applied_through: BatchSequence,
    events: u64,
    #[serde(borrow)]
    measures: &'a RawValue,
    #[serde(borrow)]
    attributes: &'a RawValue,
    #[serde(borrow, default)]
    lines: Vec<&'a RawValue>,
    #[serde(default)]
    lines_file: Option<SideFile>,
    #[serde(borrow, default)]
    ids: Vec<TakenId<'a>>,
}

const ARTIFACT: &str = "artifact";

/// Reads a version, and refuses it where it is not of that key and sequence.
pub(crate) fn read<'a>(
    ledger: &Ledger,
    line: &'a [u8],
    key: &str,
    sequence: BatchSequence,
) -> Result<Artifact<'a>, Corrupt> {
    let corrupt = |problem| Corrupt::new(ARTIFACT, problem);
    let line: Line<'a> = serde_json::from_slice(line).map_err(|_| corrupt("it is not a line of the ledger's"))?;
    if line.key != key || line.applied_through != sequence {
        return Err(corrupt("it has another key or sequence than the place where it was found says"));
    }
    let mut artifact = Artifact::empty(ledger);
    let mut measures = serde_json::Deserializer::from_str(line.measures.get());
    let seed = Measures { ledger, states: &mut artifact.measures };
    seed.deserialize(&mut measures).map_err(|_| corrupt("its measures cannot be read"))?;
    if !ledger.attributes.is_empty() {
        let mut attributes = serde_json::Deserializer::from_str(line.attributes.get());
        let seed = Attributes { ledger, held: &mut artifact.attributes };
        seed.deserialize(&mut attributes).map_err(|_| corrupt("its attributes cannot be read"))?;
    }
    artifact.events = line.events;
    (artifact.lines, artifact.side_file, artifact.ids) = (line.lines, line.lines_file, line.ids);
    Ok(artifact)
}

/// Fills the states of the ledger's measures. A measure that the ledger no longer has is left out; one that the line has
/// not yet begins empty.
struct Measures<'m> {
    ledger: &'m Ledger,
    states: &'m mut [State],
}

#[derive(Deserialize)]
struct AmountEntry {
    currency: Option<Currency>,
    amount: Amount,
}

impl<'de> DeserializeSeed<'de> for Measures<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Measures<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("measures")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Names are plain ASCII, so they are never escaped and can be borrowed.
        while let Some(name) = map.next_key::<&str>()? {
            let index = self.ledger.measures.iter().position(|measure| measure.name == name);
            match index.and_then(|index| self.states.get_mut(index)) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(State::Count(count)) => *count = map.next_value()?,
                Some(State::Amounts(amounts)) => {
                    let entries: Vec<AmountEntry> = map.next_value()?;
                    amounts.extend(entries.into_iter().map(|entry| (entry.currency, entry.amount)));
                }
                Some(State::Dated(values)) => *values = map.next_value()?,
            }
        }
        Ok(())
    }
}

struct Attributes<'m> {
    ledger: &'m Ledger,
    held: &'m mut [Option<Dated>],
}

impl<'de> DeserializeSeed<'de> for Attributes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Attributes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<&str>()? {
            let index = self.ledger.attributes.iter().position(|(attribute, _)| attribute == name);
            match index.and_then(|index| self.held.get_mut(index)) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(held) => *held = map.next_value()?,
            }
        }
        Ok(())
    }
}

/// The parts of a new version that are not in its [`Artifact`].
pub(crate) struct Heading<'h> {
    pub(crate) key: &'h str,
    pub(crate) applied_through: BatchSequence,
    pub(crate) previous: Option<&'h IndexEntry>,
    pub(crate) judgement: Option<&'h Judgement>,
}

/// Whether a line is the version of that sequence of the artifact of that key, by how it begins.
pub(crate) fn is_of(line: &[u8], key: &str, sequence: BatchSequence) -> bool {
    let mut opening = Vec::with_capacity(key.len() + 64);
    put_opening(&mut opening, key, sequence);
    line.starts_with(&opening)
}

/// How many events a version was made of, by how its line begins; `None` where it is not the version of that sequence of
/// the artifact of that key.
pub(crate) fn events_of(line: &[u8], key: &str, sequence: BatchSequence) -> Option<u64> {
    const EVENTS: &[u8] = b",\"events\":";
    let mut opening = Vec::with_capacity(key.len() + 64);
    put_opening(&mut opening, key, sequence);
    let rest = line.strip_prefix(opening.as_slice())?;
    // Between the two are a word and amounts, which hold no such bytes.
    let digits = rest.get(memchr::memmem::find(rest, EVENTS)? + EVENTS.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

fn put_opening(out: &mut Vec<u8>, key: &str, sequence: BatchSequence) {
    out.extend_from_slice(b"{\"key\":");
    put_text(out, key);
    out.extend_from_slice(b",\"applied_through\":");
    put_number(out, sequence.get());
    out.push(b',');
}

/// Writes a version as one line, without its line feed. `lines` are its event lines, joined by commas.
pub(crate) fn write(ledger: &Ledger, artifact: &Artifact<'_>, heading: &Heading<'_>, lines: &[u8], out: &mut Vec<u8>) {
    put_opening(out, heading.key, heading.applied_through);
    out.extend_from_slice(b"\"status\":");
    match heading.judgement {
        Some(judgement) => put_text(out, judgement.status.as_str()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"difference\":");
    put_amounts(out, heading.judgement.map_or(&[], |judgement| &judgement.difference));
    out.extend_from_slice(b",\"events\":");
    put_number(out, artifact.events);
    out.extend_from_slice(b",\"measures\":{");
    for (index, (measure, state)) in ledger.measures.iter().zip(&artifact.measures).enumerate() {
        put_name(out, index, &measure.name);
        match state {
            State::Count(count) => put_number(out, *count),
            State::Amounts(amounts) => put_amounts(out, amounts),
            State::Dated(values) => put_list(out, values, |out, value| put_dated(out, value, true)),
        }
    }
    out.extend_from_slice(b"},\"attributes\":{");
    for (index, ((name, _), value)) in ledger.attributes.iter().zip(&artifact.attributes).enumerate() {
        put_name(out, index, name);
        match value {
            Some(value) => put_dated(out, value, false),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b"},\"previous\":");
    put_entry(out, heading.previous);
    out.extend_from_slice(b",\"lines\":[");
    out.extend_from_slice(lines);
    out.extend_from_slice(b"],\"lines_file\":");
    match &artifact.side_file {
        Some(side_file) => side_file.write(out),
        None => out.extend_from_slice(b"null"),
    }
    if ledger.keeps_ids() {
        out.extend_from_slice(b",\"ids\":");
        put_list(out, &artifact.ids, |out, taken| {
            out.extend_from_slice(b"{\"id\":");
            put_text(out, &taken.id);
            out.extend_from_slice(format!(",\"digest\":\"{:016x}\"}}", taken.digest).as_bytes());
        });
    }
    out.push(b'}');
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, item);
    }
    out.push(b']');
}

fn put_name(out: &mut Vec<u8>, index: usize, name: &str) {
    if index > 0 {
        out.push(b',');
    }
    put_text(out, name);
    out.push(b':');
}

fn put_amounts(out: &mut Vec<u8>, amounts: &[(Option<Currency>, Amount)]) {
    put_list(out, amounts, |out, (currency, amount)| {
        out.extend_from_slice(b"{\"currency\":");
        put_currency(out, *currency);
        out.extend_from_slice(b",\"amount\":");
        put_amount(out, amount);
        out.push(b'}');
    });
}

fn put_currency(out: &mut Vec<u8>, currency: Option<Currency>) {
    match currency {
        Some(currency) => put_text(out, currency.code()),
        None => out.extend_from_slice(b"null"),
    }
}

fn put_dated(out: &mut Vec<u8>, value: &Dated, with_currency: bool) {
    out.push(b'{');
    if with_currency {
        out.extend_from_slice(b"\"currency\":");
        put_currency(out, value.currency);
        out.push(b',');
    }
    out.extend_from_slice(b"\"value\":");
    put_text(out, &value.value);
    out.extend_from_slice(b",\"event_time\":");
    put_time(out, value.event_time);
    out.extend_from_slice(b",\"event_id\":");
    put_text(out, &value.event_id);
    out.push(b'}');
}

fn put_entry(out: &mut Vec<u8>, entry: Option<&IndexEntry>) {
    let Some(IndexEntry { file, offset, length, sequence }) = entry else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"file\":");
    put_text(out, file);
    for (name, number) in [("offset", *offset), ("length", *length), ("sequence", sequence.get())] {
        out.push(b',');
        put_text(out, name);
        out.push(b':');
        put_number(out, number);
    }
    out.push(b'}');
}

/// A text as JSON has it. Most have nothing to escape.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        for char in text.chars() {
            match char {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                control if u32::from(control) < 0x20 => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    put_digits(out, number, 1);
}

/// The digits of a number, with zeros before them up to `least`.
fn put_digits(out: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 && count >= least {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
    }
    out.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
}

/// An amount between quotes, as it shows itself. There are several in each line, and few have twenty digits.
fn put_amount(out: &mut Vec<u8>, amount: &Amount) {
    let unit = 10_u64.checked_pow(u32::from(amount.scale()));
    let (Ok(minor), Some(unit)) = (u64::try_from(amount.minor().unsigned_abs()), unit) else {
        return put_shown(out, amount);
    };
    out.push(b'"');
    if amount.is_negative() {
        out.push(b'-');
    }
    put_digits(out, minor / unit, 1);
    if amount.scale() > 0 {
        out.push(b'.');
        put_digits(out, minor % unit, usize::from(amount.scale()));
    }
    out.push(b'"');
}

pub(crate) fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_shown(out, &time);
}

/// What shows itself without anything to escape, between quotes.
fn put_shown(out: &mut Vec<u8>, shown: &impl fmt::Display) {
    use std::io::Write as _;
    // Writing into memory does not fail.
    let _ = write!(out, "\"{shown}\"");
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    u64::from_str_radix(text, 16).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn amounts_are_written_as_they_show_themselves(
            minor in prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from), -1000..1000_i128],
            scale in 0..=money::MAX_SCALE,
        ) {
            let amount = Amount::new(minor, scale).unwrap();
            prop_assert_eq!(text(|out| put_amount(out, &amount)), format!("\"{amount}\""));
        }

        #[test]
        fn numbers_and_texts_are_json(number: u64, any_text: String) {
            prop_assert_eq!(text(|out| put_number(out, number)), number.to_string());
            let written = text(|out| put_text(out, &any_text));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), any_text);
        }
    }
}
