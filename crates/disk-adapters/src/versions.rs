//! The versions of one object: files in the folder of its key.
//!
//! `@<16 hex digits>` holds the bytes of a version; with `.deleted` behind it is a delete marker, with `.json` behind it
//! holds the version's metadata, where it has any. The digits are nanoseconds since 1970, or one more than those of the
//! version before: so they tell both order and time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use storage::ObjectInfo;

use crate::paths::VERSION;

const DELETED: &str = ".deleted";
const METADATA: &str = ".json";

/// A version's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

impl Number {
    /// The number after `last`, now.
    pub(crate) fn next(last: Option<Self>) -> Self {
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default();
        Self(last.map_or(now, |Self(last)| now.max(last.saturating_add(1))))
    }

    /// Reads what [`text`](Self::text) wrote. `None` where it did not.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let number = (text.len() == 16 && text.bytes().all(hex)).then(|| u64::from_str_radix(text, 16))?;
        number.ok().map(Self)
    }

    /// As the port says it.
    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    pub(crate) fn written(self) -> Timestamp {
        Timestamp::from_nanosecond(self.0.into()).unwrap_or(Timestamp::MAX)
    }
}

/// What stands in the folder of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) number: Number,
    pub(crate) is_deleted: bool,
}

impl Version {
    fn of_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(VERSION)?;
        let (text, is_deleted) = match rest.strip_suffix(DELETED) {
            Some(text) => (text, true),
            None => (rest, false),
        };
        Some(Self { number: Number::parse(text)?, is_deleted })
    }
}

/// The versions in a folder, in no order. A folder that is not there has none.
pub(crate) fn all(folder: &Path) -> io::Result<Vec<Version>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut versions = Vec::new();
    for entry in entries {
        versions.extend(entry?.file_name().to_str().and_then(Version::of_name));
    }
    Ok(versions)
}

/// The newest version in a folder, be it a delete marker.
pub(crate) fn latest(folder: &Path) -> io::Result<Option<Version>> {
    Ok(all(folder)?.into_iter().max())
}

/// The file with a version's bytes.
pub(crate) fn file(folder: &Path, number: Number) -> PathBuf {
    named(folder, number, "")
}

fn named(folder: &Path, number: Number, suffix: &str) -> PathBuf {
    folder.join(format!("{VERSION}{}{suffix}", number.text()))
}

/// What is known of a version.
pub(crate) fn info(folder: &Path, number: Number) -> io::Result<ObjectInfo> {
    let bytes = fs::metadata(file(folder, number))?.len();
    let metadata = match fs::read(named(folder, number, METADATA)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        text => serde_json::from_slice(&text?)?,
    };
    Ok(described(bytes, number, metadata))
}

/// A version's tag is the version: equal tags mean equal bytes, which is all that S3 promises too.
pub(crate) fn described(bytes: u64, number: Number, metadata: BTreeMap<String, String>) -> ObjectInfo {
    let (etag, version, modified) = (number.text(), Some(number.text()), number.written());
    ObjectInfo { bytes, etag, version, modified, metadata }
}

/// Makes a file the version of this number.
pub(crate) fn add(folder: &Path, number: Number, from: &Path, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    if !metadata.is_empty() {
        fs::create_dir_all(folder)?;
        fs::write(named(folder, number, METADATA), serde_json::to_vec(metadata)?)?;
    }
    let to = file(folder, number);
    match fs::rename(from, &to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            fs::rename(from, &to)
        }
        done => done,
    }
}

/// Hides what stands in the folder.
pub(crate) fn hide(folder: &Path, number: Number) -> io::Result<()> {
    fs::write(named(folder, number, DELETED), [])
}

/// Removes a version, or a delete marker, if it is there.
pub(crate) fn remove(folder: &Path, number: Number) -> io::Result<()> {
    for suffix in ["", METADATA, DELETED] {
        match fs::remove_file(named(folder, number, suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}
