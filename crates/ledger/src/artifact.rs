//! Artifacts, as part-files have them: one JSON object a line.
//!
//! `docs/ledger.md` shows one. Amounts are text, so that no reader makes floats of them; what differs by currency is a
//! list of objects, so that every line has the same columns.

use std::{borrow::Cow, fmt, sync::LazyLock};

use jiff::Timestamp;
use memchr::memmem::Finder;
use money::{Amount, Currency};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    codec::Corrupt,
    compiled::Ledger,
    lines::SideFile,
    measure::{Currencies, Dated, State},
    prefetched::Version,
    quick,
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
    currencies: &mut Currencies,
) -> Result<Artifact<'a>, Corrupt> {
    match quick::read(ledger, line, key, sequence, currencies) {
        Some(artifact) => Ok(artifact),
        None => read_any(ledger, line, key, sequence),
    }
}

fn read_any<'a>(ledger: &Ledger, line: &'a [u8], key: &str, sequence: BatchSequence) -> Result<Artifact<'a>, Corrupt> {
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
    pub(crate) previous: Option<&'h Version<'h>>,
    pub(crate) judgement: Option<&'h Judgement>,
}

/// Whether a line is the version of that sequence of the artifact of that key, by how it begins.
pub(crate) fn is_of(line: &[u8], key: &str, sequence: BatchSequence) -> bool {
    behind_opening(line, key, sequence).is_some()
}

/// How many events a version was made of, by how its line begins; `None` where it is not the version of that sequence of
/// the artifact of that key.
pub(crate) fn events_of(line: &[u8], key: &str, sequence: BatchSequence) -> Option<u64> {
    let rest = behind_opening(line, key, sequence)?;
    // Between the two are a word and amounts, which hold no such bytes.
    let (events, rest) = take_number(rest.get(EVENTS_NAME.find(rest)? + EVENTS_NAME.needle().len()..)?)?;
    // What ends with its digits is cut off.
    rest.first().map(|_| events)
}

/// The name of the number of events, as it stands in a line.
pub(crate) static EVENTS_NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(",\"events\":"));

/// What stands in a line behind what [`put_opening`] writes; `None` where it begins otherwise.
pub(crate) fn behind_opening<'a>(line: &'a [u8], key: &str, sequence: BatchSequence) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(b"{\"key\":")?;
    let rest = if is_plain(key) {
        rest.strip_prefix(b"\"")?.strip_prefix(key.as_bytes())?.strip_prefix(b"\"")?
    } else {
        let mut text = Vec::with_capacity(key.len() + 16);
        put_text(&mut text, key);
        rest.strip_prefix(text.as_slice())?
    };
    let (found, rest) = take_number(rest.strip_prefix(b",\"applied_through\":")?)?;
    if found == sequence.get() { rest.strip_prefix(b",") } else { None }
}

/// A number as [`put_number`] writes it, and what stands behind it.
pub(crate) fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let mut number = 0_u64;
    for digit in digits {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    match digits {
        [] | [b'0', _, ..] => None,
        _ => Some((number, rest)),
    }
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

/// The [`IndexEntry`](crate::IndexEntry) of a version.
fn put_entry(out: &mut Vec<u8>, version: Option<&Version<'_>>) {
    let Some(Version { file, offset, sequence, line }) = version else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"file\":");
    put_text(out, file);
    out.extend_from_slice(b",\"offset\":");
    put_number(out, *offset);
    out.extend_from_slice(b",\"length\":");
    put_number(out, line.len() as u64);
    out.extend_from_slice(b",\"sequence\":");
    put_number(out, sequence.get());
    out.push(b'}');
}

/// Whether JSON has a text as it is. All of it is looked at, many bytes at once: most have nothing to escape.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

/// A text as JSON has it.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if is_plain(text) {
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

    fn ledger() -> Ledger {
        let definition = serde_json::json!({
            "name": "orders",
            "sources": { "shop": "2024-05-01T00:00:00Z" },
            "events": { "format": "csv", "fields": [
                { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }, { "name": "amount", "type": "number" },
            ] },
            "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
            "amounts": [{ "column": "amount" }],
            "measures": {
                "due": { "measure": "sum", "column": "amount" },
                "least": { "measure": "min", "column": "amount" },
                "seen": { "measure": "count" },
            },
        });
        Ledger::from_json(&definition.to_string()).unwrap()
    }

    fn line(ledger: &Ledger, artifact: &Artifact<'_>, key: &str, previous: Option<&Version<'_>>) -> Vec<u8> {
        let heading = Heading { key, applied_through: BatchSequence::new(70), previous, judgement: None };
        let mut out = Vec::new();
        write(ledger, artifact, &heading, b"", &mut out);
        out
    }

    fn parts(artifact: &Artifact<'_>) -> (u64, Vec<State>, bool) {
        let other = artifact.lines.is_empty() && artifact.ids.is_empty() && artifact.side_file.is_none();
        (artifact.events, artifact.measures.clone(), other)
    }

    /// The quick reader reads what is written, and what it reads at all, it reads as the other one does.
    #[test]
    fn what_is_read_quickly_is_read_alike() {
        let (ledger, sequence, mut currencies) = (ledger(), BatchSequence::new(70), Currencies::default());
        let mut artifact = Artifact::empty(&ledger);
        artifact.events = 41;
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        let code = |text: &str| Some(text.parse::<Currency>().unwrap());
        artifact.measures = vec![
            State::Amounts(vec![(None, amount("-3.50")), (code("EUR"), amount("12")), (code("USD"), amount("0.07"))]),
            State::Amounts(Vec::new()),
            State::Count(7),
        ];
        let previous = Version { file: "a/\"file\"", offset: 5, sequence: BatchSequence::new(9), line: b"12345" };
        for (key, previous) in [("order-1", None), ("quoted \"key\"\n", Some(&previous))] {
            let line = line(&ledger, &artifact, key, previous);
            let quick = quick::read(&ledger, &line, key, sequence, &mut currencies).unwrap();
            assert_eq!(parts(&quick), parts(&artifact));
            assert_eq!(parts(&read_any(&ledger, &line, key, sequence).unwrap()), parts(&artifact));
            assert_eq!((events_of(&line, key, sequence), is_of(&line, key, sequence)), (Some(41), true));
            assert!(!is_of(&line, "order-2", sequence) && !is_of(&line, key, BatchSequence::new(7)));
            for at in 0..line.len() {
                for flip in [1, 2, 0x10, 0x20] {
                    let mut other = line.clone();
                    other[at] ^= flip;
                    let quick = quick::read(&ledger, &other, key, sequence, &mut currencies);
                    if let (Some(quick), Ok(any)) = (quick, read_any(&ledger, &other, key, sequence)) {
                        assert_eq!(parts(&quick), parts(&any), "{}", String::from_utf8_lossy(&other));
                    }
                }
                assert!(quick::read(&ledger, &line[..at], key, sequence, &mut currencies).is_none());
            }
        }
        artifact.side_file = Some(SideFile { file: "f".to_owned(), offset: 0, length: 1, lines: 1 });
        let line = line(&ledger, &artifact, "order-1", None);
        assert!(quick::read(&ledger, &line, "order-1", sequence, &mut currencies).is_none());
        assert!(read_any(&ledger, &line, "order-1", sequence).unwrap().side_file.is_some());
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
