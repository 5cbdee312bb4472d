//! One stage at a time: what is refused, what is rejected, and what is too much for one line.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use ledger::{
    Applied, Apply, ApplyError, ApplyJob, BatchSequence, BusinessRule, Combined, Definition, EventRange, Facts,
    IndexEntry, Interval, JobBatches, JobNumber, Judgement, Ledger, Origin, Overlay, PartBytes, PartFile, Partition,
    PartitionBits, PrefetchedWriter, Reduced, Reduction, Rules, Sidecar, Stateless, Status, combine, event_rule,
    reduce,
};
use records::{Header, Reject};
use serde_json::{Value, json};

use crate::world::{Batch, EventObject, World, pieces, sections};

fn document(extra: Value) -> Value {
    let mut document = json!({
        "name": "orders",
        "sources": { "shop": "2024-05-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "order" }, { "name": "id" }, { "name": "at", "type": "datetime" }, { "name": "amount", "type": "number" },
            { "name": "currency" },
        ] },
        "artifactKey": ["order"],
        "eventId": "id",
        "eventTime": "at",
        "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
        "measures": { "net": { "measure": "sum", "column": "amount" } },
        "partitionBits": 0,
    });
    for (name, value) in extra.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

fn ledger(extra: Value) -> Ledger {
    Ledger::from_json(&document(extra).to_string()).unwrap()
}

const HEADER: &[u8] = b"order,id,at,amount,currency\n";

fn day(day: u64) -> Interval {
    let at = |day: u64| format!("2024-05-{day:02}T00:00:00Z").parse().unwrap();
    Interval::new(at(day), at(day + 1)).unwrap()
}

/// Reduces records of the batch and day of that number.
fn reduced(ledger: &Ledger, batch: u64, records: &str) -> Reduced {
    reduced_and_rejects(ledger, batch, records).0
}

fn reduced_and_rejects(ledger: &Ledger, batch: u64, records: &str) -> (Reduced, Vec<Reject>) {
    let range = EventRange {
        bytes: records.as_bytes(),
        offset: 100,
        first_row: 11,
        batch: BatchSequence::new(batch),
        object: 0,
        interval: day(batch),
    };
    let header = Header::parse(HEADER, ledger.format()).unwrap();
    all(Reduction::new(ledger, Some(&header), &range, PartitionBits::ZERO).unwrap())
}

fn all(mut reduction: Reduction<'_>) -> (Reduced, Vec<Reject>) {
    let mut rejects = Vec::new();
    while let Some(next) = reduction.next_rejects().unwrap() {
        rejects.extend(next);
    }
    (reduction.finish().unwrap(), rejects)
}

fn combined(ledger: &Ledger, batch: u64, records: &str) -> Combined {
    let reduced = [reduced(ledger, batch, records)];
    combine(ledger, PartitionBits::ZERO, Partition::new(0), &sections(&reduced, Partition::new(0))).unwrap()
}

fn rules(rejects: &[Reject]) -> Vec<(u64, u64, &str)> {
    let rejects = rejects.iter().map(|reject| &reject.violation);
    rejects.map(|violation| (violation.row, violation.byte_offset, violation.rule.as_str())).collect()
}

