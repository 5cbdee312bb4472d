//! Batches that are not what they say: refused with a reason, and in nobody's way.

use std::time::Duration;

use error_class::{Classified, ErrorClass};
use ledger::{
    LedgerError,
    book::BatchStatus,
    commits::ReducedRange,
    layout::{range_key, split_key},
    manifest::{ContentHash, PinnedBatch},
    messages::{PartitionRequest, SplitRequest, StageRequest},
};
use serde_json::{Value, json};
use storage::{Location, Objects, memory::Operation};

use crate::{
    kit::{DATA, HEADER, INPUT, WORK, WORK_SECONDS_MAX, World, csv, definition, manifest, totals},
    stateless::{gzip, zstd},
};

const KEY: &str = "acme/batches/orders/bad/events";

/// Sends a good batch and this one in one job, and expects that it is refused and the other goes on. Why it was.
async fn refused(name: &str, definition: &Value, bytes: &[u8], records: u32, totals_said: Value) -> String {
    let world = World::new(definition).await;
    let good = definition["events"]["compression"].as_str().map_or(csv(2, 4).into_bytes(), |packing| match packing {
        "gzip" => gzip(csv(2, 4).as_bytes()),
        _ => zstd(csv(2, 4).as_bytes()),
    });
    world.send("good", &[("events", &good)], &manifest(0, &[("events", 4)], totals(4))).await;
    let said = manifest(1, &[("events", records)], totals_said);
    world.send("bad", &[("events", bytes)], &said).await;
    refused_of(name, &world).await
}

async fn refused_of(name: &str, world: &World) -> String {
    let handlers = world.handlers(60);
    let run = world.run().await;
    assert_eq!(run.batches.count(), 2, "{name}");
    let error = world.do_stateless(&handlers, &run).await.unwrap_err();
    assert!(matches!(error, LedgerError::BatchRefused { .. }), "{name}: {error:?}");
    assert_eq!(error.class(), ErrorClass::Conflict);
    assert!(world.job(&run).await.is_void(), "{name}");
    let BatchStatus::Refused { reason } = world.status("bad").await else { panic!("{name} was not refused") };
    assert_eq!(world.status("good").await, BatchStatus::Registered, "{name}");

    // Late workers of the void job do nothing, and its good batch goes on in another one.
    let again = world.do_stateless(&handlers, &run).await.unwrap_err();
    assert_eq!(again.class(), ErrorClass::Conflict, "{name}: {again:?}");
    let next = world.run().await;
    assert!(next.job > run.job && next.batches.count() == 1, "{name}");
    world.do_stateless(&handlers, &next).await.unwrap();
    assert_eq!(world.stateless(&next).await.totals.records(), 4, "{name}");
    reason
}

/// The second of January.
fn day_two(text: &str) -> String {
    text.replace("2026-01-01T", "2026-01-02T")
}

