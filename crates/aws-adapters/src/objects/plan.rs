//! Which bytes go into which part.

use storage::{ByteRange, objects::Piece};

use super::Limits;

/// A part of a concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A range of a stored piece, large enough for S3 to copy it by itself.
    Copy(Slice),
    /// Bytes of one or more pieces, to be sent: held by the caller, or too few to be copied.
    Send(Vec<Slice>),
}

/// Some bytes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// The piece's place in the list.
    pub(super) piece: usize,
    /// Its bytes.
    pub(super) range: ByteRange,
}

/// Cuts pieces into parts within the limits: as few bytes as possible pass through the caller. `None` where no number
/// of parts that is allowed holds them.
pub(super) fn plan(pieces: &[Piece], limits: &Limits) -> Option<Vec<Part>> {
    let mut part_bytes_min = limits.part_bytes_min;
    // Larger parts are fewer: the more pieces are too small to be copied, the more are sent together.
    while part_bytes_min <= limits.part_bytes_max / 3 {
        let parts = Planner::new(Limits { part_bytes_min, ..*limits }).plan(pieces);
        if parts.len() <= limits.parts_max {
            return Some(parts);
        }
        part_bytes_min *= 2;
    }
    None
}

/// Cuts an object into ranges of about equal size, not above the limit for a copied part unless there would be too
/// many of them, and none below half of it.
pub(super) fn cut(bytes: u64, limits: &Limits) -> Vec<ByteRange> {
    let part_bytes = limits.copy_part_bytes.max(2 * limits.part_bytes_min).min(limits.part_bytes_max);
    let part_bytes = part_bytes.max(bytes.div_ceil(limits.parts_max as u64));
    let count = bytes.div_ceil(part_bytes).max(1);
    let edge = |number: u64| (u128::from(bytes) * u128::from(number) / u128::from(count)) as u64;
    (0..count).map(|number| ByteRange::new(edge(number), edge(number + 1))).collect()
}

/// The bytes of a piece.
pub(super) fn length(piece: &Piece) -> u64 {
    match piece {
        Piece::Bytes(bytes) => bytes.len() as u64,
        Piece::Object { bytes, .. } => *bytes,
    }
}

struct Planner {
    limits: Limits,
    parts: Vec<Part>,
    /// What is to be sent next, and how many bytes that is: fewer than a part must have.
    pending: Vec<Slice>,
    pending_bytes: u64,
}

impl Planner {
    fn new(limits: Limits) -> Self {
        Self { limits, parts: Vec::new(), pending: Vec::new(), pending_bytes: 0 }
    }

    fn plan(mut self, pieces: &[Piece]) -> Vec<Part> {
        for (number, piece) in pieces.iter().enumerate() {
            self.take(number, piece);
        }
        self.flush();
        self.parts
    }

    fn take(&mut self, piece: usize, bytes: &Piece) {
        let (length, least) = (length(bytes), self.limits.part_bytes_min);
        let missing = if self.pending.is_empty() { 0 } else { least - self.pending_bytes };
        let rest = length.saturating_sub(missing);
        if rest < least {
            return self.send(Slice { piece, range: ByteRange::new(0, length) });
        }
        self.send(Slice { piece, range: ByteRange::new(0, missing) });
        for range in cut(rest, &self.limits) {
            let slice = Slice { piece, range: ByteRange::new(missing + range.start, missing + range.end) };
            self.parts.push(match bytes {
                Piece::Bytes(_) => Part::Send(vec![slice]),
                Piece::Object { .. } => Part::Copy(slice),
            });
        }
    }