#[test]
fn events_that_cannot_be_taken_are_rejected_one_by_one() {
    let ledger = ledger(json!({}));
    let long = "k".repeat(1025);
    let records = format!(
        "a,1,2024-05-01T10:00:00Z,1.50,USD\n\
         ,2,2024-05-01T10:00:00Z,1,USD\n\
         {long},3,2024-05-01T10:00:00Z,1,USD\n\
         a,,2024-05-01T10:00:00Z,1,USD\n\
         a,5,,1,USD\n\
         a,6,2024-05-02T00:00:00Z,1,USD\n\
         a,7,2024-05-01T10:00:00Z,1,usd\n\
         a,8,2024-05-01T10:00:00Z,0.001,USD\n\
         a,9,2024-05-01T10:00:00Z,1e3,USD\n\
         a,10,yesterday,1,USD\n\
         a,11,2024-05-01T10:00:00Z,1\n\
         a,12,2024-05-01T10:00:00Z,,\n\
         a,13,2024-05-01T23:59:59.999Z,-7.0,JPY\n"
    );
    let (reduced, rejects) = reduced_and_rejects(&ledger, 1, &records);
    let seen: Vec<_> = rules(&rejects).into_iter().map(|(row, _, rule)| (row, rule)).collect();
    assert_eq!(
        seen,
        [
            (12, event_rule::ARTIFACT_KEY),
            (13, event_rule::ARTIFACT_KEY),
            (14, event_rule::EVENT_ID),
            (15, event_rule::EVENT_TIME),
            (16, event_rule::INTERVAL),
            (17, event_rule::CURRENCY),
            (18, event_rule::MINOR_UNITS),
            (19, "type"),
            (20, "type"),
            (21, "field-count"),
        ]
    );
    assert_eq!(rejects[0].violation.byte_offset, 100 + 34);
    assert_eq!(reduced.rejected_by_rule[event_rule::ARTIFACT_KEY], 2);
    assert_eq!(
        reduced.totals_out.to_string(),
        "3 records\namount in JPY: -7 in 1 amounts\namount in USD: 1.50 in 1 amounts"
    );
    assert_eq!(reduced.totals_in.records(), 13);
    let usd = reduced.totals_in.column("amount", Some("USD".parse().unwrap()));
    // 1.50 + 1 × 6 (rows 12 to 16 and 20) + 0.001, and 1e3, which is no amount.
    assert_eq!((usd.sum.to_string().as_str(), usd.amounts, usd.unparsed), ("7.501", 8, 1));
}

#[test]
fn json_lines_are_rejected_with_their_own_rows() {
    let events = json!({ "format": "jsonLines", "fields": document(json!({}))["events"]["fields"] });
    let ledger = ledger(json!({ "events": events }));
    let line = |id: &str, amount: &str| {
        format!(
            "{{\"order\":\"a\",\"id\":\"{id}\",\"at\":\"2024-05-01T10:00:00Z\",\"amount\":{amount},\"currency\":\"USD\"}}\n"
        )
    };
    let bytes =
        [line("1", "0.10"), "{oops\n".to_owned(), "\n".to_owned(), line("3", "1E2"), line("4", "12345678901234567.89")];
    let bytes = bytes.concat();
    let range = EventRange {
        bytes: bytes.as_bytes(),
        offset: 1000,
        first_row: 5,
        batch: BatchSequence::FIRST,
        object: 0,
        interval: day(1),
    };
    let (reduced, rejects) = all(Reduction::new(&ledger, None, &range, PartitionBits::ZERO).unwrap());
    let first = line("1", "0.10").len() as u64;
    assert_eq!(rules(&rejects), [(6, 1000 + first, "json"), (7, 1000 + first + 7, "type")]);
    assert_eq!(rejects[1].record, line("3", "1E2").trim_end());
    assert_eq!(reduced.totals_in.records(), 4);
    let usd = reduced.totals_out.column("amount", Some("USD".parse().unwrap()));
    assert_eq!(usd.sum.to_string(), "12345678901234567.99");
}

/// A range can be nothing but rejects, which take many times its memory: only a piece of them is held, whatever the format.
#[test]
fn rejects_are_handed_over_before_they_are_many() {
    let json = json!({ "format": "jsonLines", "fields": document(json!({}))["events"]["fields"] });
    let kinds = [
        (json!({}), "a,1\n", "field-count"),
        (json!({ "events": json }), "x\n", "json"),
        (json!({ "events": json }), "{}\n", "artifact-key"),
    ];
    for (extra, record, rule) in kinds {
        let ledger = ledger(extra);
        let records = 500_000;
        let bytes = record.repeat(records);
        let range = EventRange {
            bytes: bytes.as_bytes(),
            offset: 0,
            first_row: 1,
            batch: BatchSequence::FIRST,
            object: 0,
            interval: day(1),
        };
        let header = Header::parse(HEADER, ledger.format()).unwrap();
        let mut reduction = Reduction::new(&ledger, Some(&header), &range, PartitionBits::ZERO).unwrap();
        let (mut row, mut pieces) = (0, 0);
        while let Some(rejects) = reduction.next_rejects().unwrap() {
            assert!(rejects.len() < 100_000, "{}", rejects.len());
            for (reject, row) in rejects.iter().zip(row + 1..) {
                let (found, offset) = (reject.violation.row, (row - 1) * record.len() as u64);
                assert_eq!((found, reject.violation.byte_offset), (row, offset), "{rule}");
            }
            (row, pieces) = (row + rejects.len() as u64, pieces + 1);
        }
        let reduced = reduction.finish().unwrap();
        assert!(pieces > 5, "{pieces}");
        assert_eq!((row, reduced.totals_in.records(), reduced.rejected_by_rule[rule]), (500_000, 500_000, 500_000));
    }
}

