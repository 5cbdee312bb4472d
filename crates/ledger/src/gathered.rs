//! The events of one partition, as a reducer gathers them: sorted by key when all of them are there.

use crate::{
    codec::put_bytes,
    run::{length_bytes, put_group},
};

/// The events of one partition: keys and events, each one behind the other, and where they stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    keys: Vec<u8>,
    events: Vec<u8>,
    index: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Sixteen bytes of the key, behind what all keys have in common: most comparisons end here.
    prefix: u128,
    key: usize,
    event: usize,
    key_bytes: u32,
    event_bytes: u32,
}

impl Gathered {
    /// With room for what becomes of so many bytes of records, nearly.
    pub(crate) fn of_records(bytes: usize) -> Self {
        Self {
            keys: Vec::with_capacity(bytes / 4),
            events: Vec::with_capacity(bytes),
            index: Vec::with_capacity(bytes / 64),
        }
    }

    /// Begins an event of a key: it is to be written behind what is returned, and then to be ended.
    pub(crate) fn begin(&mut self, key: &[u8]) -> &mut Vec<u8> {
        // A key has KEY_BYTES_MAX at most.
        let key_bytes = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.index.push(Entry { prefix: 0, key: self.keys.len(), event: self.events.len(), key_bytes, event_bytes: 0 });
        self.keys.extend_from_slice(key);
        &mut self.events
    }

    /// Ends the event that was begun.
    pub(crate) fn end(&mut self) {
        let Some(entry) = self.index.last_mut() else { return };
        // An event has little more bytes than its record, and that 1 GiB.
        entry.event_bytes = u32::try_from(self.events.len() - entry.event).unwrap_or(u32::MAX);
    }

    /// How many events it has.
    pub(crate) const fn events(&self) -> u64 {
        self.index.len() as u64
    }

    /// How many bytes its section has at most, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() + self.events.len() + 12 * self.index.len()
    }

    /// Writes the section. All keys have their first `common` bytes in common.
    pub(crate) fn write(mut self, common: usize, out: &mut Vec<u8>) {
        self.sort(common);
        for group in self.index.chunk_by(|left, right| self.same_key(left, right, common)) {
            let Some(first) = group.first() else { continue };
            let bytes = |entry: &Entry| entry.event_bytes as usize;
            let bytes = group.iter().map(|entry| length_bytes(bytes(entry)) + bytes(entry)).sum();
            put_group(out, self.key(first), group.len() as u64, bytes);
            for entry in group {
                put_bytes(out, slice(&self.events, entry.event, entry.event_bytes as usize));
            }
        }
    }

    fn sort(&mut self, common: usize) {
        let keys = &self.keys;
        let key = |entry: &Entry| slice(keys, entry.key, entry.key_bytes as usize);
        for entry in &mut self.index {
            let mut prefix = [0_u8; 16];
            prefix.iter_mut().zip(key(entry).iter().skip(common)).for_each(|(to, from)| *to = *from);
            entry.prefix = u128::from_be_bytes(prefix);
        }
        let seen = common + size_of::<u128>();
        self.index.sort_unstable_by(|left, right| {
            let keys = || match left.key_bytes.max(right.key_bytes) as usize <= seen {
                // A key that is the other's beginning has zeros in its prefix where the other may have them too.
                true => left.key_bytes.cmp(&right.key_bytes),
                false => key(left).cmp(key(right)),
            };
            left.prefix.cmp(&right.prefix).then_with(keys).then(left.event.cmp(&right.event))
        });
    }

    /// Whether two entries, which are neighbours in order, have one key. What lies behind the prefix is looked at where
    /// there is something.
    fn same_key(&self, left: &Entry, right: &Entry, common: usize) -> bool {
        left.prefix == right.prefix
            && left.key_bytes == right.key_bytes
            && (left.key_bytes as usize <= common + size_of_val(&left.prefix) || self.key(left) == self.key(right))
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        slice(&self.keys, entry.key, entry.key_bytes as usize)
    }
}

/// What the index says is there.
fn slice(bytes: &[u8], start: usize, length: usize) -> &[u8] {
    bytes.get(start..start + length).unwrap_or_default()
}
