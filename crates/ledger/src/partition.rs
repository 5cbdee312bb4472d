//! Partitions: how artifacts are spread over workers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

/// The hash of an artifact key that decides its partition: XXH3, 64 bits, seed 0, of the key's UTF-8 bytes.
///
/// It is part of the file formats and never changes. XXH3 has a published specification and implementations in every
/// language, and costs a few nanoseconds; nothing depends on its resisting an attacker, who could only slow down a
/// ledger of his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of a key.
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        Self(XxHash3_64::oneshot(key))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How many of the hash's top bits name the partition: `b` bits make 2^b partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
pub struct PartitionBits(#[schemars(range(max = 12))] u8);

/// The most partition bits: 4,096 partitions.
pub const PARTITION_BITS_MAX: u8 = 12;

/// More bits than [`PARTITION_BITS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} partition bits: expected 0 to {PARTITION_BITS_MAX}")]
pub struct TooManyBits(u8);

/// The number of a partition, below 2^bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Partition(u32);

impl PartitionBits {
    /// One partition.
    pub const ZERO: Self = Self(0);

    /// That many bits.
    pub const fn new(bits: u8) -> Result<Self, TooManyBits> {
        if bits > PARTITION_BITS_MAX { Err(TooManyBits(bits)) } else { Ok(Self(bits)) }
    }

    /// The number of bits.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// How many partitions there are.
    pub const fn partitions(self) -> u32 {
        1 << self.0
    }

    /// The partition of a key with that hash: the hash's top bits.
    #[inline]
    pub const fn partition(self, hash: KeyHash) -> Partition {
        // In two steps: a shift by 64 is none.
        Partition((hash.0 >> 32 >> (32 - self.0)) as u32)
    }

    /// All partitions, in order.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        (0..self.partitions()).map(Partition)
    }
}

impl Partition {
    /// The partition of that number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// As it stands in paths: `0042`.
    pub fn padded(self) -> String {
        format!("{:04}", self.0)
    }

    /// Where the keys of this partition, of `bits` bits, stood when there were `earlier` bits; `None` where there were
    /// more than now, which never happens along the order of jobs. That partition holds other keys too.
    pub fn at(self, bits: PartitionBits, earlier: PartitionBits) -> Option<Self> {
        bits.0.checked_sub(earlier.0).map(|more| Self(self.0 >> more))
    }
}

impl TryFrom<u8> for PartitionBits {
    type Error = TooManyBits;

    fn try_from(bits: u8) -> Result<Self, TooManyBits> {
        Self::new(bits)
    }
}

impl From<PartitionBits> for u8 {
    fn from(bits: PartitionBits) -> Self {
        bits.0
    }
}

impl fmt::Display for PartitionBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bits: u8) -> PartitionBits {
        PartitionBits::new(bits).unwrap()
    }

    /// The reference values of the specification's own implementation: another hash would lose every artifact.
    #[test]
    fn the_hash_is_fixed() {
        assert_eq!(KeyHash::of(b"").get(), 0x2d06_8005_38d3_94c2);
        assert_eq!(KeyHash::of(b"order-1"), KeyHash::of(b"order-1"));
    }

    #[test]
    fn partitions_are_the_top_bits_and_doubling_splits_each() {
        assert_eq!(bits(0).partition(KeyHash(u64::MAX)), Partition(0));
        assert_eq!(bits(1).partition(KeyHash(1 << 63)), Partition(1));
        assert_eq!(bits(12).partition(KeyHash(u64::MAX)), Partition(4095));
        for key in 0..1000_u32 {
            let hash = KeyHash::of(&key.to_le_bytes());
            for (now, before) in [(3, 3), (4, 3), (12, 0)] {
                let partition = bits(now).partition(hash);
                assert_eq!(partition.at(bits(now), bits(before)), Some(bits(before).partition(hash)));
            }
        }
        assert_eq!(Partition(1).at(bits(1), bits(2)), None);
        assert!(PartitionBits::new(13).is_err());
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 16];
        for key in 0..16_000 {
            counts[bits(4).partition(KeyHash::of(format!("order-{key}").as_bytes())).get() as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
