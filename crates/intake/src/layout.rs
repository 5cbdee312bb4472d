//! Where everything lies: object keys, table keys and their patterns. Every key begins with the tenant.
//!
//! | bucket | key | what |
//! |---|---|---|
//! | input | `<tenant>/intake/<feed>/<file>` | an upload to a feed |
//! | input | `intake/<feed>/<file>` | the same, for the tenant `default` |
//! | input | `input/<file>` | an upload to the feed `default` of the tenant `default` |
//! | work | `<tenant>/runs/<run>/…` | ranges, parts and their manifests; expires by lifecycle rule |
//! | data | `<tenant>/runs/<run>/end.json` | how the run ended: the commit |
//! | data | `<tenant>/runs/<run>/output/…` | what it names: output, rejects, report |
//! | data | `<tenant>/archive/<feed>/<run>/<file>` | the input, once its run is published |

pub use storage::names::{DEFAULT_TENANT, is_name, is_tenant};

use crate::messages::RunId;

/// The feed of files dropped straight into `input/`.
pub const DEFAULT_FEED: &str = "default";

/// The longest path below a feed's folder, in bytes. The archive's key is the longest that is made of it, and S3 takes
/// 1,024 bytes.
pub const FILE_BYTES_MAX: usize = 800;

/// What a key of the input bucket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputKey<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The feed.
    pub feed: &'a str,
    /// The path below the feed's folder.
    pub file: &'a str,
}

impl<'a> InputKey<'a> {
    /// Reads a key; `None` for folders, for what lies in no feed's folder, and for keys with control characters, which
    /// neither mails nor headers nor listings can carry.
    pub fn parse(key: &'a str) -> Option<Self> {
        if key.ends_with('/') || key.contains(char::is_control) {
            return None;
        }
        if let Some(file) = key.strip_prefix("input/") {
            return Some(Self { tenant: DEFAULT_TENANT, feed: DEFAULT_FEED, file });
        }
        let (tenant, rest) = match key.strip_prefix("intake/") {
            Some(rest) => (DEFAULT_TENANT, rest),
            None => key.split_once("/intake/")?,
        };
        let (feed, file) = rest.split_once('/')?;
        (is_tenant(tenant) && is_name(feed) && !file.is_empty()).then_some(Self { tenant, feed, file })
    }

    /// The last component of the path: what outputs are named after.
    pub fn file_name(&self) -> &'a str {
        self.file.rsplit('/').next().unwrap_or(self.file)
    }
}

/// The key under which `file` is uploaded to a feed.
pub fn upload_key(tenant: &str, feed: &str, file: &str) -> String {
    format!("{tenant}/intake/{feed}/{file}")
}

/// The folder of a run, in the work bucket and in the data bucket alike, without a final slash.
pub fn run_folder(run: &RunId) -> String {
    format!("{}/runs/{run}", run.tenant())
}

/// Whether a key of the data bucket, without its tenant, is of what a run has published, or begins such keys.
pub fn is_published(key: &str) -> bool {
    let mut parts = key.split('/');
    parts.next() == Some("runs") && parts.nth(1) == Some("output")
}

/// Where the input of a published run is kept, in the data bucket.
pub fn archive_key(run: &RunId, feed: &str, file: &str) -> String {
    format!("{}/archive/{feed}/{run}/{file}", run.tenant())
}

/// The partition of a run's rows in the `runs` and `rejects` tables.
pub fn run_partition(run: &RunId) -> String {
    format!("{}#{run}", run.tenant())
}

/// The partition of a tenant's feeds in the `feeds` table; the sort key is the feed's name.
pub fn feeds_partition(tenant: &str) -> String {
    format!("{tenant}#feeds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_tenant_feed_and_file() {
        for (key, tenant, feed, file) in [
            ("acme/intake/payments/2026/file.csv", "acme", "payments", "2026/file.csv"),
            ("intake/payments/file.csv", DEFAULT_TENANT, "payments", "file.csv"),
            ("input/a b, ü+%.csv", DEFAULT_TENANT, DEFAULT_FEED, "a b, ü+%.csv"),
        ] {
            assert_eq!(InputKey::parse(key), Some(InputKey { tenant, feed, file }), "{key}");
        }
    }

    #[test]
    fn folders_and_what_lies_in_none_are_no_input() {
        for key in ["", "input", "input/", "intake/file.csv", "intake/payments/", "Acme/intake/payments/f", "x/input/f"]
        {
            assert_eq!(InputKey::parse(key), None, "{key}");
        }
    }

    #[test]
    fn what_a_run_has_published_is_known_by_its_key() {
        assert!(is_published("runs/r/output/0/a.csv") && is_published("runs/r/output/"));
        for other in ["runs/r", "runs/r/outputs/a.csv", "archive/orders/r/a.csv", "files/runs/r/output/a.csv", ""] {
            assert!(!is_published(other), "{other}");
        }
    }

    #[test]
    fn keys_with_control_characters_are_no_input() {
        for control in ['\0', '\u{1}', '\t', '\n', '\r', '\u{7f}', '\u{85}'] {
            for key in [format!("input/a{control}b.csv"), format!("intake/payments/{control}")] {
                assert_eq!(InputKey::parse(&key), None, "{key:?}");
            }
        }
    }
}
