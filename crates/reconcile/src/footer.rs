//! Where the footer of a Parquet file is: [the format](https://parquet.apache.org/docs/file-format/) has it behind the rows,
//! then its length in four bytes, little-endian, and `PAR1`.

/// The longest footer that is read, in bytes: it is in memory whole. That of a file of 10,000 row groups of 20 columns has
/// some 30 MiB.
pub const FOOTER_BYTES_MAX: u64 = 64 << 20;

/// The bytes behind a footer.
pub const TAIL_BYTES: u64 = 8;

/// The length of the footer, from the file's last [`TAIL_BYTES`]; `None` where they are not a Parquet file's.
pub fn footer_bytes(tail: &[u8]) -> Option<u64> {
    let (length, magic) = tail.split_first_chunk::<4>()?;
    (magic == b"PAR1").then(|| u64::from(u32::from_le_bytes(*length)))
}
