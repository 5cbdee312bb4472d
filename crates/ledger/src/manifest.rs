//! A batch's manifest: what closes an interval.
//!
//! `batches/<ledger>/<batch>/manifest.json` is written last, after the objects that it names. It says what time the
//! batch covers, which objects hold its events, and what they add up to. Its JSON Schema is published as
//! `docs/batch-manifest.schema.json`.

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use money::ControlTotals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::names::{DEFAULT_TENANT, is_name, is_tenant};

use crate::Interval;

/// The most objects in a batch.
pub const OBJECTS_MAX: usize = 1_000;
/// The most bytes of a batch's objects together: job-splitter reads all of them within one invocation.
pub const BATCH_BYTES_MAX: u64 = 256 << 30;
/// The longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// A ledger of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerId {
    /// The tenant.
    pub tenant: String,
    /// The ledger's name.
    pub ledger: String,
}

impl LedgerId {
    /// The ledger of that name, if both names are names.
    pub fn new(tenant: &str, ledger: &str) -> Option<Self> {
        (is_tenant(tenant) && is_name(ledger)).then(|| Self { tenant: tenant.to_owned(), ledger: ledger.to_owned() })
    }
}

/// `<tenant>/<ledger>`.
impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.ledger)
    }
}

/// What the key of a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestKey {
    /// The ledger.
    pub ledger: LedgerId,
    /// The batch's name, the sender's own.
    pub batch: String,
    /// The folder that it stands in, with a final slash.
    folder: String,
}

impl ManifestKey {
    /// Where the manifest of a batch is uploaded: `<tenant>/batches/<ledger>/<batch>/manifest.json`.
    pub fn new(ledger: LedgerId, batch: impl Into<String>) -> Self {
        let batch = batch.into();
        let folder = format!("{}/batches/{}/{batch}/", ledger.tenant, ledger.ledger);
        Self { ledger, batch, folder }
    }

    /// Reads `<tenant>/batches/<ledger>/<batch>/manifest.json`, or the same without the tenant for the tenant
    /// `default`; `None` for every other key.
    pub fn parse(key: &str) -> Option<Self> {
        let (tenant, rest) = match key.strip_prefix("batches/") {
            Some(rest) => (DEFAULT_TENANT, rest),
            None => key.split_once("/batches/")?,
        };
        let (ledger, batch) = rest.strip_suffix("/manifest.json")?.split_once('/')?;
        let ledger = LedgerId::new(tenant, ledger)?;
        let folder = key.strip_suffix("manifest.json")?.to_owned();
        is_name(batch).then(|| Self { ledger, batch: batch.to_owned(), folder })
    }

    /// The key of the manifest.
    pub fn key(&self) -> String {
        format!("{}manifest.json", self.folder)
    }

    /// The folder of the batch, with a final slash.
    pub fn folder(&self) -> &str {
        &self.folder
    }
}

/// The manifest of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "tieout batch manifest")]
pub struct BatchManifest {
    /// The source (business entity) whose events these are; one that the ledger declares.
    pub source: String,
    /// The time that the batch covers. Of one source, only corrections may overlap others.
    pub interval: Interval,
    /// The objects that hold the events, in order. None closes a quiet interval.
    #[serde(default)]
    pub objects: Vec<BatchObject>,
    /// What all events together add up to: the sender's own count and sums.
    pub totals: ControlTotals,
    /// Present on a batch of late or corrected events for intervals that are closed already: why it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<String>,
    /// The refused or skipped batch in whose place this one stands, for the same source and interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Present where an object's content is that of an earlier batch, and its events are to count once more: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// An object of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchObject {
    /// Its key, in the manifest's bucket: a name in the manifest's folder, or a whole key that begins with the tenant.
    pub key: String,
    /// How many records it holds.
    pub records: u64,
    /// SHA-256 of its bytes as they are uploaded, in 64 hexadecimal digits: what the ledger reads must be just these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Why a manifest cannot be taken.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or not this shape.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is longer than a manifest can be.
    #[error("it has {0} bytes: a manifest has at most {MANIFEST_BYTES_MAX}")]
    TooLong(u64),
    /// The source is no name.
    #[error("{0:?} is no name of a source: lower-case letters, digits, '-', '_' and '.'")]
    Source(String),
    /// More objects than a batch may have.
    #[error("it names {0} objects: a batch has at most {OBJECTS_MAX}")]
    Objects(usize),
    /// An object's key is outside the tenant's own.
    #[error("the object {0:?} lies neither in the manifest's folder nor under the tenant's own keys")]
    Outside(String),
    /// An object is named twice.
    #[error("the object {0:?} is named twice: its events would count twice")]
    Twice(String),
    /// A hash that is none.
    #[error("the SHA-256 of object {key:?} is {sha256:?}: expected 64 of the digits 0 to 9 and a to f")]
    Sha256 {
        /// The object, as the manifest names it.
        key: String,
        /// What stands there.
        sha256: String,
    },
    /// A correction or replacement without a usable text.
    #[error("{0} must say {1}")]
    Empty(&'static str, &'static str),
    /// A batch that replaces itself.
    #[error("it replaces itself: a corrected batch has a name of its own")]
    Itself,
    /// The objects' counts do not add up to the batch's.
    #[error("the objects have {objects} records by their own counts, the totals say {totals}")]
    Counts {
        /// The sum of the objects' counts.
        objects: u64,
        /// The count in the totals.
        totals: u64,
    },
    /// A sum over nothing that is not zero.
    #[error("it has no records, but its totals have figures: {0}")]
    FiguresOfNothing(String),
}

