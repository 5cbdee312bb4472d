//! What a batch costs, stage by stage: 2,000,000 events of 500,000 artifacts, each of which exists already.
//!
//! `cargo bench -p ledger`; one core, everything in memory, 16 ranges and 16 partitions. The unit is events a second.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that cannot run has nothing to report")]

use std::{fmt::Write as _, hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ledger::{
    Apply, ApplyJob, BatchSequence, Combined, EventRange, IndexEntry, Interval, JobBatches, JobNumber, Ledger,
    PartFile, PartitionBits, Piece, PrefetchedWriter, Reduced, ReducedSection, Sidecar, Stateless, combine, reduce,
};
use records::Header;

const EVENTS: u64 = 2_000_000;
const ARTIFACTS: u64 = 500_000;
const RANGES: u64 = 16;
const HEADER: &[u8] = b"order_id,event_id,event_time,kind,amount,currency,country\n";

fn ledger(keep: &str) -> Ledger {
    let definition = serde_json::json!({
        "name": "orders",
        "sources": { "shop": "2024-05-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "order_id" }, { "name": "event_id" }, { "name": "event_time", "type": "datetime" },
            { "name": "kind" }, { "name": "amount", "type": "number" }, { "name": "currency" }, { "name": "country" },
        ] },
        "artifactKey": ["order_id"],
        "eventId": "event_id",
        "eventTime": "event_time",
        "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
        "measures": {
            "due": { "measure": "sum", "column": "amount", "where": { "kind": "invoice" } },
            "paid": { "measure": "sum", "column": "amount", "where": { "kind": "payment" } },
            "payments": { "measure": "count", "where": { "kind": "payment" } },
        },
        "status": { "balance": { "add": ["due"], "subtract": ["paid"], "tolerance": "0.01" } },
        "attributes": { "country": "country" },
        "eventLines": { "keep": keep },
        "partitionBits": 4,
    });
    Ledger::from_json(&definition.to_string()).unwrap()
}

/// The ranges of a batch of so many events; the same every time.
fn ranges(events: u64, batch: u64) -> Vec<Vec<u8>> {
    let mut state = 88_172_645_463_325_252_u64 + batch;
    let range = |number: u64| {
        let mut text = String::new();
        for event in (0..events / RANGES).map(|event| number * (events / RANGES) + event) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Spread over all ranges, as arrivals are.
            let order = event.wrapping_mul(2_654_435_761) % ARTIFACTS;
            let kind = if event % 2 == 0 { "invoice" } else { "payment" };
            let (minute, second, cents) = (state % 60, (state >> 8) % 60, (state >> 16) % 1_000_000);
            let country = ["DE", "FR", "US", "JP"][(order % 4) as usize];
            let (whole, rest) = (cents / 100, cents % 100);
            writeln!(
                text,
                "ORD-{order:09},EV-{batch}-{event:09},2024-05-0{batch}T10:{minute:02}:{second:02}Z,{kind},{whole}.{rest:02},\
                 USD,{country}"
            )
            .unwrap();
        }
        text.into_bytes()
    };
    (0..RANGES).map(range).collect()
}

fn reduce_all(ledger: &Ledger, ranges: &[Vec<u8>], batch: u64) -> Vec<Reduced> {
    let day = |day: u64| format!("2024-05-0{day}T00:00:00Z").parse().unwrap();
    let header = Header::parse(HEADER, ledger.format()).unwrap();
    let one = |bytes: &Vec<u8>| {
        let range = EventRange {
            bytes,
            offset: 0,
            first_row: 1,
            batch: BatchSequence::new(batch),
            object: 0,
            interval: Interval::new(day(batch), day(batch + 1)).unwrap(),
        };
        reduce(ledger, Some(&header), &range, ledger.definition().partition_bits).unwrap()
    };
    ranges.iter().map(one).collect()
}