#[tokio::test]
async fn objects_that_cannot_be_read_are_named_with_row_and_offset() {
    let (plain, three) = (definition(), day_two(&csv(2, 3)));
    let with = |path: &str, value: Value| {
        let mut definition = definition();
        definition["events"][path] = value;
        definition
    };
    let offset = three.find("A-1,e1").unwrap();
    let cases = [
        ("fewer", &plain, three.clone().into_bytes(), 4, "it holds 3 records, and the manifest says 4".to_owned()),
        ("more", &plain, three.clone().into_bytes(), 2, "it holds 3 records, and the manifest says 2".to_owned()),
        ("empty", &plain, vec![], 0, "it is empty, and a header is expected".to_owned()),
        ("blank", &plain, b"\r\n\n".to_vec(), 0, "it is empty, and a header is expected".to_owned()),
        (
            "empty when unpacked",
            &with("compression", "gzip".into()),
            gzip(b""),
            0,
            "it is empty, and a header is expected".to_owned(),
        ),
        ("header only", &plain, HEADER.into(), 3, "it holds 0 records, and the manifest says 3".to_owned()),
        (
            "open quote",
            &plain,
            three.trim_end_matches("\"\n").as_bytes().to_vec(),
            3,
            format!("row 3, at byte {}, opens a quote", three.find("A-0,e2").unwrap()),
        ),
        (
            "too long",
            &with("recordBytesMax", 100.into()),
            three.replacen("A-1,e1,", &format!("A-1,e1{},", "x".repeat(100)), 1).into_bytes(),
            3,
            format!("row 2, at byte {offset}, is longer than 100 bytes"),
        ),
        ("other columns", &plain, three.replace("order,", "Auftrag,").into_bytes(), 3, "missing \"order\"".to_owned()),
        (
            "column twice",
            &plain,
            three.replace("event,at", "event,event").into_bytes(),
            3,
            "both named \"event\"".into(),
        ),
        (
            "UTF-16",
            &plain,
            b"\xff\xfeo\0r\0".to_vec(),
            3,
            "byte order mark of utf-16, but its declared encoding is utf-8".to_owned(),
        ),
        (
            "packed",
            &plain,
            gzip(three.as_bytes()),
            3,
            "it is packed with gzip, and the ledger definition says none".into(),
        ),
        (
            "packed",
            &plain,
            zstd(three.as_bytes()),
            3,
            "it is packed with zstd, and the ledger definition says none".into(),
        ),
        ("plain", &with("compression", "gzip".into()), three.clone().into(), 3, "it is damaged, or cut off".to_owned()),
        ("plain", &with("compression", "zstd".into()), three.clone().into(), 3, "it is damaged, or cut off".to_owned()),
        (
            "gzip cut off",
            &with("compression", "gzip".into()),
            gzip(three.as_bytes())[..60].to_vec(),
            3,
            "it is damaged, or cut off".to_owned(),
        ),
        (
            "zstd cut off",
            &with("compression", "zstd".into()),
            zstd(three.as_bytes())[..60].to_vec(),
            3,
            "it is damaged, or cut off".to_owned(),
        ),
    ];
    for (name, definition, bytes, records, says) in cases {
        let reason = refused(name, definition, &bytes, records, totals(records)).await;
        assert!(reason.starts_with(&format!("{KEY}: ")) && reason.contains(&says), "{name}: {reason}");
    }
}

#[tokio::test]
async fn json_lines_of_another_encoding_are_refused() {
    let mut lines = definition();
    lines["events"]["format"] = "jsonLines".into();
    let world = World::new(&lines).await;
    world.send("bad", &[("events", b"\xff\xfe{\0}\0")], &manifest(0, &[("events", 1)], totals(1))).await;
    let run = world.run().await;
    world.do_stateless(&world.handlers(60), &run).await.unwrap_err();
    let BatchStatus::Refused { reason } = world.status("bad").await else { panic!("not refused") };
    assert!(reason.contains("utf-16"), "{reason}");
}

/// What the sender has hashed is what is read, packed or not; without a header none is expected.
#[tokio::test]
async fn content_that_the_manifest_does_not_say_is_refused() {
    let three = day_two(&csv(2, 3));
    for (name, bytes) in [("none", three.clone().into_bytes()), ("gzip", gzip(three.as_bytes()))] {
        let mut definition = definition();
        definition["events"]["compression"] = name.into();
        let mut hash = ContentHash::default();
        hash.update(&bytes);
        for (sha256, says) in [(hash.finish(), None), ("0".repeat(64), Some("and the manifest says 0000"))] {
            let world = World::new(&definition).await;
            let mut said = manifest(1, &[("events", 3)], totals(3));
            said["objects"][0]["sha256"] = sha256.into();
            world.send("bad", &[("events", &bytes)], &said).await;
            let run = world.run().await;
            let done = world.do_stateless(&world.handlers(60), &run).await;
            match (says, world.status("bad").await) {
                (None, BatchStatus::Registered) => done.unwrap(),
                (Some(says), BatchStatus::Refused { reason }) => assert!(reason.contains(says), "{name}: {reason}"),
                (_, other) => panic!("{name}: {other:?}"),
            }
        }
    }
    let mut definition = definition();
    definition["events"]["dialect"] = json!({ "header": false });
    let world = World::new(&definition).await;
    world.send("quiet", &[("events", b"")], &manifest(0, &[("events", 0)], totals(0))).await;
    world.do_stateless(&world.handlers(60), &world.run().await).await.unwrap();
}

