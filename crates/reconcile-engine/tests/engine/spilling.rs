//! In little room relations go to disk, and the cells are the same.

use std::collections::BTreeMap;

use reconcile::{Job, Type, Value, plan::Plan, report::Outcome};
use reconcile_engine::Limits;
use serde_json::{Value as Json, json};

use crate::kit::{Data, Lies, World};

const ROWS: i64 = 300_000;

/// Numbers that look random and are the same each time.
fn scattered(number: i64, below: i64) -> i64 {
    (number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33).rem_euclid(below)
}

fn data() -> BTreeMap<String, Data> {
    let columns = |names: [(&str, Type); 3]| names.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
    let row = |number: i64, shift: i64| {
        let key = scattered(number + shift, ROWS);
        let text = Value::text(format!("text that no view holds within itself {}", scattered(key, 5000)));
        let net =
            if number % 97 == 0 { Value::Blank } else { Value::Decimal(i128::from(scattered(number, 1_000_000))) };
        vec![Value::Integer(key), text, net]
    };
    let table = |shift: i64| (0..ROWS).map(|number| row(number, shift)).collect::<Vec<_>>();
    let names = [("id", Type::Integer), ("name", Type::Text), ("net", Type::Decimal(2))];
    BTreeMap::from([
        ("a".to_owned(), Data { columns: columns(names), objects: vec![table(0)] }),
        ("b".to_owned(), Data { columns: columns(names), objects: vec![table(7)] }),
    ])
}

fn plan(steps: &Json, outputs: &[&str]) -> Plan {
    let columns = json!([{"name": "id", "type": "integer"}, {"name": "name", "type": "text"}, {"name": "net", "type": "decimal(2)"}]);
    let input = json!({"format": "jsonLines", "objects": ["x"], "columns": columns});
    let outputs: Vec<Json> =
        outputs.iter().map(|from| json!({"name": from.replace('.', "-"), "from": from, "format": "csv"})).collect();
    let job = json!({"version": 1, "inputs": {"a": input, "b": input}, "steps": steps, "outputs": outputs});
    Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cells_are_the_same_in_little_room() {
    let on = json!([{"left": "id", "right": "id"}]);
    let mut world = World::new();
    for (name, data) in &data() {
        world.fill(name, data, Lies::Csv).await;
    }
    let mut attempt = 0;
    for (steps, output) in [
        (
            json!([{"name": "o", "operation": "vlookup", "from": "a", "in": "b", "on": on, "columns": [{"column": "net", "as": "n"}]}]),
            "o",
        ),
        (
            json!([{"name": "o", "operation": "join", "left": "a", "right": "b", "on": on, "join": "full", "expect": "manyToMany",
            "columns": [{"column": "name", "as": "other"}]}]),
            "o",
        ),
        (
            json!([{"name": "o", "operation": "sort", "from": "a", "by": [{"column": "name", "order": "descending"}]}]),
            "o",
        ),
        (
            json!([{"name": "o", "operation": "groupBy", "from": "a", "by": ["id", "name"], "measures": [
            {"function": "sum", "column": "net", "as": "s"}, {"function": "average", "column": "net", "as": "v"},
            {"function": "min", "column": "name", "as": "m"}, {"function": "count", "as": "c"}]}]),
            "o",
        ),
        (
            json!([{"name": "o", "operation": "match", "left": "a", "right": "b", "on": on,
            "amount": {"left": "net", "right": "net"}, "tolerance": {"absolute": 9_000}}]),
            "o.matched",
        ),
        (
            json!([{"name": "o", "operation": "runningTotal", "from": "a", "column": "net", "by": ["name"], "as": "t"}]),
            "o",
        ),
    ] {
        let plan = plan(&steps, &[output]);
        let (mut texts, mut spilled) = (Vec::new(), Vec::new());
        for memory_bytes in [1 << 30, 64 << 20] {
            let limits = Limits { threads: 2, ..Limits::new(memory_bytes, 1 << 30) };
            attempt += 1;
            let task = world.task(&plan, attempt);
            let run = reconcile_engine::run(&task, std::sync::Arc::clone(&world.objects), &limits).await;
            let report = run.unwrap_or_else(|error| panic!("{steps}: {}", error_class::chain(&error)));
            let Outcome::Done(figures) = report.outcome else { panic!("{steps}: {report:?}") };
            texts.push(world.read(&figures, &output.replace('.', "-")).await);
            spilled.push(figures.spilled_bytes);
        }
        // What several steps read is kept on disk in any case.
        assert!(spilled[0] < spilled[1], "{steps}: {spilled:?}");
        assert!(texts[0] == texts[1] && texts[0].len() > 100_000, "{steps}");
    }
}
