//! Sections of reduced files: the events of one partition, in the order in which a reducer meets them.
//!
//! ```text
//! section := record …
//! record := length of the event (4 bytes, little-endian), key text, event as in a run, without its length
//! ```
//!
//! They are sorted where all ranges come together: that costs less than sorting each range and merging them.

use crate::{
    codec::{Corrupt, Cursor, put_bytes},
    container::Kind,
};

/// A section that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct SectionWriter {
    bytes: Vec<u8>,
    /// Where the record begins that was begun last, and where its event.
    record: usize,
    event: usize,
    events: u64,
}

impl SectionWriter {
    /// With room for what becomes of so many bytes of records, nearly.
    pub(crate) fn of_records(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + bytes / 2), ..Self::default() }
    }

    /// Begins an event of a key: it is to be written behind what is returned, and then to be ended.
    #[inline]
    pub(crate) fn begin(&mut self, key: &[u8]) -> &mut Vec<u8> {
        self.record = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        put_bytes(&mut self.bytes, key);
        self.event = self.bytes.len();
        &mut self.bytes
    }

    /// Ends the event that was begun.
    #[inline]
    pub(crate) fn end(&mut self) {
        // An event has little more bytes than its record, and that 1 GiB.
        let length = u32::try_from(self.bytes.len() - self.event).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(self.record..self.record + LENGTH_BYTES) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.events += 1;
    }

    /// How many events it has.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// What was written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

const LENGTH_BYTES: usize = size_of::<u32>();

/// An event that was not taken apart, and its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SectionRecord<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) event: &'a [u8],
}

/// The records of a section.
pub(crate) fn records(section: &[u8]) -> impl Iterator<Item = Result<SectionRecord<'_>, Corrupt>> {
    let mut cursor = Cursor::new(section, Kind::Reduced.name());
    std::iter::from_fn(move || (!cursor.is_empty()).then(|| record(&mut cursor)))
}

#[inline]
fn record<'a>(cursor: &mut Cursor<'a>) -> Result<SectionRecord<'a>, Corrupt> {
    let length = cursor.take(LENGTH_BYTES as u64)?.try_into().map_or(0, u32::from_le_bytes);
    Ok(SectionRecord { key: cursor.bytes()?, event: cursor.take(u64::from(length))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_written() {
        let mut writer = SectionWriter::of_records(10);
        for (key, event) in [("b", "first"), ("a", ""), ("b", "third")] {
            writer.begin(key.as_bytes()).extend_from_slice(event.as_bytes());
            writer.end();
        }
        let read: Vec<_> = records(writer.bytes()).map(Result::unwrap).collect();
        let read: Vec<_> = read.iter().map(|record| (record.key, record.event)).collect();
        assert_eq!(read, [(&b"b"[..], &b"first"[..]), (b"a", b""), (b"b", b"third")]);
        assert_eq!(writer.events(), 3);
        let cut = writer.bytes().get(..writer.bytes().len() - 1).unwrap();
        assert!(records(cut).last().unwrap().is_err());
    }
}