#[test]
fn a_batch_can_be_refused_for_one_event() {
    let ledger = ledger(json!({ "onReject": "refuse" }));
    let range = EventRange {
        bytes: b"a,1,2024-05-09T10:00:00Z,1,USD\n",
        offset: 28,
        first_row: 1,
        batch: BatchSequence::FIRST,
        object: 3,
        interval: day(1),
    };
    let header = Header::parse(HEADER, ledger.format()).unwrap();
    let error = reduce(&ledger, Some(&header), &range, PartitionBits::ZERO).unwrap_err();
    assert!(
        error.to_string().starts_with("batch 1, object 3, row 1, at byte 28: interval: expected a time"),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    let header = Header::parse(b"order,id,amount,currency\n", ledger.format()).unwrap();
    let error = reduce(&ledger, Some(&header), &range, PartitionBits::ZERO).unwrap_err();
    assert!(error_class::chain(&error).contains("missing \"at\""), "{error}");
}

#[test]
fn several_columns_make_one_key_without_collisions() {
    let ledger = ledger(json!({ "artifactKey": ["order", "currency"], "amounts": [] }));
    let combined = combined(
        &ledger,
        1,
        "a|b,1,2024-05-01T10:00:00Z,1,c\na,2,2024-05-01T10:00:00Z,1,b|c\na\\,3,2024-05-01T10:00:00Z,1,b\n",
    );
    let stateless = Stateless::open(&combined.file).unwrap();
    let keys: Vec<_> = stateless.keys().map(Result::unwrap).collect();
    assert_eq!(keys, ["a\\\\|b", "a\\|b|c", "a|b\\|c"]);
}

/// Of one id the earliest event stays, wherever it was read; the other is counted, and named where it differs.
#[test]
fn the_earliest_of_one_id_stays() {
    let ledger = ledger(json!({}));
    let first = reduced(&ledger, 1, "a,1,2024-05-01T10:00:00Z,1.00,USD\n");
    let range = |object, bytes: &'static [u8]| EventRange {
        bytes,
        offset: 0,
        first_row: 1,
        batch: BatchSequence::FIRST,
        object,
        interval: day(1),
    };
    let header = Header::parse(HEADER, ledger.format()).unwrap();
    let other = |object, bytes| reduce(&ledger, Some(&header), &range(object, bytes), PartitionBits::ZERO).unwrap();
    let later = other(1, b"a,1,2024-05-01T09:00:00Z,5.00,USD\na,1,2024-05-01T10:00:00Z,1.00,USD\n");
    for reduced in [[&first, &later], [&later, &first]] {
        let sections: Vec<_> =
            reduced.iter().flat_map(|reduced| sections(std::slice::from_ref(*reduced), Partition::new(0))).collect();
        let combined = combine(&ledger, PartitionBits::ZERO, Partition::new(0), &sections).unwrap();
        assert_eq!(combined.totals_out.to_string(), "1 records\namount in USD: 1.00 in 1 amounts");
        assert_eq!(combined.duplicates.to_string(), "1 records\namount in USD: 1.00 in 1 amounts");
        assert_eq!(combined.conflicts.to_string(), "1 records\namount in USD: 5.00 in 1 amounts");
        let conflict = &combined.rejected[0];
        let origin = |object, row| Origin { batch: BatchSequence::FIRST, object, row };
        assert_eq!((conflict.rejected, conflict.kept), (origin(1, 1), Some(origin(0, 11))));
    }
}

