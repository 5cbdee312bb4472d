//! Where a version of an artifact is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::ByteRange;

use crate::sequence::BatchSequence;

/// Where a version of an artifact is, and which one it is: what the index holds for each artifact, and what each version
/// holds of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// The part-file's key in the data bucket.
    pub file: String,
    /// Where the version's line begins, in bytes.
    pub offset: u64,
    /// The line's length in bytes, its line feed not counted.
    pub length: u64,
    /// The version's sequence: its `applied_through`.
    pub sequence: BatchSequence,
}

impl IndexEntry {
    /// Where to read the version's line.
    pub const fn range(&self) -> ByteRange {
        ByteRange::new(self.offset, self.offset.saturating_add(self.length))
    }
}
