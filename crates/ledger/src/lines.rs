//! The event lines that an artifact keeps.
//!
//! They stand in the order of event time and event id. Where all are kept and an artifact's own grow past a bound, they
//! move to a side file.

use std::{borrow::Cow, cmp::Ordering};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    codec::Corrupt,
    compiled::Ledger,
    definition::KeepLines,
    json_text::{put_number, put_text, put_time},
    run::{Event, Origin},
    sequence::BatchSequence,
};

/// How many bytes of event lines an artifact keeps in its own line.
pub const LINES_BYTES_MAX: usize = 256 << 10;

/// Event lines that are about to join an artifact's.
#[derive(Debug, Default)]
pub(crate) struct NewLines<'a> {
    bytes: Vec<u8>,
    lines: Vec<NewLine<'a>>,
}

#[derive(Debug)]
struct NewLine<'a> {
    order: Order<'a>,
    end: usize,
}

/// What lines are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order<'a> {
    time: Timestamp,
    id: Cow<'a, str>,
    origin: Origin,
}

/// Of a line, what it is ordered by.
#[derive(Deserialize)]
struct Placed<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    event_time: Timestamp,
    batch: BatchSequence,
    object: u32,
    row: u64,
}

impl<'a> NewLines<'a> {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
    }

    /// Adds the line of an event; events come in order.
    pub(crate) fn push(&mut self, ledger: &Ledger, event: &Event<'a>, cells: &[&str]) {
        let out = &mut self.bytes;
        out.extend_from_slice(b"{\"event_id\":");
        put_text(out, event.id);
        out.extend_from_slice(b",\"event_time\":");
        put_time(out, event.time);
        let Origin { batch, object, row } = event.origin;
        for (name, number) in [("batch", batch.get()), ("object", u64::from(object)), ("row", row)] {
            out.push(b',');
            put_text(out, name);
            out.push(b':');
            put_number(out, number);
        }
        out.extend_from_slice(b",\"values\":{");
        for (nth, index) in ledger.line_columns.iter().enumerate() {
            let (Some(column), Some(cell)) = (ledger.columns.get(*index), cells.get(*index)) else { continue };
            if nth > 0 {
                out.push(b',');
            }
            put_text(out, &column.name);
            out.push(b':');
            if cell.is_empty() { out.extend_from_slice(b"null") } else { put_text(out, cell) }
        }
        out.extend_from_slice(b"}}");
        let order = Order { time: event.time, id: Cow::Borrowed(event.id), origin: event.origin };
        self.lines.push(NewLine { order, end: out.len() });
    }

    /// Writes `old` and these, in order and as many as are kept, with `separator` between them: how many were written.
    pub(crate) fn merge(
        &self,
        old: &[&RawValue],
        keep: KeepLines,
        separator: u8,
        out: &mut Vec<u8>,
    ) -> Result<u64, Corrupt> {
        let merged = self.merged(old)?;
        let skip = match keep {
            KeepLines::None => merged.len(),
            KeepLines::All => 0,
            KeepLines::Last(count) => merged.len().saturating_sub(count as usize),
        };
        for (index, line) in merged.iter().skip(skip).enumerate() {
            if index > 0 {
                out.push(separator);
            }
            out.extend_from_slice(line);
        }
        Ok((merged.len() - skip) as u64)
    }

    /// Nearly always the new lines stand behind all the old ones: then only the last of those is looked into.
    fn merged<'l>(&'l self, old: &[&'l RawValue]) -> Result<Vec<&'l [u8]>, Corrupt> {
        let mut merged: Vec<&[u8]> = Vec::with_capacity(old.len() + self.lines.len());
        let bytes = |line: &'l RawValue| line.get().as_bytes();
        let follows = match (old.last(), self.lines.first()) {
            (Some(last), Some(first)) => order(last)?.cmp(&first.order) == Ordering::Less,
            _ => true,
        };
        if follows {
            merged.extend(old.iter().copied().map(bytes));
            merged.extend(self.iter().map(|(_, line)| line));
            return Ok(merged);
        }
        let mut new = self.iter().peekable();
        for line in old.iter().copied() {
            let order = order(line)?;
            while let Some((_, earlier)) = new.next_if(|(new, _)| **new < order) {
                merged.push(earlier);
            }
            merged.push(bytes(line));
        }
        merged.extend(new.map(|(_, line)| line));
        Ok(merged)
    }

    fn iter(&self) -> impl Iterator<Item = (&Order<'a>, &[u8])> {
        let mut start = 0;
        self.lines.iter().map(move |line| {
            let bytes = self.bytes.get(start..line.end).unwrap_or_default();
            start = line.end;
            (&line.order, bytes)
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.lines.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many of the old lines stand before the last of these.
    pub(crate) fn overtaken(&self, old: &[&RawValue]) -> Result<usize, Corrupt> {
        let Some(last) = self.lines.last() else { return Ok(0) };
        let mut before = old.len();
        while let Some(line) = before.checked_sub(1).and_then(|at| old.get(at)) {
            if order(line)? < last.order {
                break;
            }
            before -= 1;
        }
        Ok(before)
    }
}

/// Where a line stands among others.
pub(crate) fn place(line: &str) -> Result<Order<'static>, Corrupt> {
    let Order { time, id, origin } = order_of(line)?;
    Ok(Order { time, id: Cow::Owned(id.into_owned()), origin })
}

fn order(line: &RawValue) -> Result<Order<'_>, Corrupt> {
    order_of(line.get())
}

fn order_of(line: &str) -> Result<Order<'_>, Corrupt> {
    let placed: Placed<'_> =
        serde_json::from_str(line).map_err(|_| Corrupt::new("artifact", "one of its event lines cannot be read"))?;
    let origin = Origin { batch: placed.batch, object: placed.object, row: placed.row };
    Ok(Order { time: placed.event_time, id: placed.event_id, origin })
}
