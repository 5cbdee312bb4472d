//! JSON lines as records: each object becomes a record of the schema's fields, so that one set of rules holds for both
//! formats.
//!
//! Numbers are taken as they are written, digit for digit, and never pass through a float.

use std::{borrow::Cow, fmt};

use memchr::memchr;
use records::{ChunkSize, Encoding, Format, LineEnd, RecordRange, Split, SplitPlan, StructureError, Writer};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Lines are taken apart so many bytes at once, or one line: what is made of a line can be many times as long.
const STRETCH_BYTES: usize = 64 << 10;

/// The records made of a stretch of JSON lines, and where each comes from.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    /// CSV without a header: record n is line n of `places`.
    pub(crate) records: Vec<u8>,
    pub(crate) places: Vec<Place<'a>>,
    pub(crate) faults: Vec<(Place<'a>, String)>,
}

/// A line of the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Empty lines are not counted.
    pub(crate) row: u64,
    /// In bytes from the beginning of the input.
    pub(crate) offset: u64,
    pub(crate) line: &'a [u8],
}

/// Takes lines apart, stretch by stretch.
#[derive(Debug)]
pub(crate) struct LineReader<'a> {
    rest: &'a [u8],
    /// The members to look at.
    names: Vec<&'a str>,
    line_bytes_max: usize,
    /// Where the next line begins, and its row.
    offset: u64,
    row: u64,
}

impl<'a> LineReader<'a> {
    /// The first line stands at `offset` and is row `row`.
    pub(crate) fn new(bytes: &'a [u8], names: Vec<&'a str>, line_bytes_max: usize, (offset, row): (u64, u64)) -> Self {
        Self { rest: bytes, names, line_bytes_max, offset, row }
    }

    /// The next lines, as records of `format`; `None` behind the last.
    pub(crate) fn next_lines(&mut self, format: &Format) -> Option<Lines<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut writer = Writer::new(format, LineEnd::Lf);
        let (mut places, mut faults) = (Vec::new(), Vec::new());
        let until = self.rest.len().saturating_sub(STRETCH_BYTES);
        while self.rest.len() > until {
            let Some(place) = self.next_line() else { continue };
            if place.line.len() > self.line_bytes_max {
                faults.push((place, format!("expected a line of at most {} bytes", self.line_bytes_max)));
                continue;
            }
            match members(place.line, &self.names) {
                Ok(cells) => {
                    writer.write(cells.iter().map(Cow::as_ref));
                    places.push(place);
                }
                Err(problem) => faults.push((place, format!("expected one JSON object a line: {problem}"))),
            }
        }
        Some(Lines { records: writer.into_bytes(), places, faults })
    }

    /// The next line, unless it is empty.
    fn next_line(&mut self) -> Option<Place<'a>> {
        let end = memchr(b'\n', self.rest).map_or(self.rest.len(), |end| end + 1);
        let (line, behind) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        let place = Place { row: self.row, offset: self.offset, line: line.trim_ascii_end() };
        self.rest = behind;
        self.offset += line.len() as u64;
        self.row += u64::from(!place.line.is_empty());
        (!place.line.is_empty()).then_some(place)
    }
}

/// Cuts JSON lines into ranges, in one pass over their bytes: the same lines that [`reduce`](crate::reduce) sees, and
/// what it takes for empty passed over.
#[derive(Debug)]
pub struct LineSplitter {
    plan: SplitPlan,
    /// The first bytes, until there are enough to see a byte order mark; `None` from then on.
    lead: Option<Vec<u8>>,
    position: u64,
    /// Where the present line begins, and whether there is anything in it.
    line: u64,
    is_record: bool,
    current: Option<RecordRange>,
    /// Where the bytes begin that no range covers yet.
    uncovered: u64,
    done: Vec<RecordRange>,
    records: u64,
}

impl LineSplitter {
    /// A splitter at the beginning of an input.
    pub fn new(plan: SplitPlan) -> Self {
        Self {
            plan,
            lead: Some(Vec::with_capacity(3)),
            position: 0,
            line: 0,
            is_record: false,
            current: None,
            uncovered: 0,
            done: Vec::new(),
            records: 0,
        }
    }

    /// Scans the next block.
    pub fn push(&mut self, block: &[u8]) -> Result<(), StructureError> {
        let Some(lead) = &mut self.lead else { return self.scan(block) };
        let (more, rest) = block.split_at(block.len().min(3 - lead.len()));
        lead.extend_from_slice(more);
        if lead.len() < 3 {
            return Ok(());
        }
        self.begin()?;
        self.scan(rest)
    }

    /// Ends the input.
    pub fn finish(mut self) -> Result<Split, StructureError> {
        self.begin()?;
        self.close_range(self.position)?;
        Ok(Split { header: None, ranges: self.done, records: self.records, bytes: self.position })
    }

