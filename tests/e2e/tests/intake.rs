//! Files through the deployed template: real Lambdas, real state machine, least-privilege roles in force.

use std::{collections::BTreeSet, fs, time::Duration};

use e2e::{
    DATA, INPUT, Stack,
    command::{ended, invoke, root, tieout},
    example::{Example, ROWS, dollars, sum},
    http,
    large::{self, FEED, Large},
    mail::mails,
};
use intake::{layout::upload_key, messages::RunId};
use serde_json::{Value, json};
use storage::{Location, Objects, objects::PutOptions};
use tokio::time::sleep;

const HEADER: &str = "uuid,Country,Item Type,Sales Channel,Order Priority,Order Date,Region,Ship Date,\
                      Units Sold,Unit Price,Unit Cost,Total Revenue,Total Cost,Total Profit";

async fn exists(stack: &Stack, bucket: &str, key: &str) -> bool {
    stack.session.objects().head(&Location::new(bucket, key), None).await.is_ok()
}

#[tokio::test]
async fn ten_thousand_orders_come_back_enriched_and_tied_out() {
    let stack = Stack::connect().await;
    let example = Example::loaded().await;
    let file = example.orders("ten-thousand.csv");
    let run = tieout(&["submit", "orders", file.to_str().unwrap(), "--wait", "--json"]).well().json();

    let name = run["run_id"].as_str().unwrap();
    assert_eq!(run["status"], "published");
    assert_eq!((&run["mail"]["status"], run["archive"].is_string()), (&json!("sent"), true), "all is told: {run}");
    assert_eq!(
        (run["records_in"].as_u64(), run["records_out"].as_u64(), run["records_rejected"].as_u64()),
        (Some(ROWS), Some(ROWS), Some(0))
    );
    let totals = &example.totals;
    for (column, cents) in [
        ("Total Revenue", totals.revenue_cents),
        ("Total Cost", totals.cost_cents),
        ("Total Profit", totals.profit_cents),
    ] {
        assert_eq!(sum(&run, column), dollars(cents), "{column}");
    }

    let output = tieout(&["run", "output", name]).well().stdout;
    assert_eq!(output.lines().next(), Some(HEADER));
    assert_eq!(output.lines().count() as u64, ROWS + 1);
    let input: BTreeSet<String> =
        fs::read_to_string(&file).unwrap().lines().skip(1).map(|line| line.trim_end().to_owned()).collect();
    let passed_on = |line: &str| line.rsplitn(7, ',').last().unwrap().to_owned();
    assert_eq!(
        output.lines().skip(1).map(passed_on).collect::<BTreeSet<_>>(),
        input,
        "the input's cells are as they were"
    );

    assert!(!exists(&stack, INPUT, "default/intake/orders/ten-thousand.csv").await, "the input is archived");
    assert!(exists(&stack, DATA, &format!("default/archive/orders/{name}/ten-thousand.csv")).await);
    let link = tieout(&["run", "link", name, "--json"]).well().json();
    let (status, downloaded) = http::get(link["url"].as_str().unwrap()).await;
    assert_eq!((status, downloaded.len()), (200, output.len()), "{link}");
    assert_eq!(mails(&stack, name).await.len(), 1);
}

#[tokio::test]
async fn the_link_in_the_mail_opens_the_output() {
    let stack = Stack::connect().await;
    Example::loaded().await;
    let run = tieout(&["submit", "orders", "examples/orders/orders.csv", "--wait", "--json"]).well().json();
    let name = run["run_id"].as_str().unwrap();
    let mail = mails(&stack, name).await.pop().expect("a mail about the run");
    let url = mail.split(['"', ' ', '\\', '\n']).find(|word| word.starts_with("http") && word.contains("X-Amz-"));
    let url = url.unwrap_or_else(|| panic!("no link in {mail}")).replace("&amp;", "&");
    let (status, downloaded) = http::get(&url).await;
    assert_eq!(status, 200, "{downloaded}");
    assert_eq!(downloaded, tieout(&["run", "output", name]).well().stdout);
}

#[tokio::test]
async fn rejects_are_told_by_row_and_rule() {
    Example::loaded().await;
    let file = "examples/orders/orders-with-errors.csv";
    let run = tieout(&["submit", "orders", file, "--wait", "--json"]).well().json();
    assert_eq!((run["records_in"].as_u64(), run["records_rejected"].as_u64()), (Some(20), Some(12)));
    let name = run["run_id"].as_str().unwrap();
    let csv = tieout(&["run", "rejects", name]).well().stdout;
    assert!(csv.starts_with("row,byte_offset,column,value,rule,message,record\n3,"), "{csv}");
    let told = tieout(&["run", "rejects", name, "--json"]).well().stdout;
    assert!(told.contains("\"rule\":\"required\"") && told.contains("\"rule\":\"reference\""), "{told}");
}