impl ManifestError {
    /// Whether the manifest can be read but does not tie out: such a batch is written down as refused.
    pub const fn is_of_totals(&self) -> bool {
        matches!(self, Self::Counts { .. } | Self::FiguresOfNothing(_))
    }
}

impl BatchManifest {
    /// Reads a manifest, without [`check`](Self::check)ing it.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        serde_json::from_slice(json).map_err(|error| ManifestError::Unreadable(error.to_string()))
    }

    /// Checks all that can be told without looking at the objects; totals last, so that
    /// [`is_of_totals`](ManifestError::is_of_totals) means that all else is well.
    pub fn check(&self, at: &ManifestKey) -> Result<(), ManifestError> {
        if !is_name(&self.source) {
            return Err(ManifestError::Source(self.source.clone()));
        }
        if self.correction.as_ref().is_some_and(|why| why.trim().is_empty()) {
            return Err(ManifestError::Empty("a correction", "why it was sent"));
        }
        if self.again.as_ref().is_some_and(|why| why.trim().is_empty()) {
            return Err(ManifestError::Empty("what is sent again", "why it is to count once more"));
        }
        if self.replaces.as_ref().is_some_and(|batch| !is_name(batch)) {
            return Err(ManifestError::Empty("a replacement", "which batch it replaces, by its name"));
        }
        if self.replaces.as_ref() == Some(&at.batch) {
            return Err(ManifestError::Itself);
        }
        self.check_objects(at)?;
        self.check_totals()
    }

    fn check_objects(&self, at: &ManifestKey) -> Result<(), ManifestError> {
        if self.objects.len() > OBJECTS_MAX {
            return Err(ManifestError::Objects(self.objects.len()));
        }
        let mut seen = BTreeSet::new();
        for object in &self.objects {
            let key = object.whole_key(at).ok_or_else(|| ManifestError::Outside(object.key.clone()))?;
            if !seen.insert(key) {
                return Err(ManifestError::Twice(object.key.clone()));
            }
            if let Some(sha256) = object.sha256.clone().filter(|sha256| !is_hash(sha256)) {
                return Err(ManifestError::Sha256 { key: object.key.clone(), sha256 });
            }
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<(), ManifestError> {
        let totals = self.totals.records();
        let objects = self.objects.iter().try_fold(0_u64, |sum, object| sum.checked_add(object.records));
        let objects = objects.unwrap_or(u64::MAX);
        if objects != totals {
            return Err(ManifestError::Counts { objects, totals });
        }
        if totals == 0
            && let Some(difference) = self.totals.differences(&ControlTotals::default()).first()
        {
            return Err(ManifestError::FiguresOfNothing(difference.to_string()));
        }
        Ok(())
    }

    /// The JSON Schema of the document.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(BatchManifest).to_value()
    }

    /// SHA-256 over what the manifest says, whatever its white space: two manifests with one digest are one batch.
    pub fn digest(&self) -> String {
        // Serialising these types cannot fail; an empty text would only make the digest differ from every other.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut hash = ContentHash::default();
        hash.update(&json);
        hash.finish()
    }
}

/// SHA-256 of bytes that go by.
#[derive(Debug, Clone, Default)]
pub struct ContentHash(Sha256);

impl ContentHash {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of them, in 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl BatchObject {
    /// Its whole key; `None` where that is none of the tenant's.
    pub fn whole_key(&self, at: &ManifestKey) -> Option<String> {
        let is_path = |path: &str| !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !self.key.contains('/') {
            return (is_path(&self.key) && self.key != "manifest.json").then(|| format!("{}{}", at.folder(), self.key));
        }
        let inside = self.key.strip_prefix(&at.ledger.tenant)?.strip_prefix('/')?;
        is_path(inside).then(|| self.key.clone())
    }
}

/// The manifest with everything pinned: what a job reads, whatever is uploaded over it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBatch {
    /// The batch's name.
    pub batch: String,
    /// The manifest.
    pub manifest: BatchManifest,
    /// The bucket of its objects.
    pub bucket: String,
    /// Its objects, in the manifest's order.
    pub objects: Vec<PinnedObject>,
    /// When it was pinned.
    pub pinned_at: Timestamp,
}

