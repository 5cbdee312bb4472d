//! Where everything lies: object keys, table keys and their patterns. Every key begins with the tenant.
//!
//! | bucket | key | what |
//! |---|---|---|
//! | input | `<tenant>/intake/<feed>/<file>` | an upload to a feed |
//! | input | `intake/<feed>/<file>` | the same, for the tenant `default` |
//! | input | `input/<file>` | an upload to the feed `default` of the tenant `default` |
//! | work | `<tenant>/runs/<run>/…` | ranges, parts and their manifests; expires by lifecycle rule |
//! | data | `<tenant>/runs/<run>/…` | output, rejects, report, `published.json` |
//! | data | `<tenant>/archive/<feed>/<run>/<file>` | the input, once its run is published |

pub use storage::names::{DEFAULT_TENANT, is_name, is_tenant};

use crate::messages::RunId;

/// The feed of files dropped straight into `input/`.
pub const DEFAULT_FEED: &str = "default";

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
    /// Reads a key; `None` for folders and for what lies in no feed's folder.
    pub fn parse(key: &'a str) -> Option<Self> {
        if key.ends_with('/') {
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
