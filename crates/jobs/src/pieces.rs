//! Outputs in pieces: which parts one call reads, and whether what all calls have read is what the engine has written.

use std::collections::BTreeSet;

use reconcile::{
    plan::PlanOutput,
    report::{Figures, OutputFigures, Part},
    task::Task,
};

use crate::{
    error::JobError,
    manifest::output,
    messages::{CheckedFigures, Piece},
    parts::Tally,
};

/// The most parts of a piece: each is a request, however short it is.
const PIECE_PARTS_MAX: u64 = 1_000;
/// The longest part: of Parquet, the disk of a function holds it, and of all formats one processor reads it in time.
const PART_BYTES_MAX: u64 = 8 << 30;

/// What an engine says of a task's outputs, in the order of the plan.
pub(crate) struct Said<'t>(Vec<(&'t PlanOutput, &'t OutputFigures)>);

impl<'t> Said<'t> {
    /// What these figures say. It is an error where they leave an output out, or name a part that cannot be one of this
    /// attempt's.
    pub(crate) fn of(task: &'t Task, figures: &'t Figures) -> Result<Self, JobError> {
        let folder = format!("{}/", task.output.prefix);
        let mut keys = BTreeSet::new();
        let mut outputs = Vec::with_capacity(task.plan.outputs.len());
        for planned in &task.plan.outputs {
            let said = output(figures, &planned.name);
            let said = said.ok_or_else(|| mismatch(planned, None, "the engine says nothing of it".to_owned()))?;
            for part in &said.parts {
                if !part.key.starts_with(&folder) || !keys.insert(&part.key) {
                    let strange = "the engine names it twice, or it is not of this attempt".to_owned();
                    return Err(mismatch(planned, Some(part), strange));
                }
                if part.bytes > PART_BYTES_MAX {
                    let (output, part, bytes) = (planned.name.clone(), part.key.clone(), part.bytes);
                    return Err(JobError::PartTooLarge { output, part, bytes, bytes_max: PART_BYTES_MAX });
                }
            }
            outputs.push((planned, said));
        }
        Ok(Self(outputs))
    }

    /// Rows, bytes and parts of all outputs.
    pub(crate) fn figures(&self) -> CheckedFigures {
        let mut figures = CheckedFigures::default();
        for (_, said) in &self.0 {
            figures.rows += said.rows;
            figures.parts += said.parts.len() as u64;
            figures.bytes += said.parts.iter().map(|part| part.bytes).sum::<u64>();
        }
        figures
    }

    /// The pieces in which the parts are read, each of so many bytes at most.
    pub(crate) fn pieces(&self, bytes_max: u64) -> Vec<Piece> {
        cut(self.0.iter().flat_map(|(_, said)| &said.parts).map(|part| part.bytes), bytes_max)
    }

    /// The parts of a piece, by output; of outputs that have none in it, nothing.
    pub(crate) fn parts_of(&self, piece: &Piece) -> Vec<(&'t PlanOutput, &'t [Part])> {
        let (mut before, mut found) = (0, Vec::new());
        for (planned, said) in &self.0 {
            let inside = |part: u64| usize::try_from(part.saturating_sub(before)).unwrap_or(usize::MAX);
            let (from, to) = (inside(piece.from), inside(piece.to).min(said.parts.len()));
            if let Some(parts) = said.parts.get(from..to).filter(|parts| !parts.is_empty()) {
                found.push((*planned, parts));
            }
            before += said.parts.len() as u64;
        }
        found
    }

