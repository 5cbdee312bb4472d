//! Keys as paths, and back.
//!
//! Each segment of a key is a folder. What a file system might take for something else is written `%xx`: separators, dots
//! alone, and upper case and other alphabets too, which some file systems do not tell apart. An empty segment is `%-`. A
//! name that would be too long goes on in the folder inside, and ends in `%`.
//!
//! Nothing of a key begins with `@`: those names are for the versions, which stand in the folder of their key's last
//! segment.

use std::path::PathBuf;

/// What the names of versions begin with.
pub(crate) const VERSION: char = '@';

const EMPTY: &str = "%-";
/// File systems allow 255 bytes.
const NAME_BYTES_MAX: usize = 240;

/// The path of a key, from the folder of its bucket.
pub(crate) fn path(key: &str) -> PathBuf {
    key.split('/').flat_map(names).collect()
}

/// The names of one segment's folders: one, but for very long segments.
fn names(segment: &str) -> Vec<String> {
    if segment.is_empty() {
        return vec![EMPTY.to_owned()];
    }
    let only_dots = segment.bytes().all(|byte| byte == b'.');
    let (mut names, mut name) = (Vec::new(), String::new());
    for byte in segment.bytes() {
        if name.len() >= NAME_BYTES_MAX {
            name.push('%');
            names.push(std::mem::take(&mut name));
        }
        match byte {
            b'.' if only_dots => name.push_str("%2e"),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'=' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    names.push(name);
    names
}

/// A key that is read off the folders that lead to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    bytes: Vec<u8>,
    /// Whether the last name goes on in the folder inside; before the first it does.
    open: bool,
}

impl Trail {
    /// That of a bucket's folder.
    pub(crate) fn start() -> Self {
        Self { bytes: Vec::new(), open: true }
    }

    /// The trail of the folder `name` inside this one's. `None` where the name is none of ours.
    pub(crate) fn enter(&self, name: &str) -> Option<Self> {
        let mut bytes = self.bytes.clone();
        if !self.open {
            bytes.push(b'/');
        }
        if name == EMPTY {
            return Some(Self { bytes, open: false });
        }
        let (mut rest, open) = match name.strip_suffix('%') {
            Some(name) => (name, true),
            None => (name, false),
        };
        while let Some(letter) = rest.chars().next() {
            let cut = match letter {
                '%' => {
                    let hex = rest.get(1..3)?;
                    bytes.push(u8::from_str_radix(hex, 16).ok()?);
                    3
                }
                letter => {
                    bytes.push(u8::try_from(letter).ok()?);
                    1
                }
            };
            rest = rest.get(cut..)?;
        }
        Some(Self { bytes, open })
    }

    /// Whether keys below this folder, or its own, can begin with `prefix`.
    pub(crate) fn may_lead_to(&self, prefix: &str) -> bool {
        self.bytes.iter().zip(prefix.as_bytes()).all(|(left, right)| left == right)
    }

    /// The key that ends here. `None` where none does.
    pub(crate) fn key(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|_| !self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &std::path::Path) -> Option<String> {
        let names = path.iter().map(|name| name.to_str().unwrap());
        let trail = names.fold(Trail::start(), |trail, name| trail.enter(name).unwrap());
        trail.key().map(str::to_owned)
    }

    #[test]
    fn plain_keys_are_plain_paths() {
        assert_eq!(path("default/ledgers/job=000000000001/part-0.jsonl").to_str().unwrap(), {
            "default/ledgers/job=000000000001/part-0.jsonl"
        });
        assert_eq!(path("a/../B//@x%").to_str().unwrap(), "a/%2e%2e/%42/%-/%40x%25");
    }

    #[test]
    fn keys_are_read_off_their_paths_and_stay_apart() {
        let long = ["x".repeat(1024), "é".repeat(512), "x".repeat(NAME_BYTES_MAX), "x".repeat(NAME_BYTES_MAX + 1)];
        let odd =
            ["a", "/", "//", "a/", "/a", "a//b", ".", "..", "a.b", "%", "%-", "%2e", "@1", "日本", "A", " ", "\0"];
        let keys: Vec<String> = odd.map(str::to_owned).into_iter().chain(long).collect();
        let paths: std::collections::HashSet<_> = keys.iter().map(|key| path(key)).collect();
        assert_eq!(paths.len(), keys.len());
        for key_before in keys {
            let path = path(&key_before);
            assert!(path.iter().all(|name| name.len() <= 255 && !name.to_str().unwrap().starts_with(VERSION)));
            assert_eq!(key(&path), Some(key_before));
        }
    }

    #[test]
    fn names_of_others_are_no_keys() {
        for name in ["%", "%zz", "%4", "é"] {
            assert!(Trail::start().enter(name).and_then(|trail| trail.key().map(str::to_owned)).is_none(), "{name}");
        }
        assert!(Trail::start().enter("%ff").unwrap().key().is_none());
    }

    #[test]
    fn a_prefix_is_looked_for_where_it_can_be() {
        let trail = Trail::start().enter("ab").unwrap();
        assert!(trail.may_lead_to("a") && trail.may_lead_to("ab/c") && trail.may_lead_to(""));
        assert!(!trail.may_lead_to("b"));
    }
}
