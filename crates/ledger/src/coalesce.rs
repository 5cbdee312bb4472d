//! Many small reads as few larger ones.

use storage::ByteRange;

use crate::index_entry::IndexEntry;

/// How reads are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoalescePlan {
    /// How many bytes between two neighbours are read for nothing rather than asking twice.
    pub gap_bytes_max: u64,
    /// How long one read becomes by joining; a single version can be longer.
    pub read_bytes_max: u64,
}

impl Default for CoalescePlan {
    /// At 50 to 90 MB/s and some 20 ms a request, a megabyte costs what a request costs.
    fn default() -> Self {
        Self { gap_bytes_max: 1 << 20, read_bytes_max: 16 << 20 }
    }
}

/// One read of a file, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoalescedRead<'a> {
    /// The file's key.
    pub file: &'a str,
    /// What to read.
    pub range: ByteRange,
    /// The indices of the entries that it covers, by offset.
    pub entries: Vec<usize>,
}

/// What joining came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoalesceFigures {
    /// How many versions are wanted.
    pub versions: u64,
    /// How many reads get them.
    pub reads: u64,
    /// How many bytes are wanted; one that several want counts for each.
    pub bytes_wanted: u64,
    /// How many bytes are read.
    pub bytes_read: u64,
}

/// The reads that get all `entries`, by file and offset.
pub fn coalesce<'a>(entries: &[&'a IndexEntry], plan: CoalescePlan) -> (Vec<CoalescedRead<'a>>, CoalesceFigures) {
    let mut sorted: Vec<(usize, &IndexEntry)> = entries.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(index, entry)| (&entry.file, entry.offset, *index));
    let mut reads: Vec<CoalescedRead<'_>> = Vec::new();
    let mut figures = CoalesceFigures::default();
    for (index, entry) in sorted {
        let range = entry.range();
        figures.versions += 1;
        figures.bytes_wanted += range.len();
        let joined = reads.last_mut().filter(|read| {
            read.file == entry.file
                && range.start <= read.range.end.saturating_add(plan.gap_bytes_max)
                && range.end.max(read.range.end) - read.range.start <= plan.read_bytes_max
        });
        match joined {
            Some(read) => {
                read.range.end = read.range.end.max(range.end);
                read.entries.push(index);
            }
            None => reads.push(CoalescedRead { file: &entry.file, range, entries: vec![index] }),
        }
    }
    figures.reads = reads.len() as u64;
    figures.bytes_read = reads.iter().map(|read| read.range.len()).sum();
    (reads, figures)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sequence::BatchSequence;

    fn entry(file: &str, offset: u64, length: u64) -> IndexEntry {
        IndexEntry { file: file.to_owned(), offset, length, sequence: BatchSequence::FIRST }
    }

    #[test]
    fn neighbours_of_one_file_are_joined_up_to_the_bounds() {
        let entries =
            [entry("b", 0, 10), entry("a", 30, 10), entry("a", 0, 10), entry("a", 45, 10), entry("a", 60, 10)];
        let plan = CoalescePlan { gap_bytes_max: 20, read_bytes_max: 60 };
        let (reads, figures) = coalesce(&entries.each_ref(), plan);
        let seen: Vec<_> =
            reads.iter().map(|read| (read.file, read.range.start, read.range.end, read.entries.clone())).collect();
        assert_eq!(seen, [("a", 0, 55, vec![2, 1, 3]), ("a", 60, 70, vec![4]), ("b", 0, 10, vec![0])]);
        assert_eq!(figures, CoalesceFigures { versions: 5, reads: 3, bytes_wanted: 50, bytes_read: 75 });
        assert_eq!(coalesce(&[], CoalescePlan::default()).1, CoalesceFigures::default());
    }

    proptest! {
        /// Every version is read exactly once, whole, and no read passes its bound without need.
        #[test]
        fn every_version_is_covered_once(
            places in proptest::collection::vec((0..3_u8, 0..500_u64, 0..50_u64), 0..40),
            gap_bytes_max in 0..60_u64,
            read_bytes_max in 1..200_u64,
        ) {
            let entries: Vec<_> = places.iter().map(|(file, offset, length)| entry(&file.to_string(), *offset, *length)).collect();
            let entries: Vec<&IndexEntry> = entries.iter().collect();
            let (reads, _) = coalesce(&entries, CoalescePlan { gap_bytes_max, read_bytes_max });
            let mut covered: Vec<usize> = Vec::new();
            for read in &reads {
                prop_assert!(read.range.len() <= read_bytes_max || read.entries.len() == 1);
                for index in &read.entries {
                    let entry = entries[*index];
                    prop_assert!(entry.file == read.file);
                    prop_assert!(read.range.start <= entry.offset && entry.range().end <= read.range.end);
                    covered.push(*index);
                }
            }
            covered.sort_unstable();
            prop_assert_eq!(covered, (0..entries.len()).collect::<Vec<_>>());
        }
    }
}