#[test]
fn damaged_files_are_refused() {
    let ledger = ledger(json!({}));
    let good = reduced(&ledger, 1, "a,1,2024-05-01T10:00:00Z,1,USD\n");
    let combine = |reduced: &Reduced, bits: u8, partition: u32| {
        let bits = PartitionBits::new(bits).unwrap();
        let all = sections(std::slice::from_ref(reduced), Partition::new(0));
        combine(&ledger, bits, Partition::new(partition), &all).map(|combined| combined.artifacts)
    };
    assert_eq!(combine(&good, 0, 0).unwrap(), 1);
    let mut damaged = reduced(&ledger, 1, "a,1,2024-05-01T10:00:00Z,1,USD\n");
    damaged.file[20] ^= 1;
    assert_eq!(combine(&damaged, 0, 0).unwrap_err().class(), ErrorClass::Bug);
    let mut lying = reduced(&ledger, 1, "a,1,2024-05-01T10:00:00Z,1,USD\n");
    lying.sections[0].records = 2;
    assert!(combine(&lying, 0, 0).unwrap_err().to_string().contains("another number of events"));
    let misplaced = combine(&good, 1, 0).and_then(|_| combine(&good, 1, 1)).unwrap_err();
    assert!(misplaced.to_string().contains("is not of partition"), "{misplaced}");
}

