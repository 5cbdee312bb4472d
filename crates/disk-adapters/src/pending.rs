//! Rows that are written and not committed yet, in little more memory than their bytes.

use hashbrown::{HashTable, hash_table::Entry};
use twox_hash::XxHash3_64;

/// Rows are written one behind the other into pieces of so many bytes; a longer one has its own.
const PIECE_BYTES: usize = 1 << 20;
/// What finding an entry takes, roughly.
const PLACE_BYTES: usize = 16;
/// The lengths of key and row.
const HEAD_BYTES: usize = 8;
/// The length of a row that is deleted.
const DELETED: u32 = u32::MAX;

/// The changes of one table: of each key the last one.
#[derive(Default)]
pub(crate) struct Pending {
    pieces: Vec<Vec<u8>>,
    places: HashTable<Place>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    piece: u32,
    start: u32,
}

/// A key, and its row: `None` where it is deleted.
pub(crate) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

impl Pending {
    /// How many bytes of memory are taken, those of rows that were written over among them.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was last written at a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let place = self.places.find(hash(key), |place| read(&self.pieces, *place).0 == key)?;
        Some(read(&self.pieces, *place).1)
    }

    /// Writes a row, or deletes it.
    pub(crate) fn set(&mut self, key: &[u8], row: Option<&[u8]>) {
        let place = self.push(key, row);
        let pieces = &self.pieces;
        let same = |place: &Place| read(pieces, *place).0 == key;
        match self.places.entry(hash(key), same, |place| hash(read(pieces, *place).0)) {
            Entry::Occupied(mut held) => *held.get_mut() = place,
            Entry::Vacant(free) => {
                free.insert(place);
            }
        }
    }

    /// All changes, by key.
    pub(crate) fn sorted(&self) -> Vec<Change<'_>> {
        let mut changes: Vec<_> = self.places.iter().map(|place| read(&self.pieces, *place)).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        changes
    }

    /// Keys and rows are no longer than items may be, and few enough pieces fit into memory.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by what an item and the memory can hold")]
    fn push(&mut self, key: &[u8], row: Option<&[u8]>) -> Place {
        let bytes = HEAD_BYTES + key.len() + row.map_or(0, <[u8]>::len);
        if self.pieces.last().is_none_or(|last| last.len() + bytes > last.capacity()) {
            self.pieces.push(Vec::with_capacity(bytes.max(PIECE_BYTES)));
        }
        self.bytes += bytes + PLACE_BYTES;
        let piece = (self.pieces.len() - 1) as u32;
        let Some(last) = self.pieces.last_mut() else { return Place { piece, start: 0 } };
        let start = last.len() as u32;
        last.extend_from_slice(&(key.len() as u32).to_le_bytes());
        last.extend_from_slice(&row.map_or(DELETED, |row| row.len() as u32).to_le_bytes());
        last.extend_from_slice(key);
        last.extend_from_slice(row.unwrap_or_default());
        Place { piece, start }
    }
}

fn hash(key: &[u8]) -> u64 {
    XxHash3_64::oneshot(key)
}

/// What stands at a place, which is one of ours.
fn read(pieces: &[Vec<u8>], place: Place) -> Change<'_> {
    let rest = pieces.get(place.piece as usize).and_then(|piece| piece.get(place.start as usize..));
    let Some((key_bytes, rest)) = rest.and_then(<[u8]>::split_first_chunk::<4>) else { return (&[], None) };
    let Some((row_bytes, rest)) = rest.split_first_chunk::<4>() else { return (&[], None) };
    let (key_bytes, row_bytes) = (u32::from_le_bytes(*key_bytes) as usize, u32::from_le_bytes(*row_bytes));
    let (key, rest) = rest.split_at_checked(key_bytes).unwrap_or_default();
    let row = (row_bytes != DELETED).then(|| rest.get(..row_bytes as usize).unwrap_or_default());
    (key, row)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_last_change_of_each_key_counts() {
        let (mut pending, mut model) = (Pending::default(), BTreeMap::new());
        for number in 0..20_000_u32 {
            let key = (number.wrapping_mul(7919) % 5_000).to_be_bytes().to_vec();
            let row = (number % 7 > 0).then(|| vec![number as u8; (number % 300) as usize]);
            pending.set(&key, row.as_deref());
            model.insert(key, row);
        }
        let long = vec![1; 2 * PIECE_BYTES];
        pending.set(b"long", Some(&long));
        model.insert(b"long".to_vec(), Some(long));
        for (key, row) in &model {
            assert_eq!(pending.get(key), Some(row.as_deref()));
        }
        assert_eq!(pending.get(b"absent"), None);
        let expected: Vec<_> = model.iter().map(|(key, row)| (key.as_slice(), row.as_deref())).collect();
        assert_eq!(pending.sorted(), expected);
        assert!(pending.bytes() > 20_000 * 150);
    }
}