#[tokio::test]
async fn sums_that_differ_are_named() {
    let three = day_two(&csv(2, 3));
    let mut said = totals(3);
    said["columns"][0]["sum"] = "3.76".into();
    let reason = refused("sum", &definition(), three.as_bytes(), 3, said).await;
    assert_eq!(
        reason,
        "the manifest says other totals than its objects hold: net in EUR: 3.76 in 3 amounts against 3.75 in 3 amounts"
    );
    let reason = refused("no sums", &definition(), three.as_bytes(), 3, json!({ "records": 3 })).await;
    assert!(reason.contains("net in EUR: 0 in 0 amounts against 3.75 in 3 amounts"), "{reason}");
    let huge = day_two(&csv(2, 2)).replace("0.25", &"9".repeat(38)).replace("1.25", &"9".repeat(38));
    let reason = refused("too large", &definition(), huge.as_bytes(), 2, totals(2)).await;
    assert!(reason.contains("cannot be") || reason.contains("too many digits"), "{reason}");
}

#[tokio::test]
async fn a_partition_that_the_memory_has_no_room_for_is_not_combined() {
    let world = World::new(&definition()).await;
    world.send_csv("b1", 7, 40).await;
    let run = world.run().await;
    let handlers = world.handlers(300);
    world.reduce(&handlers, &run).await.unwrap();
    let partition = world.list(&handlers.check_reduced(&run).await.unwrap()).await[0];
    let request = PartitionRequest { run: run.clone(), partition };
    let holding = |bytes_max| world.handlers(300).combiner.holding(bytes_max);
    let LedgerError::PartitionTooLong { bytes, bytes_max: 0, .. } =
        holding(0).combine(request.clone()).await.unwrap_err()
    else {
        panic!("there is no room for anything")
    };
    let error = holding(bytes - 1).combine(request.clone()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    let said =
        format!("partition {partition} of job 1 takes {bytes} bytes of memory, and there is room for {}", bytes - 1);
    assert!(error.to_string().starts_with(&said), "{error}");
    let combined = |key: &String| key.contains("/combine");
    assert_eq!(world.keys(WORK, "").await.iter().filter(|key| combined(key)).count(), 0, "it was not begun");
    holding(bytes).combine(request).await.unwrap();
}

#[tokio::test]
async fn a_ledger_that_refuses_rejects_names_the_first() {
    let mut strict = definition();
    strict["onReject"] = "refuse".into();
    let events = day_two(&csv(2, 3)).replacen("1.25,EUR", "1.255,EUR", 1);
    let reason = refused("reject", &strict, events.as_bytes(), 3, totals(3)).await;
    let offset = events.find("A-1,e1").unwrap();
    assert!(reason.starts_with(&format!("{KEY}: row 2, at byte {offset}: minor-units: ")), "{reason}");
}

#[tokio::test]
async fn all_bad_batches_of_a_job_are_refused_at_once() {
    let world = World::new(&definition()).await;
    for (day, name) in (0..).zip(["one", "two", "three"]) {
        let events = csv(2, 3).replace("2026-01-01T", &format!("2026-01-{:02}T", day + 1));
        let said = if name == "two" { 3 } else { 2 };
        world.send(name, &[("e", events.as_bytes())], &manifest(day, &[("e", said)], totals(said))).await;
    }
    let run = world.run().await;
    world.do_stateless(&world.handlers(60), &run).await.unwrap_err();
    for (name, is_refused) in [("one", true), ("two", false), ("three", true)] {
        assert_eq!(matches!(world.status(name).await, BatchStatus::Refused { .. }), is_refused, "{name}");
    }
}

#[tokio::test]
async fn what_is_uploaded_over_a_pinned_object_is_not_read() {
    let world = World::new(&definition()).await;
    world.send_csv("b", 2, 3).await;
    let run = world.run().await;
    world.put(INPUT, "acme/batches/orders/b/events.csv", csv(9, 9)).await;
    world.do_stateless(&world.handlers(60), &run).await.unwrap();
    assert_eq!(world.stateless(&run).await.totals.records(), 3);
}

#[tokio::test]
async fn an_object_that_was_taken_away_is_missed() {
    for before_split in [true, false] {
        let world = World::new(&definition()).await;
        world.send_csv("b", 2, 3).await;
        let (run, handlers) = (world.run().await, world.handlers(60));
        let pinned: PinnedBatch = world.document(DATA, &world.pinned(1).await).await;
        let at = Location::new(INPUT, &pinned.objects[0].key);
        if !before_split {
            world.split(&handlers, &run).await;
        }
        world.objects.delete(&at, pinned.objects[0].version.as_deref()).await.unwrap();
        world.do_stateless(&handlers, &run).await.unwrap_err();
        let BatchStatus::Refused { reason } = world.status("b").await else { panic!("not refused") };
        assert!(reason.contains("it was deleted after the batch was registered"), "{reason}");
    }
}

/// A bucket that keeps no versions: the tag says that the object is another one.
#[tokio::test]
async fn an_object_that_was_replaced_is_noticed_where_there_are_no_versions() {
    for before_split in [true, false] {
        let world = World::new(&definition()).await;
        world.send_csv("b", 2, 3).await;
        let (run, handlers) = (world.run().await, world.handlers(60));
        world.edit(DATA, &world.pinned(1).await, |pinned| pinned["objects"][0]["version"] = Value::Null).await;
        if !before_split {
            world.split(&handlers, &run).await;
        }
        // As long as the one before.
        world.put(INPUT, "acme/batches/orders/b/events.csv", csv(2, 3).replace("A-1", "A-9")).await;
        world.do_stateless(&handlers, &run).await.unwrap_err();
        let BatchStatus::Refused { reason } = world.status("b").await else { panic!("not refused") };
        assert!(reason.contains("it was replaced after the batch was registered"), "{reason}");
        assert_eq!(world.keys(WORK, &split_key(&run)).await.is_empty(), before_split);
    }
}

/// What every range holds of every partition is looked at together: past the memory there is, the job is stopped, and
/// goes on once there is more.
#[tokio::test]
async fn a_job_in_more_pieces_than_there_is_room_for_is_stopped() {
    let world = World::new(&definition()).await;
    world.send_csv("b1", 7, 40).await;
    let run = world.run().await;
    let handlers = world.handlers(100);
    let split = world.split(&handlers, &run).await;
    world.reduce(&handlers, &run).await.unwrap();
    let mut sections = 0;
    for index in 0..split.count {
        let range: ReducedRange = world.document(WORK, &range_key(&run, index)).await;
        sections += range.sections.len() as u64;
    }
    assert!(split.count > 5 && sections > split.count, "{sections}");
    let check = |sections: u64| {
        let coordinator = world.handlers(100).coordinator.holding(96 * sections);
        let request = StageRequest::CheckReduced { run: run.clone() };
        async move { coordinator.handle(request).await }
    };
    let error = check(sections - 1).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    let said = format!(
        "job 1 is cut into {} ranges by 2 partition bits: its events lie in more than {}",
        split.count,
        sections - 1
    );
    assert!(error.to_string().starts_with(&said), "{error}");
    assert!(!world.keys(WORK, "").await.iter().any(|key| key.contains("/reduced")), "nothing was begun");
    check(sections).await.unwrap();
}

/// A job that takes longer to read than a function lives is stopped before that: to read it all again would be of no use.
#[tokio::test]
async fn a_job_that_cannot_be_read_in_time_is_stopped() {
    let world = World::new(&definition()).await;
    let body = csv(2, 4);
    let said = manifest(0, &[("a", 4), ("b", 4), ("c", 4)], totals(12));
    world.send("b", &["a", "b", "c"].map(|name| (name, body.as_bytes())), &said).await;
    let run = world.run().await;
    let clock = world.clock.clone();
    let slowly = world.faulty_handlers(move |call: &Operation| {
        if call.name == "read" && call.what.contains("/batches/orders/b/") && !call.what.ends_with(".json") {
            clock.advance(Duration::from_secs(WORK_SECONDS_MAX / 2));
        }
        None
    });
    let request = || SplitRequest { run: run.clone() };
    let error = slowly.splitter.split(request()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    let said = format!("of the {} bytes of job 1 were read in the time that job-splitter has", 3 * body.len());
    assert!(error.to_string().contains(&said), "{error}");
    assert!(world.keys(WORK, &split_key(&run)).await.is_empty());
    assert_eq!(world.handlers(100).splitter.split(request()).await.unwrap().count, 6, "given the time");
}