#[tokio::test]
async fn a_file_that_does_not_match_fails_the_run_and_stays_where_it_was() {
    let stack = Stack::connect().await;
    let example = Example::loaded().await;
    let file = example.folder.path().join("wrong-header.csv");
    fs::write(&file, "uuid,Land\n1,DE\n").unwrap();
    let submitted = tieout(&["submit", "orders", file.to_str().unwrap(), "--wait", "--json"]);
    assert_eq!(submitted.status, 1, "{submitted:?}");
    let run = submitted.json();
    assert_eq!(run["status"], "failed");
    assert!(exists(&stack, INPUT, "default/intake/orders/wrong-header.csv").await, "the input is where it was");
    let name = run["run_id"].as_str().unwrap();
    let shown = tieout(&["run", "show", name, "--json"]).stdout;
    assert!(shown.contains("InvalidInput") && shown.contains("Country"), "{shown}");
    let mails = mails(&stack, name).await;
    assert!(mails.len() == 1 && mails[0].contains("Country"), "{mails:?}");
}

#[tokio::test]
async fn a_file_dropped_straight_into_input_is_taken() {
    let stack = Stack::connect().await;
    let at = Location::new(INPUT, "input/dropped.csv");
    stack.session.objects().put(&at, "a,b\n1,2\n".into(), PutOptions::default()).await.unwrap();
    let version = stack.session.objects().head(&at, None).await.unwrap().version.unwrap();
    let run = RunId::of("default", INPUT, &at.key, &version, 1);
    for _ in 0..100 {
        let shown = tieout(&["run", "show", run.as_str(), "--json"]);
        if shown.status == 0 && shown.stdout.contains("\"published\"") {
            assert_eq!(tieout(&["run", "output", run.as_str()]).well().stdout, "a,b\n1,2\n");
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("{run} was not published within twenty seconds");
}

/// EventBridge delivers an event at least once. Here it comes three times, twice of them at the same moment.
#[tokio::test]
async fn an_upload_that_is_told_three_times_is_one_run_and_one_mail() {
    let stack = Stack::connect().await;
    // Large, so that it is still at work when it is told of again.
    let large = Large::loaded().await;
    let folder = tempfile::tempdir().unwrap();
    let at = Location::new(INPUT, upload_key("default", FEED, "told-three-times.csv"));
    let orders = fs::read(large.named("told-three-times.csv")).unwrap();
    stack.session.objects().put(&at, orders.into(), PutOptions::default()).await.unwrap();
    let version = stack.session.objects().head(&at, None).await.unwrap().version.unwrap();
    let event = json!({
        "detail-type": "Object Created",
        "detail": { "bucket": { "name": INPUT }, "object": { "key": at.key, "version-id": version } }
    });
    let file = folder.path().join("event.json");
    fs::write(&file, event.to_string()).unwrap();
    let call = || {
        let file = file.clone();
        tokio::task::spawn_blocking(move || invoke("file-arrival", Some(&file)).well().json())
    };
    let (one, other) = tokio::join!(call(), call());
    let answers = [one.unwrap(), other.unwrap()];
    let count = |what: &str| answers.iter().map(|answer| answer[what].as_u64().unwrap()).sum::<u64>();
    // One that comes when all is done finds no object any more.
    assert_eq!(count("started") + count("repeated") + count("ignored"), 2, "{answers:?}");
    assert!(count("started") <= 1, "{answers:?}");

    let name = RunId::of("default", INPUT, &at.key, &version, 1).to_string();
    let run = ended(&name);
    assert_eq!((&run["status"], run["records_out"].as_u64()), (&json!("published"), Some(large::ROWS)), "{run}");
    let once = |step: &Value| step["attempts"].as_u64() == Some(1);
    assert!(run["steps"].as_array().unwrap().iter().all(once), "{run}");
    assert_eq!(mails(&stack, &name).await.len(), 1);
}

/// Every sample event, called directly. What comes before a function is done first, by its own sample.
#[test]
fn every_sample_event_works_on_its_function() {
    for function in ["file-arrival", "splitter", "chunk-processor", "merger", "emailer"] {
        let called = invoke(function, None);
        assert_eq!(called.status, 0, "{function}: {called:?}");
    }
    for (function, sample) in
        [("file-arrival", "file-arrival-sweep"), ("emailer", "emailer-failure"), ("emailer", "emailer-ended")]
    {
        let event = root().join(format!("events/intake/{sample}.json"));
        let called = invoke(function, Some(&event));
        assert_eq!(called.status, 0, "{sample}: {called:?}");
    }
}
