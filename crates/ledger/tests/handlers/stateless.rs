//! What becomes of events, whatever files they come in and however these are cut.

use std::{collections::BTreeMap, io::Write};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use ledger::{Stateless, commits::ReducedJob, layout::reduced_key, messages::RunInput};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};

use crate::kit::{DATA, HEADER, WORK, World, csv, definition, manifest, totals};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// The stateless files of a job, by partition.
async fn files(world: &World, run: &RunInput) -> BTreeMap<u32, Bytes> {
    let mut files = BTreeMap::new();
    for partition in world.stateless(run).await.partitions {
        files.insert(partition.partition.get(), world.bytes(WORK, &partition.file.key).await);
    }
    files
}

async fn keys(world: &World, run: &RunInput) -> Vec<String> {
    let mut keys = Vec::new();
    for file in files(world, run).await.values() {
        keys.extend(Stateless::open(file).unwrap().keys().map(|key| key.unwrap().to_owned()));
    }
    keys.sort();
    keys
}

#[tokio::test]
async fn two_batches_come_together_however_they_are_cut() {
    let mut results = Vec::new();
    for event_range_bytes in [1, 300, 1 << 20] {
        let world = World::new(&definition()).await;
        world.send_csv("first", 5, 40).await;
        let second = csv(7, 30).replace("2026-01-01T", "2026-01-02T");
        let (front, back) = second.split_at(second.find("A-3,e10,").unwrap());
        let objects = [("a.csv", front.as_bytes()), ("b.csv", &*[HEADER, back].concat().into_bytes())];
        world.send("second", &objects, &manifest(1, &[("a.csv", 10), ("b.csv", 20)], totals(30))).await;
        let run = world.run().await;
        assert_eq!(run.batches.count(), 2);
        world.do_stateless(&world.handlers(event_range_bytes), &run).await.unwrap();

        let manifest = world.stateless(&run).await;
        assert_eq!((manifest.totals.records(), manifest.partition_bits), (70, run.partition_bits));
        assert_eq!(keys(&world, &run).await, ["A-0", "A-1", "A-2", "A-3", "A-4", "A-5", "A-6"]);
        assert_eq!(world.job(&run).await.attempt, 2);
        results.push(files(&world, &run).await);
    }
    assert!(results[0] == results[1] && results[1] == results[2]);
}

/// Every way to write the same three events, and what the definition says of it.
fn ways() -> Vec<(&'static str, Value, Vec<u8>)> {
    let plain = csv(2, 3);
    let json_lines = "\u{feff}\n  \n{\"order\":\"A-0\",\"event\":\"e0\",\"at\":\"2026-01-01T00:00:00Z\",\"net\":0.25,\
        \"currency\":\"EUR\",\"note\":\"x\"}\r\n{\"order\":\"A-1\",\r\"event\":\"e1\",\"at\":\"2026-01-01T01:00:00Z\",\
        \"net\":1.25,\"currency\":\"EUR\",\"note\":\"\u{e9}\"}\n\n{\"order\":\"A-0\",\"event\":\"e2\",\
        \"at\":\"2026-01-01T02:00:00Z\",\"net\":2.25,\"currency\":\"EUR\",\"other\":[]}";
    let with = |path: &str, value: Value| {
        let mut definition = definition();
        definition["events"][path] = value;
        definition
    };
    let latin = [plain.replace("of two", "o\u{e9} two").chars().map(|c| c as u8).collect::<Vec<u8>>(), vec![]].concat();
    vec![
        ("plain", definition(), plain.clone().into_bytes()),
        ("byte order mark", definition(), format!("\u{feff}{plain}").into_bytes()),
        ("CRLF", definition(), plain.replace('\n', "\r\n").into_bytes()),
        ("no last line end", definition(), plain.trim_end().to_owned().into_bytes()),
        ("empty lines", definition(), format!("\n\n{plain}\n\n\r\n").into_bytes()),
        (
            "other columns",
            definition(),
            plain.replace(HEADER, &HEADER.replace("note", "remark,note")).replace("EUR,\"", "EUR,x,\"").into_bytes(),
        ),
        ("Latin-1", with("encoding", "iso-8859-1".into()), latin),
        ("JSON lines", with("format", "jsonLines".into()), json_lines.into()),
        ("gzip", with("compression", "gzip".into()), gzip(plain.as_bytes())),
        ("zstd", with("compression", "zstd".into()), zstd(plain.as_bytes())),
        (
            "semicolons",
            with("dialect", json!({ "delimiter": ";" })),
            plain.replace("note\"\",", "note\"\"").replace(',', ";").into(),
        ),
    ]
}

