//! JSON lines: chunks of whole lines, and the values of their objects.

use std::{borrow::Cow, collections::HashMap, fmt};

use bytes::{Bytes, BytesMut};
use datafusion_common::Result;
use futures::TryStreamExt;
use memchr::{memchr_iter, memrchr};
use reconcile::{
    Type,
    json_path::{JsonPath, JsonStep, Misplaced},
    task::TaskObject,
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use storage::Location;
use tokio::sync::mpsc;

use super::{
    Chunk, Numbers, Read, Reading,
    builders::{Builder, Spelling},
};
use crate::fault::unsound;

/// The longest line that is read: 16 MiB.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Lines of one object.
pub(super) struct Rows {
    object: usize,
    bytes: Bytes,
    /// The number of the first line; the first of an object is 1.
    first: u64,
    taken: bool,
}

/// Sends the chunks of an object.
pub(super) async fn send(
    reading: &Reading,
    index: usize,
    object: &TaskObject,
    at: &Location,
    sender: &mpsc::Sender<Result<Chunk>>,
) -> Result<()> {
    let (mut held, mut first, mut begun) = (BytesMut::new(), 1_u64, false);
    let mut blocks = std::pin::pin!(reading.blocks(object, at));
    loop {
        let block = blocks.try_next().await?;
        let end = block.is_none();
        held.extend_from_slice(&block.unwrap_or_default());
        if !begun && (held.len() >= 3 || end) {
            begun = true;
            if held.starts_with(b"\xef\xbb\xbf") {
                let mark = held.split_to(3);
                reading.taken.add_bytes(index, mark.len());
            }
        }
        while let Some(length) = cut(&held, reading.source.chunk_bytes, end) {
            // A chunk of one line may be as long as that.
            if length > LINE_BYTES_MAX {
                break;
            }
            let bytes = held.split_to(length).freeze();
            let lines = memchr_iter(b'\n', &bytes).count() as u64;
            let rows = Rows { object: index, bytes, first, taken: false };
            first += lines;
            if sender.send(Ok(Chunk::JsonLines(rows))).await.is_err() {
                return Ok(());
            }
        }
        if held.len() > LINE_BYTES_MAX {
            let problem = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(reading.failure(object, Some(first), None, problem));
        }
        if end {
            return Ok(());
        }
    }
}

/// How many of the bytes are a chunk: whole lines, about as many bytes as wanted.
fn cut(held: &[u8], chunk_bytes: u64, end: bool) -> Option<usize> {
    let wanted = usize::try_from(chunk_bytes).unwrap_or(usize::MAX);
    if held.is_empty() {
        return None;
    }
    if held.len() <= wanted {
        return end.then_some(held.len());
    }
    let (head, tail) = held.split_at_checked(wanted)?;
    let last = memrchr(b'\n', head).map(|at| at + 1);
    let next = || memchr::memchr(b'\n', tail).map(|at| wanted + at + 1);
    last.or_else(next).or(end.then_some(held.len()))
}

/// Takes the members of a line's object that are wanted, as they stand there.
struct Wanted<'w, 'de> {
    members: &'w HashMap<&'w str, usize>,
    values: &'w mut [Option<&'de RawValue>],
}

