//! Keys of rows: bytes whose order is that of `pk`, then `sk`.
//!
//! Those of `pk`, and in tables that have one two zeros and those of `sk`. A zero in `pk` is followed by `ff`, so that it
//! is not taken for the end.

use std::borrow::Cow;

use memchr::memchr;
use storage::Key;

const END: [u8; 2] = [0, 0];
const ZERO: [u8; 2] = [0, 0xff];

/// The key of an item's row.
pub(crate) fn of(key: &Key) -> Cow<'_, [u8]> {
    match &key.sort {
        None => escaped(&key.partition),
        Some(sort) => Cow::Owned(sorted(&key.partition, sort)),
    }
}

/// The key of the first row, at the earliest, of the items of `partition` whose sort keys begin with `sort_prefix`.
pub(crate) fn first(partition: &str, sort_prefix: &str) -> Vec<u8> {
    match sort_prefix {
        "" => escaped(partition).into_owned(),
        prefix => sorted(partition, prefix),
    }
}

/// The item's key; `None` where it is none of ours.
pub(crate) fn parse(bytes: &[u8]) -> Option<Key> {
    let (mut partition, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    let sort = loop {
        let Some(zero) = memchr(0, rest) else {
            partition.extend_from_slice(rest);
            break None;
        };
        let (before, behind) = rest.split_at_checked(zero)?;
        let (mark, behind) = behind.split_at_checked(2)?;
        partition.extend_from_slice(before);
        rest = behind;
        match <[u8; 2]>::try_from(mark).ok()? {
            ZERO => partition.push(0),
            END => break Some(String::from_utf8(rest.to_vec()).ok()?),
            _ => return None,
        }
    };
    Some(Key { partition: String::from_utf8(partition).ok()?, sort })
}

fn sorted(partition: &str, sort: &str) -> Vec<u8> {
    [&*escaped(partition), &END, sort.as_bytes()].concat()
}

fn escaped(partition: &str) -> Cow<'_, [u8]> {
    let bytes = partition.as_bytes();
    if memchr(0, bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(partition.split('\0').map(str::as_bytes).collect::<Vec<_>>().join(&ZERO[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_are_in_order() {
        let mut keys = vec![Key::of("a"), Key::of("a\0"), Key::of("a\0\0b"), Key::of("né")];
        for partition in ["a", "a\0", "a\0b", "ab", "né"] {
            keys.extend(["\0", "b", "ba"].map(|sort| Key::sorted(partition, sort)));
        }
        for key in &keys {
            assert_eq!(parse(&of(key)).as_ref(), Some(key));
            let first = first(&key.partition, key.sort.as_deref().unwrap_or_default());
            assert!(first.as_slice() <= &*of(key));
            for other in keys.iter().filter(|other| other.sort.is_some() == key.sort.is_some()) {
                assert_eq!(of(key).cmp(&of(other)), key.cmp(other), "{key:?} {other:?}");
            }
        }
        for bad in [&b"a\0"[..], b"a\0\x01b", b"\xff", b"a\0\0\xff"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
