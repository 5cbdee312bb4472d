//! From the hand-in to the manifest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use error_class::{Classified, ErrorClass};
use jobs::{
    book::{JobStatus, MailStatus},
    manifest::End,
    messages::{PlanRequest, StepRequest},
};
use reconcile::report::{Engine, Outcome, Report};
use serde_json::json;
use storage::{
    Location, Objects, StorageError, documents,
    memory::{Fault, Operation},
    objects::{PAGE_OBJECTS, PutOptions},
};

use crate::kit::{DATA, ORDERS, WORK, World, attempt, body, document};

async fn started(world: &World) {
    world.put("acme/orders.csv", ORDERS).await;
    assert_eq!(world.deliver(&world.handlers(), &body("close", &document())).await.started, 1);
}

/// What output-checker reads in one call: all, the parts of one output or so, or one part.
const PIECES: [u64; 3] = [1 << 30, 60, 1];

#[tokio::test]
async fn a_job_is_published_and_ties_out() {
    for piece_bytes in PIECES {
        publishes(World::in_pieces(piece_bytes)).await;
    }
}

async fn publishes(world: World) {
    started(&world).await;
    let closed = world.execute(&world.handlers(), &attempt("close", 1)).await.unwrap();
    assert_eq!(
        (closed.status, closed.dead_letters, closed.mail),
        (JobStatus::Published, 0, Some(MailStatus::NotWanted))
    );
    let publication = world.publication(&attempt("close", 1)).await;
    let [dear, sums] = &publication.outputs[..] else { panic!("two outputs") };
    assert_eq!(
        (dear.rows, &dear.totals),
        (3, &BTreeMap::from([("id".into(), "10".into()), ("net".into(), "18.26".into())]))
    );
    assert!(dear.objects[0].key.ends_with("/dear.csv"), "{}", dear.objects[0].key);
    let text = world.text(&dear.objects[0].key).await;
    assert_eq!(text, "id,region,net\r\n1,\"north, east\",10.00\r\n4,south,7.25\r\n5,,1.01\r\n");
    assert_eq!(dear.objects[0].bytes, text.len() as u64);
    let text = world.text(&sums.objects[0].key).await;
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.contains(&json!({"region": "south", "net": "7.50"})), "{text}");
    assert_eq!(sums.totals["net"], "18.51");
    let record = world.record("close").await;
    assert_eq!((record.status, record.milliseconds, record.outputs.len()), (JobStatus::Published, Some(7), 2));
    assert_eq!(record.inputs["orders"].rows, 5);
    assert!(record.inputs["orders"].objects.is_empty(), "a row has not the room for them");
    assert_eq!(publication.figures.inputs["orders"].objects[0].rows, 5);
    assert_eq!(record.manifest.as_deref(), Some("acme/jobs/close/attempt=1/manifest.json"));
    assert!(record.ended_at.is_some());
    // What the event and the metrics say, and says again whoever publishes it again.
    let told = world.handlers().publisher.publish(StepRequest { job: attempt("close", 1) }).await.unwrap();
    assert_eq!((told.engine, told.milliseconds), (Engine::Embedded, 7));
    assert_eq!(record.cost_microdollars, Some(told.cost_microdollars));
}

#[tokio::test]
async fn an_output_without_rows_has_its_header() {
    let world = World::new();
    world.put("acme/orders.csv", "id,region,net\n").await;
    world.deliver(&world.handlers(), &body("close", &document())).await;
    world.execute(&world.handlers(), &attempt("close", 1)).await.unwrap();
    let publication = world.publication(&attempt("close", 1)).await;
    assert_eq!(world.text(&publication.outputs[0].objects[0].key).await, "id,region,net\r\n");
    assert_eq!(publication.outputs[0].totals["net"], "0.00");
    assert_eq!(publication.outputs[0].totals["id"], "0");
    assert_eq!(publication.outputs[0].amounts, ["net"]);
    let told = &world.record("close").await.outputs[0].totals;
    assert_eq!(told.keys().collect::<Vec<_>>(), ["net"], "a sum of ids says nothing");
    assert_eq!(world.text(&publication.outputs[1].objects[0].key).await, "");
}

/// Everything twice, and twice at once: one manifest, one set of outputs.
#[tokio::test]
async fn every_step_can_run_twice() {
    for piece_bytes in PIECES {
        runs_twice(World::in_pieces(piece_bytes)).await;
    }
}

