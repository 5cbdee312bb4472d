//! Versions of artifacts, from any line that the ledger has ever written.

use std::{borrow::Cow, fmt};

use money::{Amount, Currency};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    artifact::{Artifact, TakenId},
    codec::Corrupt,
    compiled::Ledger,
    measure::{Dated, State},
    sequence::BatchSequence,
    side_lines::SideFile,
};

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

/// Reads a version, whichever way its line is written, and refuses it where it is not of that key and sequence.
pub(crate) fn read<'a>(
    ledger: &Ledger,
    line: &'a [u8],
    key: &str,
    sequence: BatchSequence,
) -> Result<Artifact<'a>, Corrupt> {
    let corrupt = |problem| Corrupt::new("artifact", problem);
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