fn combine_all(ledger: &Ledger, reduced: &[Reduced]) -> Vec<Combined> {
    let bits = ledger.definition().partition_bits;
    bits.iter()
        .map(|partition| {
            let sections: Vec<ReducedSection<'_>> = reduced
                .iter()
                .filter_map(|reduced| {
                    let section = *reduced.sections.iter().find(|section| section.number == partition.get())?;
                    let range = section.range();
                    Some(ReducedSection { section, bytes: &reduced.file[range.start as usize..range.end as usize] })
                })
                .collect();
            combine(ledger, bits, partition, &sections).unwrap()
        })
        .collect()
}

/// Applies all partitions; what was written of each.
fn apply_all(ledger: &Ledger, combined: &[Combined], prefetched: &[Vec<u8>], batch: u64) -> Vec<Vec<PartFile>> {
    let bits: PartitionBits = ledger.definition().partition_bits;
    let inputs = bits.iter().zip(combined).zip(prefetched);
    inputs
        .map(|((partition, combined), prefetched)| {
            let job = ApplyJob {
                batches: JobBatches::one(BatchSequence::new(batch)),
                snapshot: JobNumber::new(batch - 1),
                bits,
                partition,
                folder: "default/orders/job=000000000002/apply/0000/attempt",
                part_bytes_max: 64 << 20,
            };
            let mut apply =
                Apply::new(ledger, job, &Stateless::open(&combined.file).unwrap(), prefetched, &[]).unwrap();
            let mut parts = Vec::new();
            while let Some(piece) = apply.next_piece().unwrap() {
                if let Piece::Part(part) = piece {
                    parts.push(part);
                }
            }
            black_box(apply.finish().unwrap());
            parts
        })
        .collect()
}

/// What a prefetcher would find, of an index that holds these part-files.
fn prefetch_all(combined: &[Combined], parts: &[Vec<PartFile>]) -> Vec<Vec<u8>> {
    let one = |(combined, parts): (&Combined, &Vec<PartFile>)| {
        let mut writer = PrefetchedWriter::default();
        let mut held = parts.iter().flat_map(|part| {
            let sidecar = Sidecar::open(&part.sidecar).unwrap();
            sidecar.clone().map(move |entry| {
                let entry = entry.unwrap();
                let at: IndexEntry = sidecar.index_entry(&entry);
                let line = &part.lines[at.offset as usize..(at.offset + at.length) as usize];
                (entry.key, at, line)
            })
        });
        let mut next = held.next();
        for key in Stateless::open(&combined.file).unwrap().keys() {
            let key = key.unwrap();
            let found = next.take_if(|(held, ..)| *held == key);
            match found {
                None => writer.push(key, None),
                Some((_, at, line)) => {
                    writer.push(key, Some((&at, line)));
                    next = held.next();
                }
            }
        }
        writer.finish()
    };
    combined.iter().zip(parts).map(one).collect()
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("2M events, 500k artifacts");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(EVENTS));

    let events = ranges(EVENTS, 2);
    for keep in ["none", "all"] {
        let ledger = ledger(keep);
        let first = combine_all(&ledger, &reduce_all(&ledger, &ranges(ARTIFACTS * 2, 1), 1));
        let absent = prefetch_all(&first, &vec![Vec::new(); first.len()]);
        let held = apply_all(&ledger, &first, &absent, 1);
        let reduced = reduce_all(&ledger, &events, 2);
        let combined = combine_all(&ledger, &reduced);
        let prefetched = prefetch_all(&combined, &held);
        group.bench_function(format!("reduce, lines {keep}"), |bench| {
            bench.iter(|| black_box(reduce_all(&ledger, &events, 2)));
        });
        group.bench_function(format!("combine, lines {keep}"), |bench| {
            bench.iter(|| black_box(combine_all(&ledger, &reduced)));
        });
        group.bench_function(format!("apply, lines {keep}"), |bench| {
            bench.iter(|| black_box(apply_all(&ledger, &combined, &prefetched, 2)));
        });
    }
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
