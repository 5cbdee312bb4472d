//! What is wrong with data is said with object, row and column; odd data that is right is read.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use reconcile::{
    Job,
    plan::Plan,
    report::{Failure, Figures, Outcome},
    task::{Csv, TaskFormat},
};
use serde_json::{Value as Json, json};

use crate::kit::{World, csv, small};

/// A plan that copies one input, and more steps if any.
fn plan(format: &str, steps: &Json, from: &str, columns: &[(&str, &str)]) -> Plan {
    let columns: Vec<Json> = columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let job = json!({
        "version": 1,
        "inputs": {"in": {"format": format, "objects": ["x"], "columns": columns}},
        "steps": steps,
        "outputs": [{"name": "out", "from": from, "format": "csv"}],
    });
    Job::from_json(&job.to_string()).unwrap().plan(&std::collections::BTreeMap::new()).unwrap().plan
}

const COLUMNS: [(&str, &str); 3] = [("id", "integer"), ("name", "text"), ("net", "decimal(2)")];

fn described(changes: &Json) -> Csv {
    let columns: Vec<_> = COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), kind.parse().unwrap())).collect();
    let mut json = serde_json::to_value(csv(&columns)).unwrap();
    json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

async fn run(plan: &Plan, format: TaskFormat, csv: Option<Csv>, bodies: &[&[u8]]) -> (World, Outcome) {
    let mut world = World::new();
    for body in bodies {
        world.put("in", format, csv.clone(), body.to_vec()).await;
    }
    let report = world.run(plan, &small()).await.unwrap();
    (world, report.outcome)
}

fn csv_plan() -> Plan {
    plan("jsonLines", &json!([]), "in", &COLUMNS)
}

async fn text_of(csv: Csv, bodies: &[&[u8]]) -> (String, Figures) {
    let (world, outcome) = run(&csv_plan(), TaskFormat::Csv, Some(csv), bodies).await;
    let Outcome::Done(figures) = outcome else { panic!("{outcome:?}") };
    let text = String::from_utf8(world.read(&figures, "out").await).unwrap();
    (text, figures)
}

