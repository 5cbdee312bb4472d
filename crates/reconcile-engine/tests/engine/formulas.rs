//! Texts that a spreadsheet would run.

use std::collections::BTreeMap;

use reconcile::{Job, report::Outcome, task::TaskFormat};
use serde_json::json;

use crate::kit::{World, small};

/// The same texts as in `spark/tests/test_files.py`: the engines write the same cells.
#[tokio::test(flavor = "multi_thread")]
async fn formulas_are_guarded_where_an_output_says_so() {
    let output = |name: &str, guard: bool| json!({"name": name, "from": "in", "format": "csv", "formulaGuard": guard});
    let columns = json!([{"name": "text", "type": "text"}, {"name": "net", "type": "decimal(2)"}]);
    let job = json!({
        "version": 1,
        "inputs": {"in": {"format": "jsonLines", "objects": ["x"], "columns": columns}},
        "outputs": [output("guarded", true), output("plain", false)],
    });
    let plan = Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan;
    let pairs = [
        ("=1+1", "'=1+1"),
        ("@SUM(A1),2", "\"'@SUM(A1),2\""),
        ("\ttab", "'\ttab"),
        ("\rcr", "\"'\rcr\""),
        ("+49 30 1234", "'+49 30 1234"),
        ("'=1", "''=1"),
        ("-", "'-"),
        ("-12.50", "-12.50"),
        ("'-12.50", "'-12.50"),
        ("+.5", "+.5"),
        ("-5.\n", "\"'-5.\n\""),
        ("a=1", "a=1"),
        ("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
        ("-170141183460469231731687303715884105729", "'-170141183460469231731687303715884105729"),
        ("+170141183460469231731687303715884105728", "'+170141183460469231731687303715884105728"),
        ("-0.00000000000000000000001", "'-0.00000000000000000000001"),
    ];
    let line = |text: &str| format!("{}\n", json!({"text": text, "net": "-0.05"}));
    let mut world = World::new();
    world.put("in", TaskFormat::JsonLines, None, pairs.map(|(text, _)| line(text)).concat()).await;
    let Outcome::Done(figures) = world.run(&plan, &small()).await.unwrap().outcome else { panic!("it failed") };
    let written = String::from_utf8(world.read(&figures, "guarded").await).unwrap();
    assert_eq!(written, pairs.map(|(_, cell)| format!("{cell},-0.05\r\n")).concat());
    let plain = String::from_utf8(world.read(&figures, "plain").await).unwrap();
    assert!(plain.starts_with("=1+1,-0.05\r\n"), "{plain}");
}
