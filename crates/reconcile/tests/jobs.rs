//! Whole jobs: how they are refused, in which order they run, and what their plans hold.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use std::collections::BTreeMap;

use reconcile::{
    InputColumn, Job, PlanError, Type, Value,
    cases::CaseTable,
    plan::Plan,
    reference::{Arrival, InputRows, OutputRows, run},
};
use serde_json::{Value as Json, json};

fn job(steps: Json, outputs: &[(&str, &str)]) -> Json {
    let outputs: Vec<Json> =
        outputs.iter().map(|(name, from)| json!({"name": name, "from": from, "format": "csv"})).collect();
    let columns = json!([{"name": "k", "type": "text"}, {"name": "v", "type": "decimal(2)"}]);
    let input = |object: &str| json!({"format": "jsonLines", "objects": [object], "columns": columns});
    json!({"version": 1, "inputs": {"a": input("a"), "b": input("b")}, "steps": steps, "outputs": outputs})
}

fn planned(job: &Json) -> Result<reconcile::Planned, PlanError> {
    Job::from_json(&job.to_string())?.plan(&BTreeMap::new())
}

fn refusal(job: &Json) -> String {
    planned(job).unwrap_err().to_string()
}

fn rows(header: &'static str, rows: &'static [&'static str]) -> OutputRows {
    CaseTable { header, rows }.read().unwrap()
}

/// Runs a job on two small inputs, in every order of arrival.
fn outcome(job: &Json) -> BTreeMap<String, OutputRows> {
    let header = "k: text | v: decimal(2)";
    let a = rows(header, &["x | 3.00", "y | 1.00", " | 2.00"]).rows;
    let b = rows(header, &["y | 5.00", "x | 4.00", "x | 6.00", "z | "]).rows;
    // The rows of b lie in two objects.
    let (one, two) = b.split_at(2);
    let columns = vec!["k".to_owned(), "v".to_owned()];
    let inputs = BTreeMap::from([
        ("a".to_owned(), InputRows { columns: columns.clone(), objects: vec![a] }),
        ("b".to_owned(), InputRows { columns: columns.clone(), objects: vec![one.to_vec(), two.to_vec()] }),
    ]);
    let plan = planned(job).unwrap().plan;
    let plan = Plan::from_json(&serde_json::to_string(&plan).unwrap()).unwrap();
    let [first, rest @ ..] = [Arrival::Forwards, Arrival::Backwards, Arrival::Scattered]
        .map(|arrival| run(&plan, &inputs, arrival).unwrap());
    rest.iter().for_each(|other| assert_eq!(*other, first));
    first
}

/// A ledger beside `b`; `a` has other columns.
fn of_ledger(columns: &Json, outputs: &[(&str, &str)]) -> Json {
    let mut job = job(json!([]), outputs);
    *job.pointer_mut("/inputs/a").unwrap() = json!({"format": "ledger", "ledger": "orders", "columns": columns});
    job
}

#[test]
fn a_ledger_is_its_artifacts_latest_versions_in_the_order_of_their_keys() {
    let columns = json!([{"name": "measures.net", "type": "decimal(2)"}]);
    let plan = planned(&of_ledger(&columns, &[("out", "a")])).unwrap().plan;
    let versions = rows(
        "measures.net: decimal(2) | key: text | applied_through: integer",
        &["1.00 | b | 2", "7.00 | a | 9", "3.00 | c | 2", "6.50 | a | 10", "2.00 | b | 10", " | d | 11"],
    );
    let columns = versions.columns.iter().map(|(name, _)| name.clone()).collect();
    let objects = versions.rows.chunks(2).map(<[Vec<Value>]>::to_vec).collect();
    let inputs = BTreeMap::from([("a".to_owned(), InputRows { columns, objects })]);
    for arrival in [Arrival::Forwards, Arrival::Backwards, Arrival::Scattered] {
        let outputs = run(&plan, &inputs, arrival).unwrap();
        assert_eq!(outputs["out"], rows("measures.net: decimal(2)", &["6.50", "2.00", "3.00", ""]));
    }
    // The columns by which it is known what is the latest are there for steps that ask for them.
    let columns = json!([{"name": "key", "type": "text"}, {"name": "applied_through", "type": "integer"}]);
    planned(&of_ledger(&columns, &[("out", "a")])).unwrap();
    let error = refusal(&of_ledger(&json!([{"name": "key", "type": "integer"}]), &[("out", "a")]));
    assert!(error.contains("column \"key\" of a ledger is text, and cannot be read as integer"), "{error}");
}

fn base() -> Json {
    job(json!([]), &[("out", "a")])
}

/// The base job with one thing changed.
fn with(pointer: &str, value: Json) -> Json {
    let mut job = base();
    match job.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            job.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        }
    }
    job
}