    /// Adds to what is to be sent; sends it when it is enough for a part.
    fn send(&mut self, slice: Slice) {
        if slice.range.is_empty() {
            return;
        }
        self.pending.push(slice);
        self.pending_bytes += slice.range.len();
        if self.pending_bytes >= self.limits.part_bytes_min {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.parts.push(Part::Send(std::mem::take(&mut self.pending)));
            self.pending_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use storage::Location;

    use super::*;

    /// S3's limits, a million times smaller.
    const SMALL: Limits =
        Limits { part_bytes_min: 5, part_bytes_max: 5000, parts_max: 100, copy_part_bytes: 250, write_part_bytes: 8 };

    fn stored(bytes: u64) -> Piece {
        Piece::Object { location: Location::new("bucket", "key"), bytes }
    }

    fn held(bytes: usize) -> Piece {
        Piece::Bytes(Bytes::from(vec![0; bytes]))
    }

    fn slices(part: &Part) -> &[Slice] {
        match part {
            Part::Copy(slice) => std::slice::from_ref(slice),
            Part::Send(slices) => slices,
        }
    }

    fn bytes(part: &Part) -> u64 {
        slices(part).iter().map(|slice| slice.range.len()).sum()
    }

    /// Every byte of every piece, in order, once; every part within the limits.
    fn check(pieces: &[Piece], parts: &[Part], limits: &Limits) {
        let mut position = (0, 0);
        for slice in parts.iter().flat_map(slices) {
            while position.1 == length(&pieces[position.0]) {
                position = (position.0 + 1, 0);
            }
            assert_eq!((slice.piece, slice.range.start), position);
            assert!(!slice.range.is_empty());
            position.1 = slice.range.end;
        }
        assert_eq!(parts.iter().map(bytes).sum::<u64>(), pieces.iter().map(length).sum::<u64>());
        assert!(parts.len() <= limits.parts_max);
        assert!(parts.iter().all(|part| bytes(part) <= limits.part_bytes_max));
        assert!(parts.iter().rev().skip(1).all(|part| bytes(part) >= limits.part_bytes_min), "{parts:?}");
        for part in parts {
            assert!(!matches!(part, Part::Copy(slice) if matches!(pieces[slice.piece], Piece::Bytes(_))));
        }
    }

    #[test]
    fn every_mix_of_sizes_keeps_the_limits() {
        let sizes = [0, 1, 4, 5, 6, 9, 10, 11, 600];
        let pieces = sizes.iter().flat_map(|size| [stored(*size), held(*size as usize)]).collect::<Vec<_>>();
        for first in &pieces {
            for second in &pieces {
                for third in &pieces {
                    let pieces = [first.clone(), second.clone(), third.clone()];
                    check(&pieces, &plan(&pieces, &SMALL).unwrap(), &SMALL);
                }
            }
        }
    }

    #[test]
    fn large_pieces_are_copied_and_small_ones_sent() {
        let parts = plan(&[held(2), stored(100), stored(100), stored(3), stored(100)], &SMALL).unwrap();
        let sent: u64 = parts.iter().filter(|part| matches!(part, Part::Send(_))).map(bytes).sum();
        assert_eq!(sent, 10, "two parts of the least size: {parts:?}");
    }

    #[test]
    fn nothing_is_no_part() {
        assert_eq!(plan(&[], &SMALL).unwrap(), []);
        assert_eq!(plan(&[held(0), stored(0)], &SMALL).unwrap(), []);
    }

    #[test]
    fn long_pieces_are_cut() {
        let pieces = [stored(1100)];
        let parts = plan(&pieces, &SMALL).unwrap();
        check(&pieces, &parts, &SMALL);
        assert_eq!(parts.len(), 5);
        assert!(parts.iter().all(|part| bytes(part) == 220));
    }

    #[test]
    fn too_many_pieces_make_larger_parts() {
        let pieces: Vec<_> = (0..150).map(|_| stored(6)).collect();
        let parts = plan(&pieces, &SMALL).unwrap();
        check(&pieces, &parts, &SMALL);
    }

    #[test]
    fn what_no_parts_can_hold_has_no_plan() {
        let pieces: Vec<_> = (0..300).map(|_| stored(5000)).collect();
        assert_eq!(plan(&pieces, &SMALL), None);
    }

    #[test]
    fn the_real_limits_hold_for_the_largest_objects() {
        let limits = Limits::default();
        let terabyte = 1 << 40;
        for pieces in [vec![stored(5 * terabyte)], vec![stored(100 << 20); 10_000], vec![stored(6 << 20); 15_000]] {
            check(&pieces, &plan(&pieces, &limits).unwrap(), &limits);
        }
        assert!(cut(5 * terabyte, &limits).len() <= limits.parts_max);
        assert_eq!(cut(1, &limits), [ByteRange::new(0, 1)]);
    }
}