async fn failure(plan: &Plan, format: TaskFormat, csv: Option<Csv>, bodies: &[&[u8]]) -> Failure {
    match run(plan, format, csv, bodies).await.1 {
        Outcome::Failed { failure } => failure,
        Outcome::Done(figures) => panic!("{figures:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_as_people_upload_it() {
    let plain = || described(&json!({}));
    for (csv, body, expected) in [
        (plain(), &b"\xef\xbb\xbfid,name,net\r\n1,a,1.5\r\n"[..], "1,a,1.50\r\n"),
        (
            plain(),
            b"id,name,net\n1,\"two\nlines, \"\"quoted\"\"\",1\n\n2,,\n",
            "1,\"two\nlines, \"\"quoted\"\"\",1.00\r\n2,,\r\n",
        ),
        (plain(), b"id,name,net\r1,a,1\r2,b,2", "1,a,1.00\r\n2,b,2.00\r\n"),
        (plain(), b"id,name,net\n", ""),
        (plain(), b"id,name,net", ""),
        (described(&json!({"header": false})), b"", ""),
        (described(&json!({"header": false})), b"7,x,.5\n", "7,x,0.50\r\n"),
        (described(&json!({"encoding": "iso-8859-1"})), b"id,name,net\n1,M\xfcller,-0.01\n", "1,M\u{fc}ller,-0.01\r\n"),
        (described(&json!({"fieldsMatch": "subset"})), b"net,more,name,id\n1,z,a,5\n", "5,a,1.00\r\n"),
        (described(&json!({"delimiter": ";", "missingValues": ["", "-"]})), b"id;name;net\n1;-;-\n", "1,,\r\n"),
        (described(&json!({"caseSensitiveHeader": false})), b"ID,Name,NET\n1,a,+1\n", "1,a,1.00\r\n"),
    ] {
        let (found, figures) = text_of(csv, &[body]).await;
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(body));
        assert_eq!(figures.inputs["in"].bytes, body.len() as u64);
    }
    let columns = json!([{"name": "id", "type": "integer", "groupChar": ".", "decimalChar": ","}, {"name": "name", "type": "text"},
        {"name": "net", "type": "decimal(2)", "groupChar": ".", "decimalChar": ",", "bareNumber": false}]);
    let german = described(&json!({"columns": columns, "delimiter": ";"}));
    assert_eq!(text_of(german, &[b"id;name;net\n1.234;x;EUR -1.234,5\n"]).await.0, "1234,x,-1234.50\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_rows_are_in_order() {
    let rows = |from: usize, to: usize| {
        let lines: String = (from..to).map(|id| format!("{id},\"n\n{id}\",{id}.25\n")).collect();
        format!("id,name,net\n{lines}").into_bytes()
    };
    let bodies = [rows(0, 30_000), rows(30_000, 30_001), rows(30_001, 30_001), rows(30_001, 70_000)];
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let (found, figures) = text_of(described(&json!({})), &bodies).await;
    let expected: String = (0..70_000).map(|id| format!("{id},\"n\n{id}\",{id}.25\r\n")).collect();
    assert!(found == expected, "{}…", found.get(..200).unwrap_or_default());
    assert_eq!(figures.inputs["in"].rows, 70_000);
    assert_eq!(figures.outputs[0].totals["net"], "2449982500.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_csv_is_named_by_object_row_and_column() {
    let plain = || described(&json!({}));
    for (csv, body, row, column, words) in [
        (
            plain(),
            &b"id,name,net\n1,a,1\n2,b,1.505\n"[..],
            Some(2),
            Some("net"),
            "expected decimal(2), found \"1.505\"",
        ),
        (plain(), b"id,name,net\n1,a,1\nx,b,1\n", Some(2), Some("id"), "expected integer, found \"x\""),
        (plain(), b"id,name,net\n9223372036854775808,a,1\n", Some(1), Some("id"), "expected integer"),
        (plain(), b"id,name,net\n1,a\n", Some(1), None, "expected 3 fields, found 2"),
        (plain(), b"id,name,net\n1,a,2,3\n", Some(1), None, "expected 3 fields, found 4"),
        (plain(), b"id,name,net\n1,M\xfcller,1\n", Some(1), None, "expected text in utf-8"),
        (plain(), b"id,name,net\n1,a\0b,1\n", Some(1), None, "NUL"),
        (plain(), b"id,name,net\n1,\"a\"b,1\n", Some(1), None, "behind the closing quote"),
        (
            plain(),
            b"id,name,net\n1,\"a,1\n",
            Some(1),
            None,
            "input \"in\" (acme/in/1), row 1, at byte 12, opens a quote that is not closed",
        ),
        (plain(), b"id,name\n1,a\n", None, None, "missing \"net\""),
        (plain(), b"id,name,net,more\n1,a,1,1\n", None, None, "unexpected \"more\""),
        (plain(), b"name,id,net\na,1,1\n", None, None, "expected \"id\""),
        (plain(), b"", None, None, "the file is empty: expected a header"),
        (plain(), b"\xff\xfei\0d\0", None, None, "utf-16"),
        (plain(), b"id,id,net\n1,1,1\n", None, None, "both named"),
    ] {
        let good = &b"id,name,net\n"[..];
        let found = failure(&csv_plan(), TaskFormat::Csv, Some(csv), &[good, body]).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!((found.row, found.column.as_deref()), (row, column), "{shown}: {found:?}");
        assert_eq!((found.class, found.object.as_deref()), (ErrorClass::InvalidInput, Some("acme/in/1")), "{shown}");
        assert!(found.message.contains(words) && found.message.contains("\"in\" (acme/in/1)"), "{shown}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_date_is_told_how_dates_are_written() {
    let columns = |format: &Json| {
        let day = json!({"name": "day", "type": "date", "format": format});
        described(&json!({"columns": [day, {"name": "at", "type": "timestamp"}]}))
    };
    let plan = plan("jsonLines", &json!([]), "in", &[("day", "date"), ("at", "timestamp")]);
    for (format, body, words) in [
        (Json::Null, "day,at\n31.12.2024,\n", "expected date as YYYY-MM-DD, found \"31.12.2024\""),
        (json!("%d.%m.%Y"), "day,at\n2024-12-31,\n", "expected date as %d.%m.%Y, found \"2024-12-31\""),
        (Json::Null, "day,at\n,31.12.2024\n", "expected timestamp as YYYY-MM-DDThh:mm:ssZ, found \"31.12.2024\""),
    ] {
        let found = failure(&plan, TaskFormat::Csv, Some(columns(&format)), &[body.as_bytes()]).await;
        assert!(found.message.contains(words) && found.row == Some(1), "{found:?}");
    }
    let found = failure(&plan, TaskFormat::JsonLines, None, &[b"{\"day\":\"31.12.2024\",\"at\":null}"]).await;
    assert!(found.message.contains("expected date as YYYY-MM-DD, found"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_are_read_exactly_or_not_at_all() {
    let good = b"\xef\xbb\xbf{\"id\":1,\"name\":\"a\",\"net\":1.25,\"more\":{\"x\":[1]}}\r\n\n{\"net\":\"-0.5\",\"name\":null}\n{\"id\":\"3\",\"n\\u0061me\":\"\\u00e9\",\"net\":12345678901234567890123456789.25}";
    let (world, outcome) = run(&csv_plan(), TaskFormat::JsonLines, None, &[good]).await;
    let Outcome::Done(figures) = outcome else { panic!("{outcome:?}") };
    let found = String::from_utf8(world.read(&figures, "out").await).unwrap();
    assert_eq!(found, "1,a,1.25\r\n,,-0.50\r\n3,\u{e9},12345678901234567890123456789.25\r\n");
    for (line, column, words) in [
        (&b"{\"id\":1.5}"[..], Some("id"), "expected integer, found \"1.5\""),
        (b"{\"net\":1e3}", Some("net"), "expected decimal(2)"),
        (b"{\"name\":5}", Some("name"), "expected text"),
        (b"{\"net\":true}", Some("net"), "expected decimal(2)"),
        (b"{\"name\":\"a\\u0000\"}", Some("name"), "expected text, found"),
        (b"{\"id\":1", None, "expected a JSON object"),
        (b"[1]", None, "expected a JSON object"),
        (b"{\"id\":1}{}", None, "expected a JSON object"),
        (b"{\"name\":\"\xff\"}", None, "expected text in utf-8"),
    ] {
        let body = [&b"{\"id\":1}\n"[..], line].concat();
        let found = failure(&csv_plan(), TaskFormat::JsonLines, None, &[&body]).await;
        let shown = String::from_utf8_lossy(line);
        assert_eq!((found.row, found.column.as_deref()), (Some(2), column), "{shown}: {found:?}");
        assert!(found.message.contains(words), "{shown}: {found:?}");
    }
}

/// A name that is misspelt would make a blank column.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_json_lines_that_no_row_has_is_named() {
    let failing = json!([{"name": "ratio", "operation": "divide", "from": "in", "left": "net", "right": {"value": 0}, "as": "r"}]);
    for (bodies, absent) in [
        (vec!["{\"id\":1,\"Name\":\"a\",\"net\":1}\n"], Some("name")),
        (vec!["{\"id\":1,\"net\":null}\n", "{\"id\":2}\n{\"id\":3,\"name\":null}\n"], None),
        (vec!["{\"id\":1}\n".repeat(300_000).leak(), "{\"net\":1}\n"], Some("name")),
        (vec!["", "\n\n"], None),
    ] {
        let bodies: Vec<&[u8]> = bodies.into_iter().map(str::as_bytes).collect();
        let outcome = run(&csv_plan(), TaskFormat::JsonLines, None, &bodies).await.1;
        let Some(absent) = absent else {
            assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
            continue;
        };
        let Outcome::Failed { failure } = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.class, ErrorClass::InvalidInput);
        assert_eq!((failure.input.as_deref(), failure.column.as_deref()), (Some("in"), Some(absent)));
        let told = "input \"in\", column \"name\": no row has this member, one has ";
        assert!(failure.message.starts_with(told), "{failure:?}");
    }
    // It is told before what comes of it; and not where the column may be missing.
    let body = b"{\"id\":1,\"Name\":\"a\",\"net\":1}\n";
    let plan = plan("jsonLines", &failing, "ratio", &COLUMNS);
    let found = failure(&plan, TaskFormat::JsonLines, None, &[body]).await;
    assert_eq!(found.column.as_deref(), Some("name"), "{found:?}");
    assert!(found.message.contains("one has Name, id, net; "), "{found:?}");
    let mut world = World::new();
    world.put("in", TaskFormat::JsonLines, None, &body[..]).await;
    world.inputs.get_mut("in").unwrap().optional = vec!["name".to_owned()];
    let report = world.run(&csv_plan(), &small()).await.unwrap();
    assert!(matches!(report.outcome, Outcome::Done(_)), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_step_cannot_do_is_named_by_its_row() {
    let most = "9".repeat(36);
    let divide =
        json!([{"name": "ratio", "operation": "divide", "from": "in", "left": "net", "right": "id", "as": "r"}]);
    let sum = json!([{"name": "all", "operation": "groupBy", "from": "in", "by": ["name"],
        "measures": [{"function": "sum", "column": "net", "as": "s"}]}]);
    let running = json!([{"name": "run", "operation": "runningTotal", "from": "in", "column": "net", "as": "r"}]);
    for (steps, from, last, row, words) in [
        (&divide, "ratio", "0,b,1".to_owned(), Some(3), "division by zero"),
        (&sum, "all", format!("3,a,{most}"), None, "the result does not fit decimal(2)"),
        (&running, "run", format!("3,a,{most}"), Some(3), "the result does not fit decimal(2)"),
    ] {
        let first = if from == "ratio" { "5.00" } else { most.as_str() };
        let body = format!("id,name,net\n1,a,{first}\n2,b,0\n{last}\n");
        let plan = plan("jsonLines", steps, from, &COLUMNS);
        let found = failure(&plan, TaskFormat::Csv, Some(described(&json!({}))), &[body.as_bytes()]).await;
        assert!(found.message.contains(words), "{found:?}");
        assert_eq!((found.row, found.step.as_deref()), (row, Some(from)), "{found:?}");
        assert_eq!(found.object.is_some(), row.is_some(), "{found:?}");
    }
    // A sum that passes the bound on its way, and comes back, is one.
    let body = format!("id,name,net\n1,a,{most}\n2,a,{most}\n3,a,-{most}\n4,a,-{most}\n5,b,1\n");
    let plan = plan("jsonLines", &sum, "all", &COLUMNS);
    let (world, outcome) = run(&plan, TaskFormat::Csv, Some(described(&json!({}))), &[body.as_bytes()]).await;
    let Outcome::Done(figures) = outcome else { panic!("{outcome:?}") };
    assert_eq!(world.read(&figures, "out").await, b"a,0.00\r\nb,1.00\r\n");
}

/// A join that finds its one side empty need not look at the other: a fault there is one all the same.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_rows_that_nobody_needs_are_faults() {
    let job = json!({
        "version": 1,
        "inputs": {
            "in": {"format": "jsonLines", "objects": ["x"], "columns": [{"name": "id", "type": "integer"}]},
            "none": {"format": "jsonLines", "objects": ["y"], "columns": [{"name": "id", "type": "integer"}]}},
        "steps": [
            {"name": "ratio", "operation": "divide", "from": "in", "left": {"value": 1}, "right": "id", "as": "r"},
            {"name": "joined", "operation": "join", "left": "ratio", "right": "none", "on": [{"left": "id", "right": "id"}],
                "join": "inner", "columns": []}],
        "outputs": [{"name": "out", "from": "joined", "format": "csv"}],
    });
    let plan = Job::from_json(&job.to_string()).unwrap().plan(&std::collections::BTreeMap::new()).unwrap().plan;
    for (body, fails) in [(&b"{\"id\":5}\n{\"id\":0}\n"[..], true), (b"{\"id\":5}\n", false)] {
        let mut world = World::new();
        world.put("in", TaskFormat::JsonLines, None, body.to_vec()).await;
        world.put("none", TaskFormat::JsonLines, None, Vec::new()).await;
        match world.run(&plan, &small()).await.unwrap().outcome {
            Outcome::Failed { failure } => assert!(fails && failure.row == Some(2), "{failure:?}"),
            Outcome::Done(figures) => {
                assert!(!fails, "{figures:?}");
                assert_eq!((figures.inputs["in"].rows, figures.outputs[0].rows), (1, 0));
            }
        }
    }
}

/// And where two wait to be looked at, looking at one does not make the other forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn all_inputs_that_nobody_needs_are_read_to_their_end() {
    let input = json!({"format": "jsonLines", "objects": ["x"], "columns": [{"name": "id", "type": "integer"}]});
    let kept = |of: &str| {
        json!({"name": format!("kept-{of}"), "operation": "join", "left": of, "right": "none", "join": "semi",
            "on": [{"left": "id", "right": "id"}]})
    };
    let outputs = ["a", "b", "c"].map(|of| json!({"name": of, "from": format!("kept-{of}"), "format": "csv"}));
    let job = json!({
        "version": 1,
        "inputs": {"a": input, "b": input, "c": input, "none": input},
        "steps": [kept("a"), kept("b"), kept("c")],
        "outputs": outputs,
    });
    let plan = Job::from_json(&job.to_string()).unwrap().plan(&std::collections::BTreeMap::new()).unwrap().plan;
    let mut world = World::new();
    for (rows, input) in ["a", "b", "c"].into_iter().enumerate() {
        world.put(input, TaskFormat::JsonLines, None, b"{\"id\":5}\n".repeat(rows + 1)).await;
    }
    world.put("none", TaskFormat::JsonLines, None, Vec::new()).await;
    let Outcome::Done(figures) = world.run(&plan, &small()).await.unwrap().outcome else { panic!("it is sound") };
    assert_eq!(["a", "b", "c"].map(|input| figures.inputs[input].rows), [1, 2, 3]);
    assert_eq!(figures.outputs.iter().map(|output| output.rows).collect::<Vec<_>>(), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_has_changed_or_gone_is_the_senders_fault() {
    let mut world = World::new();
    world.put("in", TaskFormat::Csv, Some(described(&json!({}))), &b"id,name,net\n1,a,1\n"[..]).await;
    let task = world.task(&csv_plan(), 1);
    let at = storage::Location::new("data", "acme/in/0");
    world.objects.put(&at, "id,name,net\n2,b,2\n".into(), storage::objects::PutOptions::default()).await.unwrap();
    let report = reconcile_engine::run(&task, Arc::clone(&world.objects), &small()).await.unwrap();
    let Outcome::Failed { failure } = report.outcome else { panic!("it has changed") };
    assert!(failure.message.contains("has changed") && failure.class == ErrorClass::InvalidInput, "{failure:?}");
    world.objects.delete(&at, None).await.unwrap();
    let task = world.task(&csv_plan(), 2);
    let report = reconcile_engine::run(&task, Arc::clone(&world.objects), &small()).await.unwrap();
    let Outcome::Failed { failure } = report.outcome else { panic!("it has gone") };
    assert!(failure.message.contains("does not exist") && failure.object.is_some(), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_beside_each_other_leave_one_report_and_its_parts() {
    let mut world = World::new();
    let body: String = (0..20_000).map(|id| format!("{id},a,1\n")).collect();
    world.put("in", TaskFormat::Csv, Some(described(&json!({"header": false}))), body).await;
    let (plan, limits) = (csv_plan(), small());
    let (one, two) = tokio::join!(world.run(&plan, &limits), world.run(&plan, &limits));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    let Outcome::Done(figures) = one.outcome else { panic!("it failed") };
    assert_eq!(world.read(&figures, "out").await.iter().filter(|byte| **byte == b'\n').count(), 20_000);
    let listed = world.objects.list("work", "acme/", None).await.unwrap();
    assert_eq!(listed.len(), 3, "two runs' parts and one report: {listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_room_holds_is_too_large() {
    let mut world = World::new();
    let body: String = (0..300_000_i64).map(|id| format!("{},a,1\n", id * 7919 % 300_007)).collect();
    world.put("in", TaskFormat::Csv, Some(described(&json!({"header": false}))), body).await;
    let sort = json!([{"name": "s", "operation": "sort", "from": "in", "by": [{"column": "id"}]}]);
    let plan = plan("jsonLines", &sort, "s", &COLUMNS);
    let limits = reconcile_engine::Limits { threads: 2, ..reconcile_engine::Limits::new(24 << 20, 1 << 20) };
    let error = world.run(&plan, &limits).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TooLarge, "{}", error_class::chain(&error));
    let told = "more than this worker's 24 MiB of memory and 1 MiB of disk: deploy with the parameter SparkEngine=on";
    assert!(error.to_string().contains(told), "{error}");
    assert!(world.objects.list("work", "acme/", None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_a_run_may_is_too_large() {
    let mut world = World::new();
    let body: String = (0..200_000).map(|id| format!("{id},a,1\n")).collect();
    world.put("in", TaskFormat::Csv, Some(described(&json!({"header": false}))), body).await;
    let limits = reconcile_engine::Limits { time: Some(std::time::Duration::ZERO), ..small() };
    let error = world.run(&csv_plan(), &limits).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TooLarge, "{}", error_class::chain(&error));
    assert!(world.objects.list("work", "acme/", None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_match_that_no_room_holds_is_too_large() {
    let mut world = World::new();
    let body: String = (0..200_000).map(|number| format!("1,a,{number}\n")).collect();
    world.put("in", TaskFormat::Csv, Some(described(&json!({"header": false}))), body).await;
    let steps = json!([{"name": "m", "operation": "match", "left": "in", "right": "in",
        "on": [{"left": "id", "right": "id"}], "amount": {"left": "net", "right": "net"}, "tolerance": {"absolute": "0"}}]);
    let plan = plan("jsonLines", &steps, "m.leftOnly", &COLUMNS);
    let little = reconcile_engine::Limits { threads: 2, ..reconcile_engine::Limits::new(48 << 20, 1 << 30) };
    let error = world.run(&plan, &little).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TooLarge, "{}", error_class::chain(&error));
    let report = world.run(&plan, &small()).await.unwrap();
    assert!(matches!(report.outcome, Outcome::Done(_)), "{report:?}");
}

/// Also where behind the step nobody asks any more which row was which.
#[tokio::test(flavor = "multi_thread")]
async fn a_computation_that_fails_says_for_which_row() {
    let divide = json!({"name": "ratio", "operation": "divide", "from": "in", "left": "net", "right": "id", "as": "r"});
    let sum = json!([{"function": "sum", "column": "r", "as": "s"}]);
    let group = json!({"name": "out", "operation": "groupBy", "from": "ratio", "by": ["name"], "measures": sum});
    let where_zero =
        json!({"name": "out", "operation": "filter", "from": "ratio", "where": {"column": "r", "is": ">", "value": 1}});
    let count = json!([{"function": "count", "as": "n"}]);
    let counted = json!({"name": "n", "operation": "groupBy", "from": "out", "by": [], "measures": count});
    let body: String = (0..20_i64).map(|number| format!("{},a,1\n", (number - 6).abs())).collect();
    for (steps, from) in [(json!([divide, group]), "out"), (json!([divide, where_zero, counted]), "n")] {
        let plan = plan("jsonLines", &steps, from, &COLUMNS);
        let csv = described(&json!({"header": false}));
        let failure = failure(&plan, TaskFormat::Csv, Some(csv), &[b"1,a,1\n", body.as_bytes()]).await;
        assert_eq!((failure.step.as_deref(), failure.column.as_deref()), (Some("ratio"), Some("r")), "{failure:?}");
        assert_eq!((failure.object.as_deref(), failure.row), (Some("acme/in/1"), Some(7)), "{failure:?}");
    }
}

/// A pair is in one of them, and so is what stays alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_has_the_rows_of_all_its_results() {
    let columns = json!([{"name": "id", "type": "integer"}]);
    let input = json!({"format": "jsonLines", "objects": ["x"], "columns": columns});
    let output = |result: &str| json!({"name": result, "from": format!("m.{result}"), "format": "csv"});
    let results = ["matched", "leftOnly", "rightOnly"];
    let job = |count: usize| {
        json!({
            "version": 1, "inputs": {"a": input, "b": input},
            "steps": [{"name": "m", "operation": "match", "left": "a", "right": "b", "on": [{"left": "id", "right": "id"}]}],
            "outputs": results.iter().take(count).map(|result| output(result)).collect::<Vec<_>>(),
        })
    };
    let lines = |ids: std::ops::Range<u64>| ids.map(|id| format!("{{\"id\":{id}}}\n")).collect::<String>();
    for (count, rows) in [(1, 900), (2, 1_000), (3, 1_003)] {
        let plan =
            Job::from_json(&job(count).to_string()).unwrap().plan(&std::collections::BTreeMap::new()).unwrap().plan;
        let mut world = World::new();
        world.put("a", TaskFormat::JsonLines, None, lines(0..1_000)).await;
        world.put("b", TaskFormat::JsonLines, None, lines(100..1_003)).await;
        let Outcome::Done(figures) = world.run(&plan, &small()).await.unwrap().outcome else { panic!("it failed") };
        let told: Vec<_> = figures.steps.iter().map(|step| (step.step.as_str(), step.rows)).collect();
        assert_eq!(told, [("m", rows)]);
        assert_eq!(rows, figures.outputs.iter().map(|output| output.rows).sum::<u64>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_of_a_match_that_no_room_holds_are_too_large() {
    let mut world = World::new();
    let body: String = (0..950).map(|number| format!("1,a,{number}\n")).collect();
    world.put("in", TaskFormat::Csv, Some(described(&json!({"header": false}))), body).await;
    let steps = json!([{"name": "m", "operation": "match", "left": "in", "right": "in", "on": [{"left": "id", "right": "id"}]}]);
    let plan = plan("jsonLines", &steps, "m.matched", &COLUMNS);
    // Some 900,000 candidates of 48 bytes.
    let little = reconcile_engine::Limits { threads: 2, ..reconcile_engine::Limits::new(64 << 20, 1 << 30) };
    let error = world.run(&plan, &little).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TooLarge, "{}", error_class::chain(&error));
    let report = world.run(&plan, &small()).await.unwrap();
    assert!(matches!(report.outcome, Outcome::Done(_)), "{report:?}");
}