    /// Looks for a byte order mark, then scans what else has been held back.
    fn begin(&mut self) -> Result<(), StructureError> {
        let Some(lead) = self.lead.take() else { return Ok(()) };
        match lead.as_slice() {
            [0xEF, 0xBB, 0xBF] => {
                (self.position, self.line, self.uncovered) = (3, 3, 3);
                Ok(())
            }
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                Err(StructureError::WrongEncoding { found: "utf-16", declared: Encoding::Utf8 })
            }
            other => self.scan(other),
        }
    }

    fn scan(&mut self, mut rest: &[u8]) -> Result<(), StructureError> {
        while !rest.is_empty() {
            let end = memchr(b'\n', rest);
            let (piece, behind) = rest.split_at_checked(end.map_or(rest.len(), |end| end + 1)).unwrap_or((rest, &[]));
            if !self.is_record && piece.iter().any(|byte| !byte.is_ascii_whitespace()) {
                self.is_record = true;
                self.record_begins()?;
            }
            self.position += piece.len() as u64;
            if self.position - self.line > self.plan.chunk_bytes_max {
                let limit = usize::try_from(self.plan.chunk_bytes_max).unwrap_or(usize::MAX);
                return Err(StructureError::RecordTooLong { row: self.records, offset: self.line, limit });
            }
            if end.is_some() {
                (self.line, self.is_record) = (self.position, false);
            }
            rest = behind;
        }
        Ok(())
    }

    fn record_begins(&mut self) -> Result<(), StructureError> {
        let is_full = |range: RecordRange| {
            let bytes = self.line - range.start;
            bytes >= self.plan.chunk_bytes_max
                || match self.plan.chunk {
                    ChunkSize::ByBytes(target) => bytes >= target,
                    ChunkSize::ByRecords(target) => range.records >= target,
                }
        };
        if self.current.is_some_and(is_full) {
            self.close_range(self.line)?;
        }
        self.records += 1;
        match &mut self.current {
            Some(range) => range.records += 1,
            None => {
                let (index, start) = (self.done.len() as u64, self.uncovered);
                self.current = Some(RecordRange { index, start, end: 0, records: 1, first_row: self.records });
            }
        }
        Ok(())
    }

    fn close_range(&mut self, end: u64) -> Result<(), StructureError> {
        if let Some(range) = self.current.take() {
            if self.done.len() as u64 >= self.plan.chunks_max {
                return Err(StructureError::TooManyChunks { limit: self.plan.chunks_max });
            }
            self.done.push(RecordRange { end, ..range });
            self.uncovered = end;
        }
        Ok(())
    }
}

/// The cells of the named members of an object; absent ones and null are empty.
fn members<'a>(line: &'a [u8], names: &[&str]) -> Result<Vec<Cow<'a, str>>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let cells = reader.deserialize_map(Members { names })?;
    reader.end()?;
    Ok(cells)
}

struct Members<'n> {
    names: &'n [&'n str],
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut cells: Vec<Option<Cow<'de, str>>> = vec![None; self.names.len()];
        while let Some(Text(name)) = map.next_key()? {
            let index = self.names.iter().position(|known| *known == name);
            let Some(cell) = index.and_then(|index| cells.get_mut(index)) else {
                map.next_value::<de::IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            if cell.is_some() {
                return Err(de::Error::custom(format!("member {name:?} is there twice")));
            }
            *cell = Some(cell_of(value.get(), &name).map_err(de::Error::custom)?);
        }
        Ok(cells.into_iter().map(Option::unwrap_or_default).collect())
    }
}

fn cell_of<'a>(value: &'a str, name: &str) -> Result<Cow<'a, str>, String> {
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Text<'_>>(value).map(|text| text.0).map_err(|error| error.to_string()),
        Some(b'n') => Ok(Cow::Borrowed("")),
        Some(b'{' | b'[') => Err(format!("member {name:?} is an object or a list, not a value")),
        _ => Ok(Cow::Borrowed(value)),
    }
}