#[test]
fn a_document_is_refused_with_the_path_of_what_is_wrong() {
    let filter = json!({"column": "k", "is": "blank"});
    for (changed, words) in [
        (with("/version", json!(2)), "version: expected 1"),
        (with("/stepps", json!([])), "unknown field `stepps`"),
        (with("/outputs", json!([])), "outputs: nothing would come out"),
        (with("/outputs/0/format", json!("xlsx")), "outputs[0].format: unknown variant `xlsx`"),
        (
            with("/outputs/0", json!({"name": "out", "from": "a", "format": "parquet", "formulaGuard": true})),
            "outputs[0].formulaGuard: goes with format `csv`",
        ),
        (with("/outputs/0/name", json!("a b")), "outputs[0].name: \"a b\" is no name"),
        (with("/outputs/0/from", json!("c")), "outputs[0].from: there is no input or step \"c\""),
        (with("/inputs/a/columns/0/type", json!("money")), "inputs.a.columns[0].type: \"money\" is no type"),
        (with("/inputs/a/columns", json!([])), "input \"a\": its columns are not known"),
        (with("/inputs/a/columns/1/name", json!("k")), "input \"a\": two columns are called \"k\""),
        (with("/inputs/a/objects", json!(["x", "y", "x"])), "`objects` has one twice"),
        (with("/inputs/a/prefix", json!("x/")), "input \"a\": expected either `objects` or `prefix`"),
        (with("/inputs/a/feed", json!("orders")), "input \"a\": `feed` and `descriptor` go with format `csv`"),
        (
            with(
                "/inputs/a",
                json!({"format": "parquet", "objects": ["a"],
                "columns": [{"name": "k", "type": "text", "optional": true}]}),
            ),
            "input \"a\": `optional` goes with format `jsonLines`",
        ),
        (
            with("/inputs/a", json!({"format": "csv", "prefix": "./pre/"})),
            "input \"a\": `prefix` is the beginning of keys in the data bucket, not a folder of a machine: leave `./`",
        ),
        (with("/inputs/a/ledger", json!("orders")), "input \"a\": `ledger` goes with format `ledger`"),
        (with("/steps", json!([{"name": "s"}])), "steps[0].operation: is missing"),
        (with("/steps", json!([{"name": "s", "operation": "Group By"}])), "is \"groupBy\" meant?"),
        (
            with("/steps", json!([{"name": "s", "operation": "xyz"}])),
            "there is no operation \"xyz\"; `tieout operations`",
        ),
        (
            with("/steps", json!([{"name": "a", "operation": "filter", "from": "a", "where": filter}])),
            "\"a\" is the name of inputs.a",
        ),
        (
            with("/steps", json!([{"name": "s", "operation": "filter", "from": "a", "were": filter}])),
            "unknown field `were`",
        ),
        (
            with("/steps", json!([{"name": "s", "operation": "filter", "from": "t", "where": filter}])),
            "steps[0].from: there is no input or step \"t\"",
        ),
        (
            with(
                "/steps",
                json!([{"name": "s", "operation": "sort", "from": "a", "by": [{"column": "k", "order": "up"}]}]),
            ),
            "steps[0].by[0].order: unknown variant `up`",
        ),
        (
            with(
                "/steps",
                json!([{"name": "s", "operation": "add", "from": "a", "left": "v", "right": {"value": 1.5}, "as": "w"}]),
            ),
            "1.5 cannot be held exactly as a JSON number: write it as text, \"1.5\"",
        ),
        (
            with(
                "/steps",
                json!([{"name": "s", "operation": "constant", "from": "a", "type": "text", "value": "a\0", "as": "w"}]),
            ),
            "a text has no NUL character",
        ),
    ] {
        let found = refusal(&changed);
        assert!(found.contains(words), "expected {words}, found {found}");
    }
    let deep = format!(r#"{{"version": 1, "inputs": {{}}, "steps": [{{"where": {}"#, "[".repeat(200));
    for (text, words) in [
        ("{\"version\": 1,}", "the document: is no JSON: trailing comma at line 1 column 15"),
        ("{\"version\": 1", "the document: is no JSON: EOF while parsing"),
        ("", "the document: is no JSON: EOF while parsing"),
        (&deep, "the document: is nested too deeply, at line 1"),
        ("{\"version\": 1}", "the document: missing field `inputs`"),
        ("7", "the document: invalid type: integer `7`, expected an object with `version`, `inputs`, `steps` and"),
        (r#"{"version": 1, "inputs": {"a": {"formt": "csv"}}}"#, "inputs.a.formt: unknown field `formt`"),
        (
            r#"{"version": 1, "inputs": {"a": {"format": "csv", "descriptor": {"missingValues": ["N/A"]}}}, "outputs": []}"#,
            "inputs.a.descriptor.missingValues: it is no key of a Tabular Data Resource",
        ),
        (r#"{"version": 1, "inputs": {"a": {7: "csv"}}}"#, "the document: is no JSON: key must be a string"),
    ] {
        let found = Job::from_json(text).unwrap_err().to_string();
        assert!(found.starts_with(words), "expected {words}, found {found}");
    }
    assert!(Job::from_json("{}{}").is_err() && Job::from_json("[]").is_err() && Job::from_json("").is_err());
    planned(&base()).unwrap();
}

#[test]
fn steps_may_stand_in_any_order_but_not_in_a_circle() {
    let sort =
        |name: &str, from: &str| json!({"name": name, "operation": "sort", "from": from, "by": [{"column": "v"}]});
    let found = outcome(&job(json!([sort("two", "one"), sort("one", "a")]), &[("out", "two")]));
    assert_eq!(found["out"], rows("k: text | v: decimal(2)", &["y | 1.00", " | 2.00", "x | 3.00"]));
    let circle = job(
        json!([sort("free", "a"), sort("one", "three"), sort("two", "one"), sort("three", "two")]),
        &[("out", "a")],
    );
    let words = "each takes what the next one gives: \"one\" ← \"three\" ← \"two\" ← \"one\"";
    assert!(refusal(&circle).contains(words), "{}", refusal(&circle));
    assert!(refusal(&job(json!([sort("self", "self")]), &[("out", "a")])).contains("\"self\" ← \"self\""));
}

#[test]
fn results_with_names_are_called_by_them() {
    let steps =
        json!([{"name": "m", "operation": "match", "left": "a", "right": "b", "on": [{"left": "k", "right": "k"}]}]);
    let found = outcome(&job(steps.clone(), &[("pairs", "m.matched"), ("rest", "m.rightOnly")]));
    assert_eq!(found["pairs"].rows.len(), 2);
    assert_eq!(found["rest"], rows("k: text | v: decimal(2) | Candidates: integer", &["x | 6.00 | 1", "z | | 0"]));
    let refused = |from: &str| refusal(&job(steps.clone(), &[("out", from)]));
    assert!(refused("m").contains("say one of m.matched, m.leftOnly, m.rightOnly"), "{}", refused("m"));
    assert!(refused("m.left").contains("several results"));
    let sort = json!([{"name": "s", "operation": "sort", "from": "a", "by": [{"column": "v"}]}]);
    assert!(refusal(&job(sort, &[("out", "s.kept")])).contains("step \"s\" has one result: say \"s\""));
}

#[test]
fn the_order_of_rows_goes_through_all_steps() {
    let steps = json!([
        {"name": "down", "operation": "sort", "from": "b", "by": [{"column": "k", "order": "descending"}]},
        {"name": "groups", "operation": "groupBy", "from": "b", "by": ["k"],
            "measures": [{"function": "sum", "column": "v", "as": "v"}]},
        {"name": "all", "operation": "append", "tables": ["down", "a", "groups", "down"], "source": "of"},
        {"name": "joined", "operation": "join", "left": "all", "right": "a", "join": "full", "on": [{"left": "k", "right": "k"}],
            "columns": [{"column": "v", "as": "w"}]},
        {"name": "again", "operation": "vlookup", "from": "joined", "in": "joined", "on": [{"left": "k", "right": "k"}],
            "columns": [{"column": "of", "as": "first"}]},
        {"name": "near", "operation": "xlookup", "from": "again", "in": "a", "match": "nextSmaller",
            "on": [{"left": "v", "right": "v"}], "columns": [{"column": "k", "as": "near"}]},
    ]);
    let found = outcome(&job(steps, &[("out", "near")]));
    let header = "k: text | v: decimal(2) | of: text | w: decimal(2) | first: text | near: text";
    let expected = rows(
        header,
        &[
            "z | | down | | down | ",
            "y | 5.00 | down | 1.00 | down | x",
            "x | 4.00 | down | 3.00 | down | x",
            "x | 6.00 | down | 3.00 | down | x",
            "x | 3.00 | a | 3.00 | down | x",
            "y | 1.00 | a | 1.00 | down | y",
            " | 2.00 | a | | | ",
            "x | 10.00 | groups | 3.00 | down | x",
            "y | 5.00 | groups | 1.00 | down | x",
            "z | | groups | | down | ",
            "z | | down | | down | ",
            "y | 5.00 | down | 1.00 | down | x",
            "x | 4.00 | down | 3.00 | down | x",
            "x | 6.00 | down | 3.00 | down | x",
            " | | | 2.00 | | ",
        ],
    );
    assert_eq!(found["out"], expected, "\n{}", found["out"]);
}

#[test]
fn an_output_may_have_any_order() {
    let mut job = job(json!([]), &[("out", "a")]);
    assert_eq!(planned(&job).unwrap().plan.outputs[0].order.len(), 2);
    job["options"] = json!({"rowOrder": "any"});
    assert!(planned(&job).unwrap().plan.outputs[0].order.is_empty());
}

#[test]
fn what_is_not_used_is_said() {
    let steps = json!([{"name": "s", "operation": "sort", "from": "a", "by": [{"column": "v"}]}]);
    let warnings = planned(&job(steps, &[("out", "a")])).unwrap().warnings;
    assert_eq!(warnings, ["input \"b\" is not used", "step \"s\" is not run: no output comes of it"]);
    // What checks something, and is used by what comes to nothing, does not run either.
    let steps = json!([
        {"name": "s", "operation": "sort", "from": "b", "by": [{"column": "k"}]},
        {"name": "t", "operation": "sort", "from": "s", "by": [{"column": "k"}]},
    ]);
    let warnings = planned(&job(steps, &[("out", "a")])).unwrap().warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn columns_come_from_the_descriptor_the_feed_or_the_file() {
    let descriptor = json!({"schema": {"fields": [{"name": "id", "type": "integer"}, {"name": "net", "type": "number"},
        {"name": "day", "type": "date", "format": "%m/%d/%y"}, {"name": "note"}]}});
    let job = json!({"version": 1, "inputs": {
        "described": {"format": "csv", "objects": ["x.csv"], "descriptor": descriptor, "columns": [{"name": "net", "type": "decimal(4)"}]},
        "fed": {"format": "csv", "prefix": "orders/", "feed": "orders"}},
        "steps": [], "outputs": [{"name": "one", "from": "described", "format": "parquet"}, {"name": "two", "from": "fed", "format": "csv"}]});
    let read = Job::from_json(&job.to_string()).unwrap();
    assert!(read.plan(&BTreeMap::new()).unwrap_err().to_string().contains("input \"fed\": its columns are not known"));
    let found = vec![InputColumn::new("when".to_owned(), Type::Timestamp)];
    let plan = read.plan(&BTreeMap::from([("fed".to_owned(), found)])).unwrap().plan;
    let kinds: Vec<Vec<String>> = plan
        .outputs
        .iter()
        .map(|output| output.columns.iter().map(|column| column.kind.to_string()).collect())
        .collect();
    assert_eq!(kinds, [vec!["integer", "decimal(4)", "date", "text"], vec!["timestamp"]]);
    let mut wrong = job;
    wrong["inputs"]["described"]["columns"][0]["name"] = json!("Net");
    let wrong = Job::from_json(&wrong.to_string()).unwrap().plan(&BTreeMap::new()).unwrap_err();
    let told = "input \"described\": it has no column \"Net\"; it has ";
    assert!(wrong.to_string().starts_with(told), "{wrong}");
}

#[test]
fn a_pivot_of_a_million_columns_is_refused() {
    let values: Vec<Json> = (0..1001).map(|value| json!({"value": value.to_string()})).collect();
    let pivot = |values: &[Json]| json!([{"name": "p", "operation": "pivot", "from": "a", "rows": [], "column": "k", "values": values, "function": "count"}]);
    let words = "expected 1 to 1000 `values`, there are 1001";
    assert!(refusal(&job(pivot(&values), &[("out", "p")])).contains(words));
    planned(&job(pivot(&values[1..]), &[("out", "p")])).unwrap();
}

#[test]
fn too_many_candidates_are_an_error_that_says_what_to_do() {
    let steps = json!([{"name": "m", "operation": "match", "left": "a", "right": "b", "on": [{"left": "k", "right": "k"}],
        "amount": {"left": "v", "right": "v"}, "tolerance": {"absolute": 1}}]);
    let plan = planned(&job(steps, &[("out", "m.matched")])).unwrap().plan;
    let row = CaseTable { header: "k: text | v: decimal(2)", rows: &["x | 1.00"] }.read().unwrap().rows.remove(0);
    let many = InputRows { columns: vec!["k".to_owned(), "v".to_owned()], objects: vec![vec![row; 1001]] };
    let inputs = BTreeMap::from([("a".to_owned(), many.clone()), ("b".to_owned(), many)]);
    let error = run(&plan, &inputs, Arrival::Forwards).unwrap_err().to_string();
    let told = "the rows with x have more than 1000000 candidate pairs";
    assert!(error.contains("step \"m\" (match)") && error.contains(told), "{error}");
}

#[test]
fn a_plan_of_another_version_is_not_run() {
    let mut plan = serde_json::to_value(planned(&base()).unwrap().plan).unwrap();
    Plan::from_json(&plan.to_string()).unwrap();
    plan["version"] = json!(2);
    assert!(
        Plan::from_json(&plan.to_string()).unwrap_err().to_string().contains("it has version 2, this is version 1")
    );
    plan["version"] = json!(1);
    plan["outputs"][0]["from"] = json!(9);
    Plan::from_json(&plan.to_string()).unwrap_err();
    plan["outputs"][0]["from"] = json!(0);
    plan["relations"][0]["body"] = json!({"kind": "filter", "from": 0, "condition": {"kind": "constant",
        "constant": {"value": "true", "type": "boolean"}}});
    assert!(Plan::from_json(&plan.to_string()).unwrap_err().to_string().contains("relation 0 is made of relation 0"));
}

#[test]
fn what_is_not_needed_is_not_in_the_plan() {
    let add = |name: &str, from: &str| json!({"name": name, "operation": "add", "from": from, "left": "v", "right": {"value": 1}, "as": name});
    let steps = json!([
        add("one", "a"),
        add("two", "one"),
        {"name": "total", "operation": "runningTotal", "from": "two", "column": "two", "as": "t"},
        {"name": "some", "operation": "select", "from": "total", "columns": ["k", "one"]},
        {"name": "other", "operation": "select", "from": "total", "columns": ["t"]},
    ]);
    let found = outcome(&job(steps.clone(), &[("out", "some")]));
    assert_eq!(found["out"], rows("k: text | one: decimal(2)", &["x | 4.00", "y | 2.00", " | 3.00"]));
    let relations = planned(&job(steps.clone(), &[("out", "some")])).unwrap().plan.relations;
    assert_eq!(relations.iter().map(|one| one.step.as_str()).collect::<Vec<_>>(), ["a", "one"]);
    let names = |relation: &reconcile::plan::Relation| -> Vec<String> {
        relation.columns.iter().map(|column| column.name.clone()).collect()
    };
    assert_eq!(names(&relations[0]), ["k", "v", "#object", "#row"]);
    let mut any = job(steps, &[("out", "other")]);
    any["options"] = json!({"rowOrder": "any"});
    let relations = planned(&any).unwrap().plan.relations;
    // The running total goes by the order of rows, whatever the output does; `k` and `one` are not read or computed.
    assert_eq!(names(&relations[0]), ["v", "#object", "#row"]);
    assert_eq!(relations.iter().map(|one| one.step.as_str()).collect::<Vec<_>>(), ["a", "two", "total", "total"]);
}

#[test]
fn rows_are_counted_where_no_column_is_needed() {
    let count = json!([{"name": "n", "operation": "groupBy", "from": "b", "by": [], "measures": [{"function": "count", "as": "n"}]}]);
    assert_eq!(outcome(&job(count.clone(), &[("out", "n")]))["out"], rows("n: integer", &["4"]));
    assert_eq!(planned(&job(count, &[("out", "n")])).unwrap().plan.relations[0].columns.len(), 1);
}

#[test]
fn all_rows_are_one_where_no_measure_is_needed() {
    let measures = json!([{"function": "sum", "column": "v", "as": "s"}, {"function": "count", "as": "n"}]);
    let steps = json!([
        {"name": "all", "operation": "groupBy", "from": "b", "by": [], "measures": measures},
        {"name": "fixed", "operation": "constant", "from": "all", "value": "EUR", "type": "text", "as": "currency"},
        {"name": "one", "operation": "select", "from": "fixed", "columns": ["currency"]},
    ]);
    let job = job(steps, &[("out", "one")]);
    assert_eq!(outcome(&job)["out"], rows("currency: text", &["EUR"]));
    // A count cannot fail.
    let grouping = planned(&job)
        .unwrap()
        .plan
        .relations
        .into_iter()
        .find(|one| one.operation == "groupBy" && one.columns[0].name == "n");
    assert_eq!(grouping.unwrap().columns.len(), 1);
}
