//! The example feed on the local stack, with ten thousand generated orders.

use std::{fs, path::PathBuf};

use money::{Amount, ControlTotals};
use serde_json::Value;
use tempfile::TempDir;
use tests::orders::{Orders, Totals};
use tokio::sync::OnceCell;

use crate::command::tieout;

/// The orders that the tests send, and their reference rows, loaded once.
#[derive(Debug)]
pub struct Example {
    /// A folder for a test's own files.
    pub folder: TempDir,
    /// What the orders add up to.
    pub totals: Totals,
}

static EXAMPLE: OnceCell<Example> = OnceCell::const_new();
/// How many orders there are.
pub const ROWS: u64 = 10_000;

impl Example {
    /// The example, on the stack.
    pub async fn loaded() -> &'static Self {
        EXAMPLE.get_or_init(async || Self::load()).await
    }

    fn load() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| std::io::BufWriter::new(fs::File::create(folder.path().join(name)).unwrap());
        let totals = Orders::new(7, ROWS).unwrap().write(&mut file("orders.csv"), &mut file("financials.csv")).unwrap();
        let financials = folder.path().join("financials.csv");
        tieout(&["reference", "load", "financials", financials.to_str().unwrap(), "--key", "uuid"]).well();
        // The sample's rows too: a load adds to a table.
        tieout(&["reference", "load", "financials", "examples/orders/financials.csv", "--key", "uuid"]).well();
        tieout(&["feed", "put", "examples/orders/feed.json"]).well();
        Self { folder, totals }
    }

    /// The orders under another name, so that no two tests upload the same key.
    pub fn orders(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        fs::copy(self.folder.path().join("orders.csv"), &to).unwrap();
        to
    }
}

/// An amount of dollars.
pub fn dollars(cents: i128) -> Amount {
    Amount::new(cents, 2).unwrap()
}

/// The sum of a column in a run's control totals.
pub fn sum(run: &Value, column: &str) -> Amount {
    let totals: ControlTotals = serde_json::from_value(run.get("totals").unwrap().clone()).unwrap();
    totals.entries().find(|entry| entry.column == column).unwrap().total.sum
}