#[tokio::test]
async fn the_same_events_come_of_every_kind_of_file() {
    for (way, definition, bytes) in ways() {
        for event_range_bytes in [1, 1 << 20] {
            let world = World::new(&definition).await;
            world.send("b", &[("events", &bytes)], &manifest(0, &[("events", 3)], totals(3))).await;
            let run = world.run().await;
            let handlers = world.handlers(event_range_bytes);
            let done = world.do_stateless(&handlers, &run).await;
            assert!(done.is_ok(), "{way}: {done:?} {:?}", world.status("b").await);
            assert_eq!(keys(&world, &run).await, ["A-0", "A-1"], "{way}");
            assert_eq!(json!(world.stateless(&run).await.totals), totals(3), "{way}");
        }
    }
}

#[tokio::test]
async fn jobs_without_events_pass_through() {
    let marked = format!("\u{feff}\r\n{HEADER}");
    for (objects, said) in [
        (vec![], vec![]),
        (vec![("a.csv", HEADER.as_bytes())], vec![("a.csv", 0)]),
        (vec![("a.csv", HEADER.as_bytes()), ("b.csv", marked.as_bytes())], vec![("a.csv", 0), ("b.csv", 0)]),
    ] {
        let world = World::new(&definition()).await;
        world.send("quiet", &objects, &manifest(0, &said, totals(0))).await;
        let run = world.run().await;
        world.do_stateless(&world.handlers(100), &run).await.unwrap();
        let manifest = world.stateless(&run).await;
        assert_eq!((manifest.partitions.len(), manifest.totals.records()), (0, 0));
        assert_eq!(world.document::<Value>(WORK, &manifest.list).await, json!([]));
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_with_its_place() {
    let world = World::new(&definition()).await;
    let events = [
        HEADER,
        "A-1,e1,2026-01-01T08:00:00Z,1.00,EUR,\n",
        "A-1,e2,2026-01-01T09:00:00Z,2.005,EUR,\"two\nlines\"\n",
        "A-1,e1,2026-01-01T08:00:00Z,1.00,EUR,\n",
        "A-1,e1,2026-01-01T08:00:00Z,1.50,EUR,=other\n",
        "A-2,e3,2025-12-31T08:00:00Z,7.00,EUR,=1+1\n",
        "A-2,e4,2026-01-01T08:00:00Z,8.00,EUR\n",
    ];
    let sum = json!({ "records": 6, "columns": [
        { "column": "net", "currency": "EUR", "sum": "20.505", "amounts": 6, "unparsed": 0 }] });
    let objects = [("events.csv", &*events.concat().into_bytes())];
    world.send("b", &objects, &manifest(0, &[("events.csv", 6)], sum)).await;
    let run = world.run().await;
    world.do_stateless(&world.handlers(1 << 20), &run).await.unwrap();

    let reduced: ReducedJob = world.document(WORK, &reduced_key(&run)).await;
    let by_rule: Vec<(&str, u64)> = reduced.rejected_by_rule.iter().map(|(rule, count)| (&**rule, *count)).collect();
    assert_eq!(by_rule.iter().map(|(_, count)| count).sum::<u64>(), 3, "{by_rule:?}");
    assert_eq!((reduced.totals_in.records(), reduced.totals_out.records()), (6, 3));
    let rejects = world.bytes(DATA, &reduced.rejects[0].key).await;
    let rejects: Vec<_> = records::RejectReader::new(&rejects).map(Result::unwrap).collect();
    let places: Vec<_> = rejects.iter().map(|reject| (reject.violation.row, reject.violation.rule.as_str())).collect();
    assert_eq!((places[0], places[1]), ((2, "minor-units"), (5, "interval")), "{places:?}");
    assert_eq!(rejects[0].violation.byte_offset as usize, events[..2].concat().len());
    assert_eq!((rejects[2].violation.row, &*rejects[2].record), (6, "A-2,e4,2026-01-01T08:00:00Z,8.00,EUR"));

    let combined = &world.stateless(&run).await.partitions[0];
    assert_eq!((combined.duplicates.records(), combined.conflicts.records(), combined.artifacts), (1, 1, 1));
    let conflicts = world.bytes(DATA, &combined.rejects.as_ref().unwrap().key).await;
    let conflict: Value = serde_json::from_slice(&conflicts).unwrap();
    assert_eq!(conflict["rule"], "event-conflict");
    assert_eq!((&conflict["key"], &conflict["event_id"], &conflict["row"]), (&json!("A-1"), &json!("e1"), &json!(4)));
    assert_eq!(conflict["kept"]["row"], 1);
    assert!(reduced.rejects[0].key.contains("/rejects/reduce-000000/"), "{}", reduced.rejects[0].key);
}

/// The reject file is written as rejects come, with its column names once; a range without rejects has none.
#[tokio::test]
async fn a_range_of_rejects_has_one_file() {
    let world = World::new(&definition()).await;
    let records = 60_000;
    let file = [HEADER, &"A-1,e1,never,1.00,EUR,\n".repeat(records)].concat();
    let sum = json!({ "records": records, "columns": [
        { "column": "net", "currency": "EUR", "sum": format!("{records}.00"), "amounts": records, "unparsed": 0 }] });
    let objects = [("events.csv", file.as_bytes())];
    world.send("b", &objects, &manifest(0, &[("events.csv", records as u32)], sum)).await;
    let run = world.run().await;
    world.do_stateless(&world.handlers(1 << 30), &run).await.unwrap();
    let reduced: ReducedJob = world.document(WORK, &reduced_key(&run)).await;
    let [written] = reduced.rejects.as_slice() else { panic!("{:?}", reduced.rejects) };
    let file = world.bytes(DATA, &written.key).await;
    assert_eq!(file.len() as u64, written.bytes);
    assert!(written.bytes > 5 << 20, "more than is held at once: {}", written.bytes);
    assert!(file.starts_with(b"row,byte_offset,"));
    assert_eq!(file.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"row,")).count(), 1);
    let rows = records::RejectReader::new(&file).map(|reject| reject.unwrap().violation.row);
    assert!(rows.eq(1..=records as u64));
}