/// A text, borrowed where nothing in it is escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = (String, Vec<(u64, u64)>, Vec<(u64, String)>);

    fn lines(text: &str) -> Seen {
        let format =
            Format::new(&records::Dialect { header: false, ..Default::default() }, Default::default()).unwrap();
        let lines = LineReader::new(text.as_bytes(), vec!["id", "net"], 70, (100, 7)).next_lines(&format).unwrap();
        let places = lines.places.iter().map(|place| (place.row, place.offset)).collect();
        let faults = lines.faults.iter().map(|(place, fault)| (place.row, fault.clone())).collect();
        (String::from_utf8(lines.records).unwrap(), places, faults)
    }

    #[test]
    fn members_become_cells_digit_for_digit() {
        let (records, places, faults) = lines(
            "{\"net\": 12345678901234567890.10, \"id\":\"a\\\"b\", \"other\":{\"x\":[1]}}\r\n\n{\"id\":true}\n{\"net\":null,\"id\":\"é\"}",
        );
        assert_eq!(records, "\"a\"\"b\",12345678901234567890.10\ntrue,\né,\n");
        assert_eq!(places, [(7, 100), (8, 167), (9, 179)]);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn what_is_no_object_of_values_is_a_fault_of_its_line_alone() {
        let (records, places, faults) = lines(
            "[1]\n{\"id\":{}}\n{\"id\":1,\"id\":2}\n{\"id\":1} x\n{\"id\":\"\n{\"id\":3}\n{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}\n",
        );
        assert_eq!(records, "3,\n");
        assert_eq!(places.len(), 1);
        let says =
            ["expected an object", "not a value", "there twice", "trailing", "EOF while parsing", "at most 70 bytes"];
        assert_eq!(faults.len(), says.len(), "{faults:?}");
        for ((_, fault), says) in faults.iter().zip(says) {
            assert!(fault.contains(says), "{fault:?} {says}");
        }
    }

    /// What is made of a stretch is bounded, however long the input is, and every line is in one of them.
    #[test]
    fn long_inputs_are_taken_apart_in_stretches() {
        let text = "no\n{}\n".repeat(STRETCH_BYTES);
        let mut reader = LineReader::new(text.as_bytes(), vec!["id"], 70, (100, 7));
        let (mut row, mut offset, mut stretches) = (7, 100, 0);
        while let Some(lines) = reader.next_lines(&Format::default()) {
            let mut places: Vec<_> = lines.faults.iter().map(|(place, _)| *place).chain(lines.places).collect();
            assert!(places.len() <= STRETCH_BYTES / 3 + 1, "{}", places.len());
            places.sort_unstable_by_key(|place| place.row);
            for place in places {
                assert_eq!((place.row, place.offset), (row, offset));
                (row, offset) = (row + 1, offset + place.line.len() as u64 + 1);
            }
            stretches += 1;
        }
        assert_eq!((row, stretches), (7 + 2 * STRETCH_BYTES as u64, 6));
    }

    fn cut(text: &str, target: u64, block: usize) -> Result<Split, StructureError> {
        let plan = SplitPlan { chunk: ChunkSize::ByBytes(target), chunk_bytes_max: 90, chunks_max: 20 };
        let mut splitter = LineSplitter::new(plan);
        text.as_bytes().chunks(block).try_for_each(|block| splitter.push(block))?;
        splitter.finish()
    }

    /// Splitter and reader see the same lines, however the input comes and is cut.
    #[test]
    fn ranges_hold_the_lines_that_are_read() {
        let text = "\u{feff} \t\n{\"id\":1}\n\n{\"id\":\r2}\r\n\x0c\n[]\nno\n   {\"id\":3}  \n \n{\"id\":4}";
        let format =
            Format::new(&records::Dialect { header: false, ..Default::default() }, Default::default()).unwrap();
        let places = |bytes: &str, at| {
            let lines = LineReader::new(bytes.as_bytes(), vec!["id"], 70, at).next_lines(&format).unwrap();
            let faults = lines.faults.iter().map(|(place, _)| (place.row, place.offset));
            let mut places: Vec<_> = lines.places.iter().map(|place| (place.row, place.offset)).chain(faults).collect();
            places.sort_unstable();
            places
        };
        let all = places(text.get(3..).unwrap(), (3, 1));
        assert_eq!(all.len(), 6);
        for (target, block) in [(1, 1), (1, 100), (12, 7), (1000, 2)] {
            let split = cut(text, target, block).unwrap();
            assert_eq!((split.records, split.bytes), (6, text.len() as u64));
            let mut seen = Vec::new();
            for range in &split.ranges {
                let bounds = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                let of_range = places(text.get(bounds).unwrap(), (range.start, range.first_row));
                assert_eq!(of_range.len() as u64, range.records);
                seen.extend(of_range);
            }
            assert_eq!(seen, all);
            assert_eq!(split.ranges.len(), if target == 1 { 6 } else { split.ranges.len() });
        }
        for nothing in ["", "\u{feff}", " \n\n", "\n"] {
            let split = cut(nothing, 1, 1).unwrap();
            assert_eq!((split.records, split.ranges.len()), (0, 0));
        }
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let long = format!("{{}}\n{{\"id\":\"{}\"}}", "x".repeat(90));
        assert_eq!(cut(&long, 1, 7), Err(StructureError::RecordTooLong { row: 2, offset: 3, limit: 90 }));
        let many = "{}\n".repeat(21);
        assert_eq!(cut(&many, 1, 7), Err(StructureError::TooManyChunks { limit: 20 }));
        assert_eq!(cut(&many, 60, 7).unwrap().ranges.len(), 2);
    }
}
