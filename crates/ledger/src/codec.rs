//! How the binary files are written: numbers as LEB128 varints, texts behind their length.

use error_class::{Classified, ErrorClass};

/// A file of ours that is cut off, changed, or of another version than this program's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {file} cannot be read: {problem}")]
pub struct Corrupt {
    /// What file it is.
    pub file: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Corrupt {
    pub(crate) const fn new(file: &'static str, problem: &'static str) -> Self {
        Self { file, problem }
    }
}

impl Classified for Corrupt {
    fn class(&self) -> ErrorClass {
        ErrorClass::Bug
    }
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits, and a mark that more follow.
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A signed number: 0, −1, 1, −2, … become 0, 1, 2, 3, ….
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above have written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    file: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8], file: &'static str) -> Self {
        Self { rest: bytes, file }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn corrupt(&self, problem: &'static str) -> Corrupt {
        Corrupt::new(self.file, problem)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let Some((byte, rest)) = self.rest.split_first() else { return Err(self.corrupt("it is cut off")) };
            self.rest = rest;
            if shift == 63 && *byte > 1 {
                return Err(self.corrupt("a number is too large"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    #[inline]
    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    #[inline]
    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], Corrupt> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((bytes, rest)) = split else { return Err(self.corrupt("it is cut off")) };
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let count = self.varint()?;
        self.take(count)
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Corrupt> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt("a text is not UTF-8"))
    }

    /// Everything that has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn fixed(&mut self) -> Result<u64, Corrupt> {
        let bytes = self.take(8)?;
        Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back() {
        let numbers = [0, 1, 127, 128, 300, u64::MAX];
        let signed = [0, -1, 1, i64::MIN, i64::MAX];
        let mut out = Vec::new();
        numbers.iter().for_each(|number| put_varint(&mut out, *number));
        signed.iter().for_each(|number| put_signed(&mut out, *number));
        put_bytes(&mut out, "né".as_bytes());
        let mut cursor = Cursor::new(&out, "test file");
        numbers.iter().for_each(|number| assert_eq!(cursor.varint().unwrap(), *number));
        signed.iter().for_each(|number| assert_eq!(cursor.signed().unwrap(), *number));
        assert_eq!(cursor.text().unwrap(), "né");
        assert!(cursor.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_refused() {
        assert!(Cursor::new(&[0x80], "test file").varint().is_err());
        assert!(Cursor::new(&[0xff; 10], "test file").varint().is_err());
        assert!(Cursor::new(&[5, 1, 2], "test file").bytes().is_err());
        assert!(Cursor::new(&[2, 0xff, 0xff], "test file").text().is_err());
        assert!(Cursor::new(&[0; 7], "test file").fixed().is_err());
    }
}
