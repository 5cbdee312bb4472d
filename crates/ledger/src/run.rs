//! Runs: events sorted by artifact key, as combiner writes them.
//!
//! A run is a row of groups, one for each key, in the order of the keys' bytes:
//!
//! ```text
//! group := key text, number of events, length of the events in bytes, event …
//! event := length of the rest in bytes, seconds, nanoseconds (event time since 1970, signed), batch, object, row,
//!          digest (8 bytes), length of the id, number of cells, length of each cell, text of the id, text of each cell
//! ```
//!
//! Numbers are varints, signed ones zigzag, texts stand behind their length. The cells are those of the columns that
//! something is made of, in the order of the definition's fields. Amounts are plain decimal text at their currency's scale.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::{
    codec::{Corrupt, Cursor, put_bytes, put_signed, put_varint},
    sequence::BatchSequence,
};

/// Where an event stands in its batch's files. The order of these is the order in which events count as earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The batch.
    pub batch: BatchSequence,
    /// The object's place in the manifest, from 0.
    pub object: u32,
    /// The row in the object, from 1.
    pub row: u64,
}

/// An event of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) time: Timestamp,
    pub(crate) id: &'a str,
    pub(crate) origin: Origin,
    /// Of everything that the event says: two events of one id and one digest are the same.
    pub(crate) digest: u64,
    cells: u64,
    /// The lengths of the cells, and then their texts.
    lengths: &'a [u8],
    text: &'a str,
    /// The whole event as it stands in the run.
    raw: &'a [u8],
}

/// Writes an event without its leading length. `cells` are the texts of its cells, one behind the other, and `ends` where
/// each ends.
pub(crate) fn put_event(
    out: &mut Vec<u8>,
    (time, id): (Timestamp, &str),
    origin: Origin,
    digest: u64,
    cells: &str,
    ends: &[usize],
) {
    put_signed(out, time.as_second());
    put_signed(out, i64::from(time.subsec_nanosecond()));
    put_varint(out, origin.batch.get());
    put_varint(out, u64::from(origin.object));
    put_varint(out, origin.row);
    out.extend_from_slice(&digest.to_le_bytes());
    put_varint(out, id.len() as u64);
    put_varint(out, ends.len() as u64);
    let mut start = 0;
    for end in ends {
        put_varint(out, (end - start) as u64);
        start = *end;
    }
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(cells.as_bytes());
}

impl<'a> Event<'a> {
    /// Inlined, so that an event is written where it stays, and not copied right after its parts were written: for that
    /// the processor waits.
    #[inline(always)]
    pub(crate) fn read(raw: &'a [u8]) -> Result<Self, Corrupt> {
        let mut fields = Cursor::new(raw, RUN);
        let (seconds, nanoseconds) = (fields.signed()?, fields.signed()?);
        let time = i32::try_from(nanoseconds).ok().and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok());
        let time = time.ok_or_else(|| fields.corrupt("a time is out of range"))?;
        let batch = BatchSequence::new(fields.varint()?);
        let object = u32::try_from(fields.varint()?).map_err(|_| fields.corrupt("a number is too large"))?;
        let row = fields.varint()?;
        let digest = fields.fixed()?;
        let (id_bytes, cells) = (fields.varint()?, fields.varint()?);
        let lengths = fields.rest();
        for _ in 0..cells {
            fields.varint()?;
        }
        // One look at all texts: looking at each costs more than reading them.
        let text = std::str::from_utf8(fields.rest()).map_err(|_| fields.corrupt("a text is not UTF-8"))?;
        let split = usize::try_from(id_bytes).ok().and_then(|id_bytes| text.split_at_checked(id_bytes));
        let (id, text) = split.ok_or_else(|| fields.corrupt("a text is cut off"))?;
        Ok(Self { time, id, origin: Origin { batch, object, row }, digest, cells, lengths, text, raw })
    }

    /// Its cells, into a buffer that is used again.
    #[inline]
    pub(crate) fn cells(&self, into: &mut Vec<&'a str>) -> Result<(), Corrupt> {
        into.clear();
        let (mut lengths, mut text) = (Cursor::new(self.lengths, RUN), self.text);
        for _ in 0..self.cells {
            let length = usize::try_from(lengths.varint()?).unwrap_or(usize::MAX);
            let split = text.split_at_checked(length).ok_or_else(|| lengths.corrupt("a text is cut off"))?;
            into.push(split.0);
            text = split.1;
        }
        Ok(())
    }

    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The order in which an artifact takes events: by time, then id, then the place in the batches.
    #[inline]
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        (self.time, self.id, self.origin).cmp(&(other.time, other.id, other.origin))
    }
}

const RUN: &str = "run of events";

/// The events of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    pub(crate) key: &'a str,
    pub(crate) count: u64,
    events: &'a [u8],
}

impl<'a> Group<'a> {
    pub(crate) const fn events(&self) -> Events<'a> {
        Events { cursor: Cursor::new(self.events, RUN) }
    }
}

/// The events of a group, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Events<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Corrupt>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.cursor.is_empty()).then(|| Event::read(self.cursor.bytes()?))
    }
}

/// Reads the groups of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunReader<'a> {
    cursor: Cursor<'a>,
    last: Option<&'a str>,
}

impl<'a> RunReader<'a> {
    pub(crate) const fn new(run: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(run, RUN), last: None }
    }

    pub(crate) fn next_group(&mut self) -> Result<Option<Group<'a>>, Corrupt> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        let key = self.cursor.text()?;
        if self.last.is_some_and(|last| last >= key) {
            return Err(self.cursor.corrupt("its keys are not in order"));
        }
        self.last = Some(key);
        let count = self.cursor.varint()?;
        Ok(Some(Group { key, count, events: self.cursor.bytes()? }))
    }
}

/// Begins a group of `count` events that take `bytes`, which the caller then writes.
pub(crate) fn put_group(out: &mut Vec<u8>, key: &[u8], count: u64, bytes: usize) {
    put_bytes(out, key);
    put_varint(out, count);
    put_varint(out, bytes as u64);
}

/// How many bytes the length of `bytes` takes.
pub(crate) const fn length_bytes(bytes: usize) -> usize {
    let bits = usize::BITS - (bytes | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_long_as_they_are_written() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 1 << 21, (1 << 21) - 1] {
            let mut out = Vec::new();
            put_varint(&mut out, length as u64);
            assert_eq!(out.len(), length_bytes(length), "{length}");
        }
    }

    #[test]
    fn events_come_back_and_keys_out_of_order_are_refused() {
        let origin = Origin { batch: BatchSequence::new(3), object: 1, row: 70_000 };
        let time: Timestamp = "1969-12-31T23:59:59.5Z".parse().unwrap();
        let mut event = Vec::new();
        put_event(&mut event, (time, "e1"), origin, 42, "né", &[0, 3]);
        let mut events = Vec::new();
        put_bytes(&mut events, &event);
        let mut run = Vec::new();
        for key in [b"b", b"a"] {
            put_group(&mut run, key, 1, events.len());
            run.extend_from_slice(&events);
        }
        let mut reader = RunReader::new(&run);
        let group = reader.next_group().unwrap().unwrap();
        let event = group.events().next().unwrap().unwrap();
        let mut cells = Vec::new();
        event.cells(&mut cells).unwrap();
        assert_eq!((group.key, event.id, event.time, event.origin, event.digest), ("b", "e1", time, origin, 42));
        assert_eq!(cells, ["", "né"]);
        assert!(reader.next_group().is_err());
    }
}
