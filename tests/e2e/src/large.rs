//! A file of many megabytes, of a feed whose chunks are large enough that S3 joins their parts by itself.

use std::{fs, io, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::orders::Orders;
use tokio::sync::OnceCell;

use crate::command::{put_feed, root};

/// The file, and what is to come of it.
#[derive(Debug)]
pub struct Large {
    folder: TempDir,
    /// The output, to the byte.
    pub output: String,
}

/// How many records there are.
pub const ROWS: u64 = 250_000;
/// The feed's name.
pub const FEED: &str = "large";
/// S3 copies parts of at least five MiB.
const CHUNK_BYTES: u64 = 6 * 1024 * 1024;

static LARGE: OnceCell<Large> = OnceCell::const_new();

impl Large {
    /// The file, and its feed in force.
    pub async fn loaded() -> &'static Self {
        LARGE.get_or_init(async || Self::load()).await
    }

    fn load() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut orders = io::BufWriter::new(fs::File::create(folder.path().join("orders.csv")).unwrap());
        Orders::new(11, ROWS).unwrap().write(&mut orders, &mut io::sink()).unwrap();
        drop(orders);
        let descriptor = fs::read_to_string(root().join("examples/orders/feed.json")).unwrap();
        let mut feed: Value = serde_json::from_str(&descriptor).unwrap();
        let feed_of = feed.as_object_mut().unwrap();
        feed_of.insert("name".to_owned(), json!(FEED));
        feed_of.insert(
            "tieout".to_owned(),
            json!({ "chunk": { "bytes": CHUNK_BYTES }, "mail": { "to": ["finance@example.com"] } }),
        );
        put_feed(&feed);
        // Without enrichment a good record comes out as it went in, but for the line's end.
        let output = fs::read_to_string(folder.path().join("orders.csv")).unwrap().replace("\r\n", "\n");
        Self { folder, output }
    }

    /// The file under another name.
    pub fn named(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        fs::hard_link(self.folder.path().join("orders.csv"), &to).unwrap();
        to
    }
}