    /// Whether all that was found is, put together, what is said: each part read once, and as many rows and the same sums.
    pub(crate) fn ties_out(&self, found: &[Vec<OutputFigures>]) -> Result<(), JobError> {
        for (planned, said) in &self.0 {
            let of_it = found.iter().flatten().filter(|found| found.name == planned.name);
            let (mut whole, mut parts) = (Tally::of(&planned.columns), Vec::new());
            for found in of_it {
                let tally = Tally::read(&planned.columns, found.rows, &found.totals);
                let reason = || format!("it has the totals {:?}", found.totals);
                let what = || format!("what was found in output {:?}", planned.name);
                whole.merge(&tally.ok_or_else(|| JobError::Malformed { what: what(), reason: reason() })?);
                parts.extend_from_slice(&found.parts);
            }
            same(planned, said, &whole.figures(planned, parts))?;
        }
        Ok(())
    }
}

/// Holds what was read of an output against what the engine says of it.
fn same(planned: &PlanOutput, said: &OutputFigures, read: &OutputFigures) -> Result<(), JobError> {
    let longest = said.parts.len().max(read.parts.len());
    for index in 0..longest {
        let difference = match (said.parts.get(index), read.parts.get(index)) {
            (Some(said), Some(read)) if said == read => continue,
            (Some(said), read) => (said, read.map_or("nothing", |read| read.key.as_str())),
            (None, Some(read)) => (read, "more than the engine wrote"),
            (None, None) => break,
        };
        let (part, instead) = difference;
        let difference = format!("it should be part {index} of those that were read again, which is {instead}");
        return Err(mismatch(planned, Some(part), difference));
    }
    if read.rows != said.rows {
        return Err(mismatch(planned, None, format!("the engine made {} rows, {} are read", said.rows, read.rows)));
    }
    for column in read.totals.keys().chain(said.totals.keys()) {
        let (made, read) = (said.totals.get(column), read.totals.get(column));
        if made != read {
            let text = |sum: Option<&String>| sum.map_or_else(|| "nothing".to_owned(), String::clone);
            let difference = format!("the engine made {column:?} {}, {} is read", text(made), text(read));
            return Err(mismatch(planned, None, difference));
        }
    }
    Ok(())
}

/// Cuts parts of these lengths into pieces of at most so many bytes, but for parts that are longer by themselves.
fn cut(lengths: impl Iterator<Item = u64>, bytes_max: u64) -> Vec<Piece> {
    let (mut pieces, mut bytes): (Vec<Piece>, u64) = (Vec::new(), 0);
    for (length, number) in lengths.zip(0..) {
        bytes = bytes.saturating_add(length);
        match pieces.last_mut().filter(|open| bytes <= bytes_max && number - open.from < PIECE_PARTS_MAX) {
            Some(open) => open.to = number + 1,
            None => {
                let piece = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
                pieces.push(Piece { number: piece, from: number, to: number + 1 });
                bytes = length;
            }
        }
    }
    pieces
}

pub(crate) fn mismatch(output: &PlanOutput, part: Option<&Part>, difference: String) -> JobError {
    let part = part.map(|part| part.key.clone());
    JobError::ControlTotalMismatch { output: output.name.clone(), part, difference }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(lengths: &[u64], bytes_max: u64) -> Vec<(u64, u64)> {
        let pieces = cut(lengths.iter().copied(), bytes_max);
        assert!(pieces.iter().zip(0..).all(|(piece, number)| piece.number == number));
        pieces.iter().map(|piece| (piece.from, piece.to)).collect()
    }

    #[test]
    fn short_parts_share_a_piece_and_long_ones_have_their_own() {
        assert_eq!(ranges(&[], 10), []);
        assert_eq!(ranges(&[3, 3, 4], 10), [(0, 3)]);
        assert_eq!(ranges(&[3, 3, 4, 1], 10), [(0, 3), (3, 4)]);
        assert_eq!(ranges(&[25, 3, 3, 25, 25, 10, 0], 10), [(0, 1), (1, 3), (3, 4), (4, 5), (5, 7)]);
        assert_eq!(ranges(&[0; 2_001], 10), [(0, 1_000), (1_000, 2_000), (2_000, 2_001)]);
        assert_eq!(ranges(&[u64::MAX, u64::MAX], u64::MAX), [(0, 2)], "lengths do not wrap");
    }
}