impl<'de> DeserializeSeed<'de> for Wanted<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match self.members.get(key.0.as_ref()).and_then(|at| self.values.get_mut(*at)) {
                Some(value) => *value = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

impl Rows {
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.object, self.bytes.len())
    }

    /// The rows, once.
    pub(super) fn next(&mut self, reading: &Reading) -> Result<Option<Read>> {
        if std::mem::replace(&mut self.taken, true) {
            return Ok(None);
        }
        let (members, ways) = reading.ways();
        let mut builders: Vec<Builder> = reading.columns.iter().map(|column| Builder::new(column.kind, 1024)).collect();
        let mut numbers = Vec::new();
        let mut seen = vec![false; reading.columns.len()];
        let object = reading.input.objects.get(self.object);
        let failure = |row: u64, problem: String| match object {
            Some(object) => reading.failure(object, Some(row), None, problem),
            None => unsound("an object is not there"),
        };
        for (number, line) in (self.first..).zip(self.bytes.split(|byte| *byte == b'\n')) {
            let line = std::str::from_utf8(line).map_err(|_| failure(number, "expected text in utf-8".to_owned()))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mut values = vec![None; members.len()];
            let mut deserializer = serde_json::Deserializer::from_str(line);
            let wanted = Wanted { members: &members, values: &mut values };
            wanted
                .deserialize(&mut deserializer)
                .and_then(|()| deserializer.end())
                .map_err(|error| failure(number, format!("expected a JSON object: {error}")))?;
            let cells = ways.iter().zip(&mut builders).zip(&reading.columns).zip(&mut seen);
            for ((((at, steps), builder), column), seen) in cells {
                let value = match values.get(*at).copied().flatten() {
                    Some(value) => {
                        *seen = true;
                        let misplaced = |misplaced: Misplaced| {
                            let problem = format!("{}{}", artifact(line), misplaced.told(&column.name));
                            reading.misplaced(self.object, number, column, problem)
                        };
                        JsonPath::walk(steps, value).map_err(misplaced)?
                    }
                    None => None,
                };
                let raw = value.map_or("null", RawValue::get);
                if append(builder, raw, column.kind).is_none() {
                    return Err(reading.misfit(self.object, number, column, raw, &column.kind.written()));
                }
            }
            if numbers.is_empty() {
                reading.taken.add_example(line);
            }
            numbers.push(i64::try_from(number).unwrap_or(i64::MAX));
        }
        reading.taken.add_members(&seen);
        let columns = builders.into_iter().map(Builder::finish).collect();
        Ok(Some(Read { columns, rows: numbers.len(), object: self.object, numbers: Numbers::Each(numbers) }))
    }
}

/// A column's member of a line's object, by its place, and the steps from there.
type Way<'p> = (usize, &'p [JsonStep]);

impl Reading {
    /// The members of a line's object that columns stand in, each with its place among them; and each column's way.
    fn ways(&self) -> (HashMap<&str, usize>, Vec<Way<'_>>) {
        let (mut members, mut ways) = (HashMap::new(), Vec::new());
        for column in &self.columns {
            let path = self.input.paths.get(&column.name).and_then(JsonPath::split);
            let (member, steps) = path.unwrap_or((column.name.as_str(), &[]));
            let next = members.len();
            ways.push((*members.entry(member).or_insert(next), steps));
        }
        (members, ways)
    }
}

/// The artifact that a line of a ledger is about, before what is wrong with it.
fn artifact(line: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Artifact<'k> {
        #[serde(borrow)]
        key: Cow<'k, str>,
    }
    serde_json::from_str::<Artifact<'_>>(line).map_or_else(|_| String::new(), |of| format!("artifact {:?}: ", of.key))
}

/// Adds a value as it stands in JSON; `None` where it is not of the column's type.
fn append(builder: &mut Builder, raw: &str, kind: Type) -> Option<()> {
    match raw.as_bytes().first()? {
        b'n' => builder.append_blank(),
        b'"' => {
            let Key(text) = serde_json::from_str(raw).ok()?;
            // No CSV could be made of it.
            if text.contains('\0') {
                return None;
            }
            if text.is_empty() {
                builder.append_blank();
            } else {
                builder.append(&text, &Spelling::Plain)?;
            }
        }
        b'-' | b'0'..=b'9' if kind.is_number() => builder.append(raw, &Spelling::Plain)?,
        b't' | b'f' if kind == Type::Boolean => builder.append(raw, &Spelling::Plain)?,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_with_lines() {
        assert_eq!(cut(b"", 4, true), None);
        assert_eq!(cut(b"ab\nc", 4, false), None);
        assert_eq!(cut(b"ab\nc", 4, true), Some(4));
        assert_eq!(cut(b"ab\ncd\n", 4, false), Some(3));
        assert_eq!(cut(b"abcdef\ng", 4, false), Some(7));
        assert_eq!(cut(b"abcdefg", 4, false), None);
        assert_eq!(cut(b"abcdefg", 4, true), Some(7));
    }
}
