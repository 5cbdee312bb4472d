//! What applying a hot key takes of memory: a test of its own, because it looks at the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking, their helpers too")]

use std::fmt::Write as _;

use ledger::{
    Apply, ApplyJob, BatchSequence, EventRange, Interval, JobBatches, JobNumber, LINES_BYTES_MAX, Ledger, Partition,
    PartitionBits, Piece, PrefetchedWriter, ReducedSection, SIDE_BYTES_MAX, Stateless, combine, reduce,
};
use records::Header;
use serde_json::json;

const HEADER: &str = "order,id,at,amount,currency\n";
const EVENTS: usize = 1_000_000;

fn ledger() -> Ledger {
    let document = json!({
        "name": "orders",
        "sources": { "shop": "2024-05-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "order" }, { "name": "id" }, { "name": "at", "type": "datetime" },
            { "name": "amount", "type": "number" }, { "name": "currency" },
        ] },
        "artifactKey": ["order"],
        "eventId": "id",
        "eventTime": "at",
        "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
        "measures": { "net": { "measure": "sum", "column": "amount" } },
        "eventLines": { "keep": "all" },
        "partitionBits": 0,
    });
    Ledger::from_json(&document.to_string()).unwrap()
}

/// A million events of one key, combined.
fn stateless(ledger: &Ledger) -> Vec<u8> {
    let mut records = String::new();
    for id in 0..EVENTS {
        let (hour, minute, second) = (id / 3600 % 24, id / 60 % 60, id % 60);
        writeln!(records, "hot,event-{id:08},2024-05-01T{hour:02}:{minute:02}:{second:02}Z,0.01,USD").unwrap();
    }
    let header = Header::parse(HEADER.as_bytes(), ledger.format()).unwrap();
    let at = |day: u64| format!("2024-05-{day:02}T00:00:00Z").parse().unwrap();
    let range = EventRange {
        bytes: records.as_bytes(),
        offset: 0,
        first_row: 1,
        batch: BatchSequence::FIRST,
        object: 0,
        interval: Interval::new(at(1), at(2)).unwrap(),
    };
    let reduced = reduce(ledger, Some(&header), &range, PartitionBits::ZERO).unwrap();
    let section = reduced.sections[0];
    let bytes = &reduced.file[section.range().start as usize..section.range().end as usize];
    combine(ledger, PartitionBits::ZERO, Partition::new(0), &[ReducedSection { section, bytes }]).unwrap().file
}

/// A figure of the process, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn a_million_lines_of_one_artifact_are_held_run_by_run() {
    let ledger = ledger();
    let stateless = stateless(&ledger);
    let stateless = Stateless::open(&stateless).unwrap();
    let mut prefetched = PrefetchedWriter::default();
    prefetched.push("hot", None);
    let prefetched = prefetched.finish();
    let job = ApplyJob {
        batches: JobBatches::one(BatchSequence::FIRST),
        snapshot: JobNumber::ZERO,
        bits: PartitionBits::ZERO,
        partition: Partition::new(0),
        folder: "apply/0000/attempt",
        part_bytes_max: 64 << 20,
    };
    // Forgets the peak so far.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let mut apply = Apply::new(&ledger, job, &stateless, &prefetched, &[]).unwrap();
    let (mut runs, mut bytes, mut lines) = (0, 0, 0);
    let part = loop {
        match apply.next_piece().unwrap().unwrap() {
            Piece::Part(part) => break part,
            Piece::SideLines { bytes: run, .. } => {
                assert!(run.len() < SIDE_BYTES_MAX + LINES_BYTES_MAX + 1_000, "{}", run.len());
                (runs, bytes) = (runs + 1, bytes + run.len());
                lines += run.iter().filter(|byte| **byte == b'\n').count();
            }
        }
    };
    let peak = status("VmHWM:") - before;
    println!("{bytes} bytes of lines, in {runs} runs: {peak} bytes at the peak");
    assert!(bytes > 150 << 20 && part.lines.len() < 1_000);
    assert_eq!((part.side.len(), part.side.iter().map(|run| run.length).sum::<u64>()), (runs, bytes as u64));
    // A run that grows is held twice for a moment, and the one before may not be given back yet.
    assert!(peak < 4 * SIDE_BYTES_MAX, "{peak} bytes for {bytes} bytes of lines");
    assert_eq!(lines, EVENTS + runs, "and a header line a run");
    assert!(apply.next_piece().unwrap().is_none());
}