async fn runs_twice(world: World) {
    started(&world).await;
    let handlers = world.handlers();
    let job = attempt("close", 1);
    let chosen = world.to_engine(&handlers, &job).await.unwrap();
    assert_eq!(handlers.planner.plan(PlanRequest { job: job.clone(), failure: None }).await.unwrap(), chosen);
    let check = || world.check(&handlers, &job, &chosen.report);
    let (one, other) = tokio::join!(check(), check());
    assert_eq!(one.unwrap(), other.unwrap());
    let publish = || handlers.publisher.publish(StepRequest { job: job.clone() });
    let (one, other) = tokio::join!(publish(), publish());
    assert_eq!(one.unwrap(), other.unwrap());
    publish().await.unwrap();
    let listed = world.objects.list(DATA, "acme/jobs/close/attempt=1/output/", None).await.unwrap();
    let published = world.publication(&job).await;
    let keys: Vec<&str> =
        published.outputs.iter().flat_map(|output| &output.objects).map(|one| one.key.as_str()).collect();
    assert_eq!(listed.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), keys, "nothing else is left");
}

/// More outputs than one page of a listing has: of two that publish at once, one takes all of its own away.
#[tokio::test]
async fn what_comes_second_is_taken_away_to_the_last_page() {
    let world = World::new();
    world.put("acme/orders.csv", ORDERS).await;
    let handlers = world.handlers();
    let mut many = document();
    let output = |number| json!({"name": format!("out-{number}"), "from": "dear", "format": "csv"});
    many["outputs"] = (0..=PAGE_OBJECTS).map(output).collect();
    world.deliver(&handlers, &body("close", &many)).await;
    let job = attempt("close", 1);
    let chosen = world.to_engine(&handlers, &job).await.unwrap();
    world.check(&handlers, &job, &chosen.report).await.unwrap();
    let publish = || handlers.publisher.publish(StepRequest { job: job.clone() });
    let (one, other) = tokio::join!(publish(), publish());
    assert_eq!(one.unwrap(), other.unwrap());
    let mut left = Vec::new();
    loop {
        let after: Option<&str> = left.last().map(String::as_str);
        let page = world.objects.list(DATA, "acme/jobs/close/attempt=1/output/", after).await.unwrap();
        if page.is_empty() {
            break;
        }
        left.extend(page.into_iter().map(|listed| listed.key));
    }
    let published = world.publication(&job).await;
    let named: BTreeSet<&String> =
        published.outputs.iter().flat_map(|output| &output.objects).map(|one| &one.key).collect();
    assert_eq!(named.len(), PAGE_OBJECTS + 1);
    assert_eq!(left.iter().collect::<BTreeSet<_>>(), named);
}

/// Whatever call fails, with or without its effect: after a repetition the job is published, whole.
#[tokio::test]
async fn every_call_can_fail() {
    for (lost_reply, piece_bytes) in [(false, PIECES[0]), (true, PIECES[0]), (false, PIECES[2]), (true, PIECES[2])] {
        for failing in 0..100 {
            let world = World::in_pieces(piece_bytes);
            started(&world).await;
            let count = Arc::new(AtomicU32::new(0));
            let plan = move |_: &Operation| {
                let error = || StorageError::Unavailable { what: "port".into(), source: "down".into() };
                let now = count.fetch_add(1, Ordering::Relaxed) == failing;
                now.then(|| if lost_reply { Fault::ReplyLost(error()) } else { Fault::Refused(error()) })
            };
            let handlers = world.faulty_handlers(plan);
            let job = attempt("close", 1);
            let report = match world.to_engine(&handlers, &job).await {
                Ok(chosen) => chosen.report,
                Err(error) => {
                    assert_eq!(error.class(), ErrorClass::Unavailable, "call {failing}: {error}");
                    world.to_engine(&handlers, &job).await.unwrap().report
                }
            };
            let check = || world.check(&handlers, &job, &report);
            if check().await.is_err() {
                check().await.unwrap();
            }
            let publish = || handlers.publisher.publish(StepRequest { job: job.clone() });
            if publish().await.is_err() {
                publish().await.unwrap();
            }
            let publication = world.publication(&job).await;
            let text = world.text(&publication.outputs[0].objects[0].key).await;
            assert_eq!(text.lines().count(), 4, "call {failing}");
            assert_eq!(world.record("close").await.status, JobStatus::Published, "call {failing}");
        }
    }
}

