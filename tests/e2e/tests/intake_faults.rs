//! Files through the deployed template while things break. Apart from the other tests: what breaks here is theirs too.

use std::{fs, time::Duration};

use e2e::{
    command::{kill_worker, root, tieout},
    example::{Example, ROWS, dollars, sum},
};
use serde_json::{Value, json};

/// A file of many chunks, while its workers are killed: Step Functions runs them again.
#[tokio::test]
async fn workers_that_are_killed_are_replaced_and_nothing_is_lost() {
    let example = Example::loaded().await;
    let descriptor = fs::read_to_string(root().join("examples/orders/feed.json")).unwrap();
    let mut feed: Value = serde_json::from_str(&descriptor).unwrap();
    feed["name"] = json!("killed");
    feed["tieout"]["chunk"] = json!({ "records": 250 });
    let path = example.folder.path().join("killed.json");
    fs::write(&path, feed.to_string()).unwrap();
    tieout(&["feed", "put", path.to_str().unwrap()]).well();

    let file = example.orders("killed.csv");
    let killing = tokio::task::spawn_blocking(|| {
        let mut killed = 0;
        // Few enough that no chunk can lose all its three attempts but by malice.
        for _ in 0..100 {
            killed += usize::from(kill_worker("tieout-chunk-processor"));
            if killed == 4 {
                break;
            }
            std::thread::sleep(Duration::from_millis(150));
        }
        killed
    });
    let run = tokio::task::spawn_blocking(move || {
        tieout(&["submit", "killed", file.to_str().unwrap(), "--wait", "--json"]).well().json()
    })
    .await
    .unwrap();
    assert!(killing.await.unwrap() > 0, "no worker was killed");
    assert_eq!(run["records_out"].as_u64(), Some(ROWS));
    assert_eq!(sum(&run, "Total Revenue"), dollars(example.totals.revenue_cents));
}
