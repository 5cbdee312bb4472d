//! Operations over hundreds of columns and of tables, in much memory and in little.

use std::{collections::BTreeMap, time::Duration};

use reconcile::{Job, Type, Value, plan::Plan};
use reconcile_engine::Limits;
use serde_json::{Value as Json, json};

use crate::kit::{Data, Lies, compared};

fn planned(inputs: &BTreeMap<String, Data>, steps: &Json, output: &str) -> Plan {
    let input = |(name, data): (&String, &Data)| {
        let column = |(name, kind): &(String, Type)| json!({"name": name, "type": kind});
        let columns: Vec<Json> = data.columns.iter().map(column).collect();
        (name.clone(), json!({"format": "jsonLines", "objects": ["x"], "columns": columns}))
    };
    let inputs: serde_json::Map<String, Json> = inputs.iter().map(input).collect();
    let job = json!({"version": 1, "inputs": inputs, "steps": steps,
        "outputs": [{"name": "out", "from": output, "format": "csv"}]});
    Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan
}

/// The largest function, and one of the smallest.
async fn same_in_much_and_in_little(inputs: &BTreeMap<String, Data>, steps: &Json, output: &str) {
    let plan = planned(inputs, steps, output);
    for memory_bytes in [10 << 30, 256 << 20] {
        let limits = Limits { threads: 6, time: Some(Duration::from_secs(240)), ..Limits::new(memory_bytes, 1 << 30) };
        let figures = compared(&plan, inputs, Lies::Csv, &limits).await;
        figures.unwrap_or_else(|problem| panic!("{memory_bytes} bytes: {problem:.2000}")).unwrap();
    }
}

/// A wide table of texts and amounts, some of them blank.
fn wide(columns: usize, rows: usize) -> BTreeMap<String, Data> {
    let months = (0..columns).map(|month| (format!("m{month:03}"), Type::Decimal(2)));
    let columns: Vec<(String, Type)> = std::iter::once(("account".to_owned(), Type::Text)).chain(months).collect();
    let cell = |row: usize, column: usize| match (row * 7 + column * 3) % 11 {
        0 => Value::Blank,
        units => Value::Decimal(units as i128 * 1_000 - 5_000),
    };
    let row = |row: usize| {
        let account = Value::text(format!("an account with a long name {}", row % 17));
        std::iter::once(account).chain((1..columns.len()).map(|column| cell(row, column))).collect()
    };
    let (one, two) = ((0..rows / 3).map(row).collect(), (rows / 3..rows).map(row).collect());
    BTreeMap::from([("a".to_owned(), Data { columns, objects: vec![one, two] })])
}