/// One version of an object of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedObject {
    /// Its whole key.
    pub key: String,
    /// Its version; absent only where the bucket keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The tag of its content. Reads ask for the version; where there is none, the tag is compared before and behind
    /// them.
    pub etag: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many records it holds, by the sender's count.
    pub records: u64,
    /// SHA-256 of its bytes, by the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key() -> ManifestKey {
        ManifestKey::parse("acme/batches/orders/2026-01-01/manifest.json").unwrap()
    }

    fn document() -> Value {
        json!({
            "source": "shop",
            "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
            "objects": [
                { "key": "part-1.csv", "records": 2 },
                { "key": "acme/runs/x/output/part-2.csv", "records": 1 },
            ],
            "totals": { "records": 3, "columns": [
                { "column": "net", "currency": "USD", "sum": "10.10", "amounts": 3, "unparsed": 0 },
            ] },
        })
    }

    fn checked(document: &Value) -> Result<BatchManifest, ManifestError> {
        let manifest = BatchManifest::parse(document.to_string().as_bytes())?;
        manifest.check(&key()).map(|()| manifest)
    }

    #[test]
    fn keys_name_tenant_ledger_and_batch() {
        assert_eq!(key().ledger, LedgerId::new("acme", "orders").unwrap());
        assert_eq!(key().key(), "acme/batches/orders/2026-01-01/manifest.json");
        let bare = ManifestKey::parse("batches/orders/b1/manifest.json").unwrap();
        assert_eq!(bare.ledger.tenant, "default");
        let object = BatchObject { key: "part-1.csv".to_owned(), records: 1, sha256: None };
        assert_eq!(object.whole_key(&bare).as_deref(), Some("batches/orders/b1/part-1.csv"), "beside its manifest");
        let made = ManifestKey::new(key().ledger, "2026-01-01");
        assert_eq!(made, key());
        for other in [
            "batches/orders/b1/part.csv",
            "batches/orders/manifest.json",
            "batches/orders/a/b/manifest.json",
            "ACME/batches/orders/b/manifest.json",
            "acme/batches/Orders/b/manifest.json",
            "a/b/batches/orders/b/manifest.json",
        ] {
            assert_eq!(ManifestKey::parse(other), None, "{other}");
        }
    }

    #[test]
    fn objects_are_named_in_the_folder_or_by_whole_key() {
        let manifest = checked(&document()).unwrap();
        let keys: Vec<_> = manifest.objects.iter().filter_map(|object| object.whole_key(&key())).collect();
        assert_eq!(keys, ["acme/batches/orders/2026-01-01/part-1.csv", "acme/runs/x/output/part-2.csv"]);
        for outside in ["other/runs/x", "acme2/x", "acme/../other/x", "acme//x", "/x", "..", "manifest.json", ""] {
            let mut document = document();
            document["objects"][0]["key"] = outside.into();
            assert_eq!(checked(&document), Err(ManifestError::Outside(outside.to_owned())), "{outside}");
        }
    }

    #[test]
    fn a_quiet_interval_is_closed_by_no_objects() {
        let mut quiet = document();
        quiet["objects"] = json!([]);
        quiet["totals"] = json!({ "records": 0 });
        assert!(checked(&quiet).is_ok());
        quiet["totals"] =
            json!({ "records": 0, "columns": [{ "column": "net", "sum": "1", "amounts": 1, "unparsed": 0 }] });
        assert!(checked(&quiet).unwrap_err().is_of_totals());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |path: &str, value: Value| {
            let mut document = document();
            *document.pointer_mut(path).unwrap() = value;
            checked(&document).unwrap_err().to_string()
        };
        assert_eq!(
            told("/objects/1/records", 5.into()),
            "the objects have 7 records by their own counts, the totals say 3"
        );
        assert_eq!(
            told("/objects/1/key", "part-1.csv".into()),
            "the object \"part-1.csv\" is named twice: its events would count twice"
        );
        assert_eq!(
            told("/source", "The Shop".into()),
            "\"The Shop\" is no name of a source: lower-case letters, digits, '-', '_' and '.'"
        );
        let backwards = told("/interval/to", "2025-01-01T00:00:00Z".into());
        assert!(backwards.contains("holds no instant"), "{backwards}");
        let mut document = document();
        document["replaces"] = "2026-01-01".into();
        assert_eq!(checked(&document), Err(ManifestError::Itself));
        document["replaces"] = "".into();
        document["correction"] = " ".into();
        assert_eq!(checked(&document).unwrap_err().to_string(), "a correction must say why it was sent");
        document["colour"] = "red".into();
        assert!(checked(&document).unwrap_err().to_string().contains("unknown field `colour`"));
        assert!(matches!(BatchManifest::parse(b"\xFF"), Err(ManifestError::Unreadable(_))));
    }

    #[test]
    fn the_digest_is_of_what_is_said() {
        let spaced = serde_json::to_string_pretty(&document()).unwrap();
        let manifest = BatchManifest::parse(spaced.as_bytes()).unwrap();
        assert_eq!(manifest.digest(), checked(&document()).unwrap().digest());
        let mut other = document();
        other["totals"]["columns"][0]["sum"] = "10.11".into();
        assert_ne!(manifest.digest(), checked(&other).unwrap().digest());
    }
}
