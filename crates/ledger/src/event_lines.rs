//! All event lines of an artifact in their order, however many there are.
//!
//! Lines that an artifact could not keep itself stand in runs of side lines, each in order by itself: events that came
//! late stand in a later run than others of their time. So the runs are merged, and of each only a piece is held, from
//! when its first line is due.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::ByteRange;

use crate::{
    artifacts::{Artifacts, Found},
    error::LedgerError,
    lines::{Order, place},
    side_lines::{RunCheck, SideFile, SideRun},
};

/// The longest walk along runs of side lines.
const RUNS_MAX: usize = 100_000;
/// What a run's heading and its first line nearly always fit.
const BEGINNING_BYTES: u64 = 8 << 10;
/// What is held of all runs together, where none has to be held of more than can be read at once.
const HELD_BYTES: u64 = 32 << 20;
/// The least that is read of a run at once.
const PIECE_BYTES_MIN: u64 = 256 << 10;

/// Of an artifact's line, where its event lines are.
#[derive(Deserialize)]
struct Pointers<'a> {
    key: String,
    #[serde(borrow, default)]
    lines: Vec<&'a RawValue>,
    #[serde(default)]
    lines_file: Option<SideFile>,
}

/// The first line of side lines.
#[derive(Deserialize)]
struct Heading {
    key: String,
    previous: Option<SideFile>,
}

/// The event lines of an artifact's version, by event time, event id and place in the batches.
pub struct EventLines {
    artifacts: Artifacts,
    runs: Vec<Run>,
    /// Of each run that has lines left the next one's order.
    due: BinaryHeap<Reverse<(Order<'static>, usize)>>,
}

/// Lines in order.
#[derive(Default)]
struct Run {
    file: String,
    /// The lines that were read and are due next.
    held: VecDeque<String>,
    /// What was not read yet.
    rest: Option<ByteRange>,
    /// Looks at what is read of side lines.
    check: Option<RunCheck>,
}

impl Artifacts {
    /// The event lines of a version, those that it keeps itself and those that moved to side files: by event time, event id
    /// and place in the batches. However many there are, few are held at once.
    pub async fn event_lines(&self, found: &Found) -> Result<EventLines, LedgerError> {
        let pointers: Pointers<'_> = serde_json::from_slice(&found.line)
            .map_err(|_| LedgerError::unreadable(&found.entry.file, "a line is none of the ledger's"))?;
        let own: VecDeque<String> = pointers.lines.iter().map(|line| line.get().to_owned()).collect();
        let mut lines = EventLines { artifacts: self.clone(), runs: Vec::new(), due: BinaryHeap::new() };
        let run = Run { file: found.entry.file.clone(), held: own, rest: None, check: None };
        if let Some(first) = run.held.front() {
            lines.due.push(Reverse((run.order(first)?, 0)));
        }
        lines.runs.push(run);
        let mut next = pointers.lines_file;
        while let Some(side) = next.take() {
            if lines.runs.len() > RUNS_MAX {
                return Err(LedgerError::unreadable(
                    &side.file,
                    "more runs of side lines hang together than an artifact can have",
                ));
            }
            next = lines.begin_side(&side, &pointers.key).await?;
        }
        Ok(lines)
    }
}

impl EventLines {
    /// The next line: one JSON object, without a line feed.
    pub async fn next(&mut self) -> Result<Option<String>, LedgerError> {
        let Some(Reverse((_, nth))) = self.due.pop() else { return Ok(None) };
        // The first of a run is read when it is due.
        self.hold(nth).await?;
        let line = self.runs.get_mut(nth).and_then(|run| run.held.pop_front());
        self.hold(nth).await?;
        if let Some(run) = self.runs.get(nth)
            && let Some(next) = run.held.front()
        {
            self.due.push(Reverse((run.order(next)?, nth)));
        }
        Ok(line)
    }

