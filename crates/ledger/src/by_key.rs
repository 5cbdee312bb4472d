//! Events of many sections, brought into the order of their keys.

use std::cmp::Ordering;

use crate::{
    codec::Corrupt,
    reduced_section::{SectionRecord, records},
};

/// Bytes that an event takes while it is sorted, beside those that it was read from.
pub(crate) const SORTED_EVENT_BYTES: u64 = (size_of::<SectionRecord<'_>>() + size_of::<Place>()) as u64;

/// Records, by the bytes of their keys.
#[derive(Debug)]
pub(crate) struct ByKey<'a> {
    unsorted: Unsorted<'a>,
    places: Vec<Place>,
    next: usize,
}

/// Records as they were read.
#[derive(Debug)]
struct Unsorted<'a> {
    records: Vec<SectionRecord<'a>>,
    /// How many bytes all keys have in common at their beginning.
    common: usize,
}

/// Where a record is, and what of its key decides nearly always: small, so that what is moved about is little.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Sixteen bytes of the key, behind what all keys have in common.
    prefix: u128,
    key_bytes: usize,
    record: usize,
}

impl<'a> ByKey<'a> {
    /// Sorts the records of all sections, `events` in number.
    pub(crate) fn new(sections: &[&'a [u8]], events: usize) -> Result<Self, Corrupt> {
        let mut found = Vec::with_capacity(events);
        for section in sections {
            for record in records(section) {
                found.push(record?);
            }
        }
        let unsorted = Unsorted { common: common(&found), records: found };
        let records = unsorted.records.iter().enumerate();
        let mut places: Vec<Place> =
            records.map(|(record, SectionRecord { key, .. })| unsorted.place(record, key)).collect();
        places.sort_unstable_by(|left, right| unsorted.order(left, right));
        Ok(Self { unsorted, places, next: 0 })
    }

    /// How many records there are.
    pub(crate) const fn records(&self) -> usize {
        self.places.len()
    }

    /// The next key, and the events of all its records behind what `events` holds.
    pub(crate) fn next_key(&mut self, events: &mut Vec<&'a [u8]>) -> Option<&'a [u8]> {
        let Unsorted { records, .. } = &self.unsorted;
        let first = self.places.get(self.next)?;
        let key = records.get(first.record)?.key;
        let group = self.places.get(self.next..).unwrap_or_default();
        let group = group.iter().take_while(|place| self.unsorted.order(first, place) == Ordering::Equal);
        let before = events.len();
        events.extend(group.filter_map(|place| records.get(place.record)).map(|record| record.event));
        self.next += events.len() - before;
        Some(key)
    }
}

impl Unsorted<'_> {
    fn place(&self, record: usize, key: &[u8]) -> Place {
        let mut prefix = [0; size_of::<u128>()];
        let behind = key.get(self.common..).unwrap_or_default();
        let seen = behind.len().min(prefix.len());
        if let (Some(to), Some(from)) = (prefix.get_mut(..seen), behind.get(..seen)) {
            to.copy_from_slice(from);
        }
        Place { prefix: u128::from_be_bytes(prefix), key_bytes: key.len(), record }
    }

    #[inline]
    fn order(&self, left: &Place, right: &Place) -> Ordering {
        left.prefix.cmp(&right.prefix).then_with(|| {
            if left.key_bytes.max(right.key_bytes) <= self.common + size_of::<u128>() {
                // A key that is the other's beginning has zeros in its prefix where the other may have them too.
                return left.key_bytes.cmp(&right.key_bytes);
            }
            let key = |place: &Place| self.records.get(place.record).map(|record| record.key);
            key(left).cmp(&key(right))
        })
    }
}

/// How many bytes all keys have in common at their beginning.
fn common(records: &[SectionRecord<'_>]) -> usize {
    let mut common = records.first().map_or(&[][..], |first| first.key);
    for SectionRecord { key, .. } in records {
        if !key.starts_with(common) {
            let shared = common.iter().zip(*key).take_while(|(left, right)| left == right).count();
            common = common.get(..shared).unwrap_or_default();
        }
    }
    common.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reduced_section::SectionWriter;

    proptest! {
        /// Keys of few letters, a NUL among them, some longer than what is compared at once.
        #[test]
        fn every_key_has_its_events_and_comes_in_order(
            common in "[ab]{0,3}",
            sections in prop::collection::vec(prop::collection::vec(("[a\0]{0,3}|a{14}[ab\0]{0,4}", any::<u8>()), 0..20), 0..5),
        ) {
            let mut expected = std::collections::BTreeMap::<String, Vec<u8>>::new();
            let mut written = Vec::new();
            for section in &sections {
                let mut writer = SectionWriter::default();
                for (key, event) in section {
                    let key = format!("{common}{key}");
                    writer.begin(key.as_bytes()).push(*event);
                    writer.end();
                    expected.entry(key).or_default().push(*event);
                }
                written.push(writer);
            }
            let sections: Vec<&[u8]> = written.iter().map(SectionWriter::bytes).collect();
            let mut sorted = ByKey::new(&sections, 0).unwrap();
            prop_assert_eq!(sorted.records(), expected.values().map(Vec::len).sum::<usize>());
            let mut events = Vec::new();
            for (key, mut values) in expected {
                prop_assert_eq!(sorted.next_key(&mut events), Some(key.as_bytes()));
                let mut found: Vec<u8> = events.drain(..).flatten().copied().collect();
                found.sort_unstable();
                values.sort_unstable();
                prop_assert_eq!(found, values);
            }
            prop_assert_eq!(sorted.next_key(&mut events), None);
        }
    }
}