fn unpivot(columns: usize, blanks: &str) -> Json {
    let columns: Vec<String> = (0..columns).map(|month| format!("m{month:03}")).collect();
    json!({"name": "long", "operation": "unpivot", "from": "a", "columns": columns, "names": "month", "values": "net",
        "blanks": blanks})
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_columns_become_rows() {
    let inputs = wide(500, 60);
    same_in_much_and_in_little(&inputs, &json!([unpivot(500, "keep")]), "long").await;
    let sort =
        json!({"name": "sorted", "operation": "sort", "from": "long", "by": [{"column": "net"}, {"column": "month"}]});
    same_in_much_and_in_little(&inputs, &json!([unpivot(500, "drop"), sort]), "sorted").await;
    // The rows that are made of a row follow it wherever that goes.
    let sort = json!({"name": "first", "operation": "sort", "from": "a", "by": [{"column": "account", "order": "descending"}]});
    let mut last = unpivot(500, "keep");
    last["from"] = json!("first");
    same_in_much_and_in_little(&inputs, &json!([sort, last]), "long").await;
    let group = json!({"name": "groups", "operation": "groupBy", "from": "long", "by": ["account", "month"], "measures": [
        {"function": "sum", "column": "net", "as": "net"}, {"function": "count", "as": "rows"}]});
    same_in_much_and_in_little(&inputs, &json!([unpivot(500, "keep"), group]), "groups").await;
}

/// An input is read once for all of its columns, and makes no more rows at once than other operators do.
#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_rows_is_read_once() {
    let inputs = wide(120, 400);
    let plan = planned(&inputs, &json!([unpivot(120, "keep")]), "long");
    let reads = |plan: &Plan| serde_json::to_string(plan).unwrap().matches(r#""from":0"#).count();
    assert_eq!(reads(&plan), 1, "{plan:?}");
    let limits = Limits { threads: 2, ..Limits::new(64 << 20, 1 << 30) };
    let figures = compared(&plan, &inputs, Lies::Csv, &limits).await.unwrap().unwrap();
    assert_eq!((figures.inputs["a"].rows, figures.outputs[0].rows, figures.spilled_bytes), (400, 48_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_counted_of_columns_whose_cells_nobody_needs() {
    let inputs = wide(20, 30);
    let group = |by: Json| {
        json!({"name": "groups", "operation": "groupBy", "from": "long", "by": by,
            "measures": [{"function": "count", "as": "rows"}]})
    };
    for by in [json!([]), json!(["month"]), json!(["account"])] {
        same_in_much_and_in_little(&inputs, &json!([unpivot(20, "keep"), group(by)]), "groups").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_are_one_where_no_measure_is_needed() {
    let measures = json!([{"function": "sum", "column": "m001", "as": "sum"}, {"function": "count", "as": "rows"}]);
    let constant = |of: &str| json!({"name": "fixed", "operation": "constant", "from": of, "value": 1, "type": "integer", "as": "one"});
    let select = json!({"name": "out", "operation": "select", "from": "fixed", "columns": ["one"]});
    let group = json!({"name": "all", "operation": "groupBy", "from": "a", "by": [], "measures": measures});
    for rows in [0, 30] {
        same_in_much_and_in_little(&wide(3, rows), &json!([group, constant("all"), select]), "out").await;
    }
}

/// A step is planned once, and not once more for each that comes behind it.
#[tokio::test(flavor = "multi_thread")]
async fn forty_steps_remove_duplicates_of_one_another() {
    let step = |number: usize| {
        let from = if number == 0 { "a".to_owned() } else { format!("d{}", number - 1) };
        json!({"name": format!("d{number}"), "operation": "removeDuplicates", "from": from, "keep": "last",
            "columns": [format!("m{:03}", number % 3), "account"]})
    };
    same_in_much_and_in_little(&wide(3, 300), &json!((0..40).map(step).collect::<Vec<_>>()), "d39").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tables_stand_below_one_another() {
    let columns = vec![("id".to_owned(), Type::Integer), ("note".to_owned(), Type::Text)];
    let row = |number: i64| vec![Value::Integer(number % 13), Value::text(format!("a note of some length {number}"))];
    let table = |table: i64| {
        // A scan goes from object to object: it does not have all rows at once.
        let rows = |object: i64| (0..(table + object) % 4).map(|number| row(object * 7 + number)).collect();
        Data { columns: columns.clone(), objects: (0..40).map(rows).collect() }
    };
    let inputs: BTreeMap<String, Data> = (0..100).map(|number| (format!("t{number:02}"), table(number))).collect();
    let names: Vec<&String> = inputs.keys().rev().collect();
    let append = json!({"name": "all", "operation": "append", "tables": names, "source": "of"});
    same_in_much_and_in_little(&inputs, &json!([append]), "all").await;
    let sort = json!({"name": "sorted", "operation": "sort", "from": "all", "by": [{"column": "note"}]});
    same_in_much_and_in_little(&inputs, &json!([append, sort]), "sorted").await;
    // Each table is one partition, for it is sorted by itself.
    let total = |name: &String| json!({"name": format!("{name}-total"), "operation": "runningTotal", "from": name, "column": "id", "as": "total"});
    let mut steps: Vec<Json> = names.iter().map(|name| total(name)).collect();
    let totals: Vec<String> = names.iter().map(|name| format!("{name}-total")).collect();
    steps.push(json!({"name": "all", "operation": "append", "tables": totals}));
    same_in_much_and_in_little(&inputs, &json!(steps), "all").await;
}

/// A join has the columns of the side that it holds first: a filter is the last that could set them right.
#[tokio::test(flavor = "multi_thread")]
async fn columns_behind_a_filter_are_those_of_the_relation() {
    let columns = |amount: &str| vec![("ref".to_owned(), Type::Text), (amount.to_owned(), Type::Decimal(2))];
    let row = |number: i128, units: i128| vec![Value::text(format!("I{number}")), Value::Decimal(units)];
    for count in [4, 5_000] {
        let data = |amount: &str, times: i128| {
            let rows = |from: i128| (from..from + count / 2).map(|number| row(number, number * times)).collect();
            Data { columns: columns(amount), objects: vec![rows(0), rows(count / 2)] }
        };
        let inputs = BTreeMap::from([("inv".to_owned(), data("amount", 100)), ("bank".to_owned(), data("paid", 99))]);
        for join in ["inner", "left", "right", "full"] {
            for expect in ["manyToMany", "oneToOne"] {
                let join = json!({"name": "joined", "operation": "join", "join": join, "left": "inv", "right": "bank",
                    "on": [{"left": "ref", "right": "ref"}], "expect": expect});
                for with in
                    [json!({"column": "amount", "is": "notBlank"}), json!({"column": "paid", "is": ">", "value": 99})]
                {
                    let filter = json!({"name": "kept", "operation": "filter", "from": "joined", "where": with});
                    same_in_much_and_in_little(&inputs, &json!([join, filter]), "kept").await;
                }
            }
        }
        let found = json!({"name": "found", "operation": "vlookup", "from": "inv", "in": "bank", "notFound": "fail",
            "on": [{"left": "ref", "right": "ref"}], "columns": [{"column": "paid"}]});
        same_in_much_and_in_little(&inputs, &json!([found]), "found").await;
    }
}
