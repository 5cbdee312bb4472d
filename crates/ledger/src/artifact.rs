//! Artifacts, as part-files have them: one JSON object a line.
//!
//! `docs/ledger.md` shows one. Amounts are text, so that no reader makes floats of them; what differs by currency is a
//! list of objects, so that every line has the same columns.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem::Finder;
use money::{Amount, Currency};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    artifact_read,
    codec::Corrupt,
    compiled::Ledger,
    json_text::{
        from_hex, is_plain, put_amount, put_currency, put_digest, put_list, put_number, put_text, put_time, take_number,
    },
    measure::{Currencies, Dated, State},
    prefetched::Version,
    quick,
    rule::Judgement,
    sequence::BatchSequence,
    side_lines::SideFile,
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

    /// Makes it one without events again. What it has allocated stays, because most of what an artifact costs is that.
    pub(crate) fn clear(&mut self) {
        let Self { events, measures, attributes, lines, side_file, moved, ids } = self;
        (*events, *side_file, *moved) = (0, None, false);
        for measure in measures {
            match measure {
                State::Count(count) => *count = 0,
                State::Amounts(amounts) => amounts.clear(),
                State::Dated(values) => values.clear(),
            }
        }
        attributes.fill(None);
        lines.clear();
        ids.clear();
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

/// Reads a version into an artifact without events, and refuses it where it is not of that key and sequence.
pub(crate) fn read<'a>(
    ledger: &Ledger,
    line: &'a [u8],
    key: &str,
    sequence: BatchSequence,
    currencies: &mut Currencies,
    artifact: &mut Artifact<'a>,
) -> Result<(), Corrupt> {
    if quick::read(ledger, line, key, sequence, currencies, artifact).is_none() {
        *artifact = artifact_read::read(ledger, line, key, sequence)?;
    }
    Ok(())
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

/// How many events a version was made of, by how its line begins, and what stands behind the name of its measures; `None`
/// where it is not the version of that sequence of the artifact of that key.
pub(crate) fn take_events<'a>(line: &'a [u8], key: &str, sequence: BatchSequence) -> Option<(u64, &'a [u8])> {
    let rest = behind_opening(line, key, sequence)?;
    // Between the two are a word and amounts, which hold no such bytes.
    let (events, rest) = take_number(rest.get(EVENTS_NAME.find(rest)? + EVENTS_NAME.needle().len()..)?)?;
    Some((events, rest.strip_prefix(b",\"measures\":")?))
}

/// The name of the number of events, as it stands in a line.
static EVENTS_NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(",\"events\":"));

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
            out.extend_from_slice(b",\"digest\":");
            put_digest(out, taken.digest);
            out.push(b'}');
        });
    }
    out.push(b'}');
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let mut quick = Artifact::empty(&ledger);
            quick::read(&ledger, &line, key, sequence, &mut currencies, &mut quick).unwrap();
            assert_eq!(parts(&quick), parts(&artifact));
            assert_eq!(parts(&artifact_read::read(&ledger, &line, key, sequence).unwrap()), parts(&artifact));
            assert_eq!((take_events(&line, key, sequence).unwrap().0, is_of(&line, key, sequence)), (41, true));
            assert!(!is_of(&line, "order-2", sequence) && !is_of(&line, key, BatchSequence::new(7)));
            for at in 0..line.len() {
                for flip in [1, 2, 0x10, 0x20] {
                    let mut other = line.clone();
                    other[at] ^= flip;
                    quick.clear();
                    let read = quick::read(&ledger, &other, key, sequence, &mut currencies, &mut quick);
                    if let (Some(()), Ok(any)) = (read, artifact_read::read(&ledger, &other, key, sequence)) {
                        assert_eq!(parts(&quick), parts(&any), "{}", String::from_utf8_lossy(&other));
                    }
                }
                quick.clear();
                assert!(quick::read(&ledger, &line[..at], key, sequence, &mut currencies, &mut quick).is_none());
            }
        }
        artifact.side_file = Some(SideFile { file: "f".to_owned(), offset: 0, length: 1, lines: 1, digest: 1 });
        let line = line(&ledger, &artifact, "order-1", None);
        let mut quick = Artifact::empty(&ledger);
        assert!(quick::read(&ledger, &line, "order-1", sequence, &mut currencies, &mut quick).is_none());
        assert!(artifact_read::read(&ledger, &line, "order-1", sequence).unwrap().side_file.is_some());
    }
}
