//! Packed files: gzip (RFC 1952) and Zstandard (RFC 8878), unpacked into memory, within a bound.

use std::io::{self, Write};

use error_class::{Classified, ErrorClass};
use flate2::write::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952; several members behind one another are one file.
    Gzip,
    /// RFC 8878; several frames behind one another are one file.
    Zstd,
}

/// Why a file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A small file can unpack to a very large one.
    #[error("it is longer than {limit} bytes when unpacked, the bound for packed files: send it unpacked")]
    TooLong {
        /// The bound.
        limit: u64,
    },
    /// It is not packed like this, was cut off, or is damaged.
    #[error("it is damaged, or cut off")]
    Damaged(#[source] io::Error),
}

impl Classified for UnpackError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

/// Unpacks a file that is pushed in pieces. A file that was cut off does not pass for a short one: lengths and
/// checksums are looked at where the format has them.
#[derive(Debug)]
pub struct Unpacker {
    bytes_max: u64,
    decoder: Decoder,
}

#[derive(Debug)]
enum Decoder {
    Gzip(Box<MultiGzDecoder<Bounded>>),
    /// The packed bytes: frames are decoded once all are there.
    Zstd(Bounded),
}

impl Unpacker {
    /// An unpacker that gives at most `bytes_max` bytes.
    pub fn new(packing: Packing, bytes_max: u64) -> Self {
        let bounded = Bounded { bytes: Vec::new(), bytes_max };
        let decoder = match packing {
            Packing::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(bounded))),
            Packing::Zstd => Decoder::Zstd(bounded),
        };
        Self { bytes_max, decoder }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), UnpackError> {
        let pushed = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.write_all(piece),
            Decoder::Zstd(packed) => packed.write_all(piece),
        };
        pushed.map_err(|error| fault(error, self.bytes_max))
    }

    /// The whole file.
    pub fn finish(self) -> Result<Vec<u8>, UnpackError> {
        let unpacked = match self.decoder {
            Decoder::Gzip(decoder) => decoder.finish(),
            Decoder::Zstd(packed) => frames(&packed.bytes, self.bytes_max),
        };
        unpacked.map(|unpacked| unpacked.bytes).map_err(|error| fault(error, self.bytes_max))
    }
}

fn fault(error: io::Error, limit: u64) -> UnpackError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => UnpackError::TooLong { limit },
        _ => UnpackError::Damaged(error),
    }
}

fn frames(mut packed: &[u8], bytes_max: u64) -> io::Result<Bounded> {
    let mut unpacked = Bounded { bytes: Vec::new(), bytes_max };
    let mut decoder = FrameDecoder::new();
    if packed.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    while !packed.is_empty() {
        match decoder.init(&mut packed) {
            Ok(()) => frame(&mut decoder, &mut packed, &mut unpacked)?,
            // A skippable frame holds what is not for us.
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let behind = usize::try_from(length).ok().and_then(|length| packed.get(length..));
                packed = behind.ok_or(io::ErrorKind::UnexpectedEof)?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(unpacked)
}

/// Decodes one frame. The decoder leaves it to its caller to compare what the frame says of itself with what it holds.
fn frame(decoder: &mut FrameDecoder, packed: &mut &[u8], unpacked: &mut Bounded) -> io::Result<()> {
    let before = unpacked.bytes.len();
    loop {
        decoder.decode_blocks(&mut *packed, BlockDecodingStrategy::UptoBlocks(1)).map_err(io::Error::other)?;
        decoder.collect_to_writer(&mut *unpacked)?;
        if decoder.is_finished() {
            break;
        }
    }
    let (said, calculated) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
    if said.is_some() && said != calculated {
        return Err(io::Error::other("the checksum of a frame differs"));
    }
    // A frame that does not say how long it is says 0.
    let length = (unpacked.bytes.len() - before) as u64;
    if !matches!(decoder.content_size(), 0) && decoder.content_size() != length {
        return Err(io::Error::other("a frame is not as long as it says"));
    }
    Ok(())
}

/// A buffer that refuses to outgrow its bound.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: u64,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + piece.len()) as u64 > self.bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn packed(packing: Packing, text: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Zstd => compress_to_vec(text, CompressionLevel::Fastest),
        }
    }

    fn unpack(packing: Packing, packed: &[u8], bytes_max: u64) -> Result<Vec<u8>, UnpackError> {
        let mut unpacker = Unpacker::new(packing, bytes_max);
        packed.chunks(7).try_for_each(|piece| unpacker.push(piece))?;
        unpacker.finish()
    }

    fn text() -> Vec<u8> {
        (0..20_000).flat_map(|row| format!("{row},{},note\n", row * 7919 % 1_000).into_bytes()).collect()
    }

    #[test]
    fn members_and_frames_come_back_as_one_file() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let text = text();
            let twice = [packed(packing, &text), packed(packing, &text)].concat();
            assert_eq!(unpack(packing, &twice, 1 << 30).unwrap(), [text.clone(), text].concat());
            assert_eq!(unpack(packing, &packed(packing, b""), 99).unwrap(), b"");
        }
        let skippable = [&b"\x50\x2A\x4D\x18\x03\0\0\0abc"[..], &packed(Packing::Zstd, b"id\n1\n")].concat();
        assert_eq!(unpack(Packing::Zstd, &skippable, 99).unwrap(), b"id\n1\n");
    }

    #[test]
    fn what_is_cut_off_or_changed_is_no_shorter_file() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let whole = packed(packing, &text()[..3_000]);
            for end in 0..whole.len() {
                let cut = unpack(packing, &whole[..end], 1 << 30);
                assert!(matches!(cut, Err(UnpackError::Damaged(_))), "{packing:?} cut at {end}: {cut:?}");
            }
            let mut changed = whole.clone();
            let last = changed.len() - 1;
            changed[last] ^= 1;
            assert!(unpack(packing, &changed, 1 << 30).is_err(), "{packing:?}");
            assert!(unpack(packing, &[&whole[..], b"junk"].concat(), 1 << 30).is_err(), "{packing:?}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let bomb = packed(packing, &vec![b'a'; 10_000_000]);
            assert!(bomb.len() < 100_000);
            let refused = unpack(packing, &bomb, 1_000_000);
            assert!(matches!(refused, Err(UnpackError::TooLong { limit: 1_000_000 })), "{refused:?}");
        }
    }

    /// What the format's own tool makes of `id\n1\n2\n`, with its checksum; and with another one.
    #[test]
    fn frames_of_the_format_s_own_tool_are_read_and_checked() {
        let mut packed = *b"\x28\xb5\x2f\xfd\x04\x58\x39\0\0id\n1\n2\n\xe9\xcd\x53\x57";
        assert_eq!(unpack(Packing::Zstd, &packed, 99).unwrap(), b"id\n1\n2\n");
        packed[9] = b'I';
        let damaged = unpack(Packing::Zstd, &packed, 99).unwrap_err();
        assert_eq!(error_class::chain(&damaged), "it is damaged, or cut off: the checksum of a frame differs");
    }
}