/// What apply is told in the tests below: job 3, prefetched when job 1 was indexed.
fn apply(
    ledger: &Ledger,
    combined: &Combined,
    prefetched: &[u8],
    overlays: &[Overlay<'_>],
) -> Result<(Vec<PartFile>, Applied), ApplyError> {
    apply_as(ledger, 3, 1, combined, prefetched, overlays)
}

fn apply_as(
    ledger: &Ledger,
    batch: u64,
    snapshot: u64,
    combined: &Combined,
    prefetched: &[u8],
    overlays: &[Overlay<'_>],
) -> Result<(Vec<PartFile>, Applied), ApplyError> {
    let folder = format!("default/orders/job={}/0000/attempt", JobNumber::new(batch).padded());
    let job = ApplyJob {
        batches: JobBatches::one(BatchSequence::new(batch)),
        snapshot: JobNumber::new(snapshot),
        bits: PartitionBits::ZERO,
        partition: Partition::new(0),
        folder: &folder,
        part_bytes_max: 1 << 20,
    };
    let stateless = Stateless::open(&combined.file).unwrap();
    let mut apply = Apply::new(ledger, job, &stateless, prefetched, overlays)?;
    let (parts, _) = pieces(&mut apply)?;
    Ok((parts, apply.finish()?))
}

/// A key, and where the index says that it is, with what stands there.
type Found<'f> = (&'f str, Option<(&'f IndexEntry, &'f [u8])>);

fn prefetched(found: &[Found<'_>]) -> Vec<u8> {
    let mut writer = PrefetchedWriter::default();
    found.iter().for_each(|(key, found)| writer.push(key, *found));
    writer.finish()
}

/// The only artifact of a part-file.
fn only(part: &PartFile) -> (IndexEntry, &[u8]) {
    let mut sidecar = Sidecar::open(&part.sidecar).unwrap();
    let entry = sidecar.next().unwrap().unwrap();
    let index = sidecar.index_entry(&entry);
    (index, &part.lines[..entry.length as usize])
}

#[test]
fn the_base_is_the_newest_version_and_anything_else_is_refused() {
    let ledger = ledger(json!({}));
    let one = combined(&ledger, 1, "a,1,2024-05-01T10:00:00Z,1.00,USD\n");
    let two = combined(&ledger, 2, "a,2,2024-05-02T10:00:00Z,2.00,USD\n");
    let three = combined(&ledger, 3, "a,3,2024-05-03T10:00:00Z,4.00,USD\n");
    let first = apply_as(&ledger, 1, 0, &one, &prefetched(&[("a", None)]), &[]).unwrap().0;
    let (entry, line) = only(&first[0]);
    let found = prefetched(&[("a", Some((&entry, line)))]);
    let second = apply_as(&ledger, 2, 1, &two, &found, &[]).unwrap().0;
    let (newer, newer_line) = only(&second[0]);
    let parts = [PartBytes { sidecar: &second[0].sidecar, lines: &second[0].lines }];
    let overlay = |job| Overlay { job: JobNumber::new(job), parts: &parts };

    let sum = |outcome: Result<(Vec<PartFile>, Applied), ApplyError>| {
        let (parts, _) = outcome.unwrap();
        let artifact: Value = serde_json::from_slice(only(&parts[0]).1).unwrap();
        (artifact["measures"]["net"][0]["amount"].clone(), artifact["previous"]["sequence"].clone())
    };
    let both = (json!("7.00"), json!(2));
    assert_eq!(sum(apply(&ledger, &three, &found, &[overlay(2)])), both, "the overlay is newer");
    let newest = prefetched(&[("a", Some((&newer, newer_line)))]);
    assert_eq!(sum(apply(&ledger, &three, &newest, &[overlay(2)])), both, "indexing was running");
    assert_eq!(sum(apply(&ledger, &three, &prefetched(&[("a", None)]), &[overlay(2)])), both, "the first is in flight");

    let refused = |prefetched: &[u8], overlays: &[Overlay<'_>]| {
        let error = apply(&ledger, &three, prefetched, overlays).unwrap_err();
        (error.class(), error.to_string())
    };
    let (class, says) = refused(&newest, &[]);
    assert!(class == ErrorClass::Bug && says.contains("no overlay holds it"), "{says}");
    let (class, says) = refused(&found, &[overlay(1)]);
    assert!(class == ErrorClass::Bug && says.contains("job 1 was overlaid"), "{says}");
    let (_, says) = refused(&found, &[overlay(3)]);
    assert!(says.contains("job 3 was overlaid"), "{says}");
    let (_, says) = refused(&prefetched(&[]), &[]);
    assert!(says.contains("\"a\" was not prefetched"), "{says}");
    let (_, says) = refused(&prefetched(&[("a", None), ("b", None)]), &[]);
    assert!(says.contains("\"b\" was prefetched, and is not of the job"), "{says}");

    let changed = String::from_utf8(newer_line.to_vec()).unwrap().replace("3.00", "3.01");
    let (_, says) = refused(&prefetched(&[("a", Some((&newer, changed.as_bytes())))]), &[overlay(2)]);
    assert!(says.contains("two versions 2 that differ"), "{says}");
    let elsewhere =
        prefetched(&[("a", Some((&IndexEntry { sequence: BatchSequence::new(2), ..entry.clone() }, line)))]);
    assert_eq!(
        apply_as(&ledger, 4, 2, &combined(&ledger, 4, "a,4,2024-05-04T10:00:00Z,1,USD\n"), &elsewhere, &[])
            .unwrap_err()
            .class(),
        ErrorClass::Bug
    );
    let zombie = prefetched(&[("a", Some((&IndexEntry { sequence: BatchSequence::new(3), ..entry.clone() }, line)))]);
    assert_eq!(refused(&zombie, &[]).0, ErrorClass::Conflict);

    let mut damaged = second[0].lines.clone();
    damaged[30] ^= 1;
    let parts = [PartBytes { sidecar: &second[0].sidecar, lines: &damaged }];
    let (_, says) = refused(&found, &[Overlay { job: JobNumber::new(2), parts: &parts }]);
    assert!(says.contains("not the one that its sidecar tells of"), "{says}");
}

#[test]
fn an_artifact_that_cannot_keep_another_id_parks_the_job() {
    let ledger = ledger(json!({ "duplicates": { "scope": "artifact", "idsMax": 2 } }));
    let day_one = combined(&ledger, 1, "a,1,2024-05-01T10:00:00Z,1.00,USD\na,2,2024-05-01T10:00:00Z,1.00,USD\n");
    let first = apply_as(&ledger, 1, 0, &day_one, &prefetched(&[("a", None)]), &[]).unwrap().0;
    let (entry, line) = only(&first[0]);
    let found = prefetched(&[("a", Some((&entry, line)))]);
    // The same event comes again, and one of its id with another amount: neither is new, and nothing is written.
    let again = combined(&ledger, 3, "a,1,2024-05-03T10:00:00Z,1.00,USD\n");
    let (parts, applied) = apply(&ledger, &again, &found, &[]).unwrap();
    assert!(parts.is_empty());
    assert_eq!((applied.conflicts.records(), applied.artifacts, applied.rejected.len()), (1, 0, 1));
    let third = combined(&ledger, 3, "a,3,2024-05-03T10:00:00Z,1.00,USD\n");
    let error = apply(&ledger, &third, &found, &[]).unwrap_err();
    assert!(error.to_string().contains("more than 2 event ids"), "{error}");
    assert_eq!(error.class(), ErrorClass::InvalidInput);
}

#[test]
fn a_sum_that_cannot_be_held_is_an_error_that_names_the_artifact() {
    let ledger = ledger(json!({ "amounts": [] }));
    let most = i128::MAX.to_string();
    let records = format!("a,1,2024-05-03T10:00:00Z,{most},\na,2,2024-05-03T10:00:00Z,{most},\n");
    let error = apply(&ledger, &combined(&ledger, 3, &records), &prefetched(&[("a", None)]), &[]).unwrap_err();
    assert_eq!(
        error_class::chain(&error),
        "the amounts of artifact \"a\" cannot be summed: the amount has more digits than can be held exactly (38)"
    );
}

/// One artifact takes 120,000 events in three jobs, a late one among them: its line stays short, and its events are all
/// there.
#[test]
fn a_hot_key_keeps_its_lines_in_side_files() {
    let ledger = ledger(json!({ "eventLines": { "keep": "all" } }));
    let mut world = World::default();
    for batch in 1..=3_u64 {
        let event = |id: u64| {
            let (minute, second) = (id / 60 % 60, id % 60);
            format!("hot,{batch}-{id:06},2024-05-{batch:02}T10:{minute:02}:{second:02}Z,0.01,USD\n")
        };
        let records: String = (0..40_000).map(event).collect();
        let object = EventObject { header: Some(HEADER.to_vec()), ranges: vec![records.into_bytes()] };
        let batch = Batch { sequence: BatchSequence::new(batch), interval: day(batch), objects: vec![object] };
        let snapshot = world.indexed;
        world.run(&ledger, &[batch], PartitionBits::ZERO, snapshot, 0);
        world.index_next();
    }
    // A few more stay in the line.
    let object =
        EventObject { header: Some(HEADER.to_vec()), ranges: vec![b"hot,x,2024-05-04T00:00:00Z,0.01,USD\n".to_vec()] };
    let batch = Batch { sequence: BatchSequence::new(4), interval: day(4), objects: vec![object] };
    world.run(&ledger, &[batch], PartitionBits::ZERO, 3, 0);
    world.index_next();

    let line = world.read(&world.index["hot"]);
    assert!(line.len() < 2000, "{}", line.len());
    let artifact: Value = serde_json::from_slice(line).unwrap();
    assert_eq!(artifact["measures"]["net"], json!([{ "currency": "USD", "amount": "1200.01" }]));
    assert_eq!((artifact["lines"].as_array().unwrap().len(), &artifact["lines_file"]["lines"]), (1, &json!(120_000)));
    let (mut at, mut ids) = (artifact["lines_file"].clone(), std::collections::BTreeSet::new());
    while let Some(file) = at["file"].as_str() {
        let start = at["offset"].as_u64().unwrap() as usize;
        let bytes = &world.files[file][start..start + at["length"].as_u64().unwrap() as usize];
        let mut lines = bytes.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
        let heading: Value = serde_json::from_slice(lines.next().unwrap()).unwrap();
        assert_eq!(heading["key"], "hot");
        for line in lines {
            let line: Value = serde_json::from_slice(line).unwrap();
            assert!(ids.insert(line["event_id"].as_str().unwrap().to_owned()));
        }
        at = heading["previous"].clone();
    }
    assert_eq!(ids.len(), 120_000);
}

/// An order is settled when one payment came after the last invoice: what sums cannot say.
#[derive(Debug)]
struct PaidAfterInvoice;

impl BusinessRule for PaidAfterInvoice {
    fn name(&self) -> &str {
        "paid-after-invoice"
    }

    fn version(&self) -> u32 {
        1
    }

    fn judge(&self, artifact: &Facts<'_>) -> Judgement {
        match (artifact.dated("invoiced").first(), artifact.dated("paid").first()) {
            (Some(invoiced), Some(paid)) if paid.event_time >= invoiced.event_time => Judgement::of(Status::Reconciled),
            (Some(_), Some(_)) => Judgement::of(Status::Break),
            _ => Judgement::of(Status::Open),
        }
    }
}

#[test]
fn a_business_rule_says_what_the_document_cannot() {
    let extra = json!({
        "measures": {
            "invoiced": { "measure": "last", "column": "amount", "where": { "currency": "USD" } },
            "paid": { "measure": "last", "column": "amount", "where": { "currency": "EUR" } },
        },
        "status": { "rule": "paid-after-invoice" },
    });
    let rules = Rules::new([Arc::new(PaidAfterInvoice) as Arc<dyn BusinessRule>]);
    let ledger = Ledger::new(Definition::from_json(&document(extra).to_string()).unwrap(), &rules).unwrap();
    let records = "open,1,2024-05-03T10:00:00Z,1,USD\n\
                   paid,1,2024-05-03T10:00:00Z,1,USD\npaid,2,2024-05-03T11:00:00Z,1,EUR\n\
                   early,1,2024-05-03T10:00:00Z,1,USD\nearly,2,2024-05-03T09:00:00Z,1,EUR\n";
    let found = prefetched(&[("early", None), ("open", None), ("paid", None)]);
    let (parts, applied) = apply(&ledger, &combined(&ledger, 3, records), &found, &[]).unwrap();
    assert_eq!((applied.open, applied.reconciled, applied.breaks), (1, 1, 1));
    let lines = std::str::from_utf8(&parts[0].lines).unwrap().lines();
    let statuses: Vec<Value> =
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone()).collect();
    assert_eq!(statuses, ["break", "open", "reconciled"]);
}

/// Numbers are compared and added as numbers, whatever they are written as; any other cell is its text.
#[test]
fn filters_on_numbers_take_numbers_and_sums_have_the_decimals_of_what_was_added() {
    let count = |cells: Value| json!({ "measure": "count", "where": cells });
    let ledger = ledger(json!({
        "amounts": [{ "column": "amount" }],
        "measures": {
            "one": count(json!({ "amount": "1.00" })), "none": count(json!({ "amount": "" })),
            "code": count(json!({ "currency": "1" })),
            "rates": { "measure": "sum", "column": "amount" }, "least": { "measure": "min", "column": "amount" },
        },
    }));
    let at = "2024-05-03T10:00:00Z";
    let records =
        format!("a,1,{at},1,1\na,2,{at},1.0,1.0\na,3,{at},01.000,1\na,4,{at},,\na,5,{at},0.10,2\na,6,{at},1.15,3\n");
    let (parts, _) = apply(&ledger, &combined(&ledger, 3, &records), &prefetched(&[("a", None)]), &[]).unwrap();
    let artifact: Value = serde_json::from_slice(&parts[0].lines).unwrap();
    let measures = &artifact["measures"];
    assert_eq!((&measures["one"], &measures["none"], &measures["code"]), (&json!(3), &json!(1), &json!(2)));
    assert_eq!(measures["rates"], json!([{ "currency": null, "amount": "4.25" }]));
    assert_eq!(measures["least"], json!([{ "currency": null, "amount": "0.1" }]));
}