    /// Has a line of the run at hand, if there is another.
    async fn hold(&mut self, nth: usize) -> Result<(), LedgerError> {
        if self.runs.get(nth).is_none_or(|run| !run.held.is_empty()) {
            return Ok(());
        }
        // The fewer runs are under way, the more is read of each at once.
        let under_way = self.runs.iter().filter(|run| !run.held.is_empty()).count() as u64;
        let bytes = (HELD_BYTES / (under_way + 1)).max(PIECE_BYTES_MIN);
        match self.runs.get_mut(nth) {
            Some(run) => run.read(&self.artifacts, bytes).await,
            None => Ok(()),
        }
    }

    /// Looks at the beginning of a run of side lines, of which nothing is held until its first line is due. Where the run
    /// before it is.
    async fn begin_side(&mut self, side: &SideFile, key: &str) -> Result<Option<SideFile>, LedgerError> {
        let whole = ByteRange::new(side.offset, side.offset.saturating_add(side.length));
        let unread = |rest| Run { file: side.file.clone(), rest: Some(rest), ..Run::default() };
        let mut bytes = BEGINNING_BYTES;
        let mut run = loop {
            let mut run = unread(whole);
            run.read(&self.artifacts, bytes).await?;
            if run.held.len() > 1 || run.rest.is_none() {
                break run;
            }
            bytes = bytes.saturating_mul(4);
        };
        let heading = run.held.pop_front().unwrap_or_default();
        let Ok(Heading { key: of, previous }) = serde_json::from_str(&heading) else {
            return Err(LedgerError::unreadable(&side.file, "its lines have no heading"));
        };
        if of != key {
            return Err(LedgerError::unreadable(&side.file, "its lines are another artifact's"));
        }
        if let Some(first) = run.held.front() {
            self.due.push(Reverse((run.order(first)?, self.runs.len())));
            let mut check = RunCheck::new(SideRun { length: side.length, digest: side.digest });
            let corrupt = |source| LedgerError::File { file: side.file.clone(), source };
            for read in [heading.as_bytes(), b"\n"] {
                check.take(read).map_err(corrupt)?;
            }
            let rest = ByteRange::new(whole.start + heading.len() as u64 + 1, whole.end);
            self.runs.push(Run { check: Some(check), ..unread(rest) });
        }
        Ok(previous)
    }
}

impl Run {
    /// Reads the next `bytes` or so, and keeps the whole lines in them.
    async fn read(&mut self, artifacts: &Artifacts, mut bytes: u64) -> Result<(), LedgerError> {
        while let Some(rest) = self.rest.filter(|rest| !rest.is_empty()) {
            let piece = ByteRange::new(rest.start, rest.end.min(rest.start.saturating_add(bytes)));
            let read = artifacts.piece(&self.file, piece).await?;
            let text = str::from_utf8(read.get(..=last_end(&read).unwrap_or(0)).unwrap_or_default());
            match (last_end(&read), text) {
                // A line that is longer than the piece.
                (None, _) if piece.end < rest.end => bytes = bytes.saturating_mul(2),
                (Some(end), Ok(text)) => {
                    if let Some(check) = &mut self.check {
                        let corrupt = |source| LedgerError::File { file: self.file.clone(), source };
                        check.take(read.get(..=end).unwrap_or_default()).map_err(corrupt)?;
                    }
                    self.held.extend(text.lines().map(str::to_owned));
                    let start = rest.start + end as u64 + 1;
                    self.rest = (start < rest.end).then(|| ByteRange::new(start, rest.end));
                    return Ok(());
                }
                _ => return Err(LedgerError::unreadable(&self.file, "its lines are not UTF-8, or cut off")),
            }
        }
        self.rest = None;
        Ok(())
    }

    fn order(&self, line: &str) -> Result<Order<'static>, LedgerError> {
        place(line).map_err(|source| LedgerError::File { file: self.file.clone(), source })
    }
}

fn last_end(bytes: &Bytes) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n')
}