/// Each handover, spoilt: the checker sees it, and nothing is published.
#[tokio::test]
async fn what_does_not_tie_out_is_not_published() {
    type Spoil = fn(&mut Report, &mut BTreeMap<String, String>);
    fn figures(report: &mut Report) -> &mut reconcile::report::Figures {
        match &mut report.outcome {
            Outcome::Done(figures) => figures,
            Outcome::Failed { failure } => panic!("{failure:?}"),
        }
    }
    let part = "acme/jobs/close/attempt=1/output/dear/part-00000.csv";
    let spoils: [(Spoil, &str); 15] = [
        (|report, _| figures(report).outputs[0].rows += 1, "the engine made 4 rows, 3 are read"),
        (|report, _| figures(report).outputs[0].parts[0].rows = 1, "the engine wrote 1 rows, 2 are read"),
        (|report, _| drop(figures(report).outputs[0].parts.pop()), "the engine made 3 rows, 2 are read"),
        (|report, _| drop(figures(report).outputs.pop()), "the engine says nothing of it"),
        (
            |report, _| drop(figures(report).outputs[0].totals.insert("net".into(), "18.27".into())),
            r#"the engine made "net" 18.27, 18.26 is read"#,
        ),
        (
            |report, _| {
                let parts = &mut figures(report).outputs[0].parts;
                parts[1] = parts[0].clone();
            },
            "names it twice",
        ),
        (|report, _| figures(report).outputs[0].parts[0].key = "acme/orders.csv".into(), "not of this attempt"),
        (
            |report, _| figures(report).inputs.get_mut("orders").unwrap().objects[0].bytes -= 1,
            r#"input "orders", acme/orders.csv: it has 84 bytes, the engine has read 83"#,
        ),
        (
            |report, _| {
                let read = figures(report).inputs.get_mut("orders").unwrap();
                (read.objects, read.bytes) = (Vec::new(), 83);
            },
            r#"input "orders": it has 84 bytes, the engine has read 83"#,
        ),
        (
            |report, _| figures(report).inputs.get_mut("orders").unwrap().objects[0].key = "acme/other.csv".into(),
            "acme/orders.csv: the engine does not say what it has read of it",
        ),
        (|report, _| figures(report).inputs.clear(), r#"input "orders": the engine does not say"#),
        (
            |report, _| {
                let objects = &mut figures(report).inputs.get_mut("orders").unwrap().objects;
                objects.push(objects[0].clone());
            },
            "the engine has read it, and the task does not name it",
        ),
        (
            |report, _| figures(report).inputs.get_mut("orders").unwrap().objects[0].rows -= 1,
            "its objects have 4 rows, and 5 went on",
        ),
        // As many bytes, another cent.
        (|_, parts| parts.values_mut().for_each(|text| *text = text.replace("10.00", "10.01")), "18.27 is read"),
        (|_, parts| parts.values_mut().for_each(|text| *text = text.replace("1,\"nor", "1x\"nor")), "row 1"),
    ];
    let ways = spoils.into_iter().flat_map(|spoilt| PIECES.map(|piece_bytes| (spoilt, piece_bytes)));
    for ((spoil, words), piece_bytes) in ways {
        let world = World::in_pieces(piece_bytes);
        started(&world).await;
        let handlers = world.handlers();
        let job = attempt("close", 1);
        let chosen = world.to_engine(&handlers, &job).await.unwrap();
        let mut report: Report = documents::read(&*world.objects, &chosen.report).await.unwrap().unwrap();
        let at = Location::new(WORK, part);
        let bytes = storage::objects::read_all(world.objects.read(&at, None, None).await.unwrap(), &at, 1 << 20).await;
        let mut parts = BTreeMap::from([(part.to_owned(), String::from_utf8(bytes.unwrap().to_vec()).unwrap())]);
        spoil(&mut report, &mut parts);
        documents::write(&*world.objects, &chosen.report, &report).await.unwrap();
        for (key, text) in parts {
            let at = Location::new(WORK, key);
            world.objects.put(&at, text.into(), PutOptions::default()).await.unwrap();
        }
        let error = world.check(&handlers, &job, &chosen.report).await.unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(error.class(), ErrorClass::ControlTotalMismatch, "{error}");
        let error = handlers.publisher.publish(StepRequest { job: job.clone() }).await.unwrap_err();
        assert!(error.to_string().contains("the step before this one has not been done"), "{error}");
        assert!(world.end(&job).await.is_none());
        assert!(world.objects.list(DATA, "acme/jobs/close/attempt=1/", None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_the_data_does_wrong_is_told_with_its_place() {
    let world = World::new();
    world.put("acme/orders.csv", "id,region,net\n1,north,1.00\n0,north,1.00\n").await;
    let mut job = document();
    job["steps"] = json!([{"name": "ratio", "operation": "divide", "from": "orders", "left": "net",
        "right": "id", "as": "Ratio", "scale": 4}]);
    job["outputs"] = json!([{"name": "out", "from": "ratio", "format": "csv"}]);
    world.deliver(&world.handlers(), &body("close", &job)).await;
    let closed = world.execute(&world.handlers(), &attempt("close", 1)).await.unwrap();
    assert_eq!((closed.status, closed.dead_letters), (JobStatus::Failed, 1));
    let failure = world.record("close").await.failure.unwrap();
    assert_eq!(failure.class, "InvalidInput");
    for words in [r#"step "ratio" (divide)"#, r#"column "Ratio""#, "row 2", "division by zero", "acme/orders.csv"] {
        assert!(failure.message.contains(words), "{words}: {}", failure.message);
    }
    assert_eq!(world.dead_letters()[0].attributes["reason"], failure.message);
    assert!(matches!(world.end(&attempt("close", 1)).await, Some(End::Failed(_))));
}