#[tokio::test]
async fn every_step_has_a_row_with_its_figures() {
    let world = World::new(&definition()).await;
    world.send_csv("b", 3, 9).await;
    let run = world.run().await;
    world.do_stateless(&world.handlers(100), &run).await.unwrap();
    let steps = ledger::steps::Steps::new(world.book()).of_job(&run.ledger, run.job).await.unwrap();
    let [combine, reduce, split] = steps.as_slice() else { panic!("{steps:?}") };
    let bytes = csv(3, 9).len() as u64;
    for (row, step, figures) in [
        (split, "split", &[("batches", 1), ("objects", 1), ("records", 9), ("bytes", bytes)][..]),
        (reduce, "reduce", &[("records", 9), ("events", 9)]),
        (combine, "combine", &[("events", 9), ("artifacts", 3), ("duplicates", 0), ("conflicts", 0)]),
    ] {
        assert_eq!((row.step.as_str(), row.attempt, row.status), (step, 1, ledger::steps::StepStatus::Done));
        assert!(row.started_at.is_some() && row.ended_at.is_some(), "{row:?}");
        figures.iter().for_each(|(name, value)| assert_eq!(row.figures[*name], *value, "{step}: {name}"));
    }
    assert!(split.figures["ranges"].as_u64() > Some(1) && split.figures["ranges"] == reduce.figures["ranges"]);
    assert!(split.started_at <= reduce.started_at && split.ended_at == reduce.started_at);
    assert_eq!(reduce.ended_at, combine.started_at);
}
