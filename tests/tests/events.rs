//! The event generator, its oracle and the ledger's own stages, held against one another.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use ledger::{
    Apply, ApplyJob, BatchSequence, EventRange, IndexEntry, Interval, JobBatches, JobNumber, Ledger, Piece,
    PrefetchedWriter, ReducedSection, Sidecar, Stateless, combine, reduce,
};
use records::Header;
use serde_json::{Value, json};
use tests::{
    events::{
        Batch, definition, example,
        made::{HOT, Plan},
        oracle::{Figures, Keep, Oracle},
        write::{Format, Packing, write},
    },
    project::root,
};

/// A ledger in memory, a batch at a time.
struct Books {
    ledger: Ledger,
    format: Format,
    files: BTreeMap<String, Vec<u8>>,
    index: BTreeMap<String, IndexEntry>,
}

impl Books {
    fn open(mut definition: Value, format: Format, keep: Keep) -> Self {
        definition["events"]["format"] = format.name().into();
        definition["eventLines"]["keep"] = match keep {
            Keep::All => "all".into(),
            Keep::Last(count) => json!({ "last": count }),
        };
        let ledger = Ledger::from_json(&definition.to_string()).unwrap();
        Self { ledger, format, files: BTreeMap::new(), index: BTreeMap::new() }
    }

    /// Takes a batch through all stages.
    fn take(&mut self, number: u64, batch: &Batch) -> Figures {
        let (bits, sequence) = (self.ledger.definition().partition_bits, BatchSequence::new(number));
        let interval = Interval::new(batch.from, batch.to).unwrap();
        let mut figures = Figures::default();
        let mut reduced = Vec::new();
        for (object, rows) in (0..).zip(&batch.files) {
            let mut file = Vec::new();
            write(rows, self.format, Packing::None, &mut file).unwrap();
            let records = match self.format {
                Format::Csv => file.iter().position(|byte| *byte == b'\n').unwrap() + 1,
                Format::JsonLines => 0,
            };
            let header = (records > 0).then(|| Header::parse(&file[..records], self.ledger.format()).unwrap());
            let range = EventRange {
                bytes: &file[records..],
                offset: records as u64,
                first_row: 1,
                batch: sequence,
                object,
                interval,
            };
            reduced.push(reduce(&self.ledger, header.as_ref(), &range, bits).unwrap());
        }
        for one in &reduced {
            figures.records += one.totals_in.records();
            figures.rejected += one.rejected_by_rule.values().sum::<u64>();
        }
        for partition in bits.iter() {
            let sections = reduced.iter().filter_map(|reduced| {
                let section = *reduced.sections.iter().find(|section| section.number == partition.get())?;
                let range = section.range();
                Some(ReducedSection { section, bytes: &reduced.file[range.start as usize..range.end as usize] })
            });
            let combined = combine(&self.ledger, bits, partition, &sections.collect::<Vec<_>>()).unwrap();
            figures.duplicates += combined.duplicates.records();
            figures.conflicts += combined.conflicts.records();
            let stateless = Stateless::open(&combined.file).unwrap();
            let mut prefetched = PrefetchedWriter::default();
            for key in stateless.keys() {
                let key = key.unwrap();
                prefetched.push(key, self.index.get(key).map(|entry| (entry, self.line(entry))));
            }
            let prefetched = prefetched.finish();
            let job = ApplyJob {
                batches: JobBatches::one(sequence),
                snapshot: JobNumber::new(number - 1),
                bits,
                partition,
                folder: &format!("{number}/{partition}"),
                part_bytes_max: 100_000,
            };
            let mut apply = Apply::new(&self.ledger, job, &stateless, &prefetched, &[]).unwrap();
            let mut parts = Vec::new();
            while let Some(piece) = apply.next_piece().unwrap() {
                if let Piece::Part(part) = piece {
                    parts.push(part);
                }
            }
            figures.applied += apply.finish().unwrap().totals_applied.records();
            for part in parts {
                let sidecar = Sidecar::open(&part.sidecar).unwrap();
                for entry in sidecar.clone() {
                    let entry = entry.unwrap();
                    self.index.insert(entry.key.to_owned(), sidecar.index_entry(&entry));
                }
                self.files.insert(part.file, part.lines);
            }
        }
        figures
    }

    fn line(&self, entry: &IndexEntry) -> &[u8] {
        let range = entry.range();
        &self.files[&entry.file][range.start as usize..range.end as usize]
    }

    /// All artifacts are there, and each is as the oracle has it.
    fn agree_with(&self, oracle: &Oracle) {
        assert_eq!(self.index.keys().collect::<Vec<_>>(), oracle.keys().collect::<Vec<_>>());
        for (key, entry) in &self.index {
            let line: Value = serde_json::from_slice(self.line(entry)).unwrap();
            assert_eq!(oracle.fault(&line), None, "{key}");
            assert_eq!(line["applied_through"].as_u64(), oracle.batches_of(key).last().copied());
        }
    }
}

fn read(path: &str) -> String {
    let path: PathBuf = root().join("examples").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn example_batches() -> Vec<Batch> {
    example::batches(&read("orders/orders.csv"), &read("orders/financials.csv")).unwrap()
}

/// To write them anew: `cargo run --package tests --bin generate-events example examples/ledger/events`.
#[test]
fn the_examples_files_are_what_the_generator_makes() {
    for batch in example_batches() {
        let mut file = Vec::new();
        write(&batch.files[0], Format::Csv, Packing::None, &mut file).unwrap();
        let name = format!("ledger/events/{}.csv", batch.name);
        assert!(read(&name).as_bytes() == file, "examples/{name} is out of date");
    }
}

#[test]
fn the_ledger_makes_of_the_example_what_its_page_says() {
    let (definition, keep) = (definition("orders"), Keep::Last(5));
    assert_eq!(definition, serde_json::from_str::<Value>(&read("ledger/ledger.json")).unwrap());
    let (mut books, mut oracle) = (Books::open(definition, Format::Csv, keep), Oracle::new(keep));
    let page = read("ledger/README.md");
    for (number, batch) in (1..).zip(&example_batches()) {
        if batch.correction.is_some() {
            assert!(page.contains(&stands("before it", &oracle)), "{}", stands("before it", &oracle));
        }
        let figures = oracle.take(number, batch);
        assert_eq!(books.take(number, batch), figures);
        let row = format!("| `{}.csv` | {} | {} |", batch.name, figures.records, figures.duplicates);
        assert!(page.contains(&row), "the page does not say: {row}");
    }
    books.agree_with(&oracle);
    assert!(page.contains(&stands("after it", &oracle)), "{}", stands("after it", &oracle));
}

/// The row of the example's page that says how artifacts stand.
fn stands(when: &str, oracle: &Oracle) -> String {
    let totals = oracle.totals();
    let mut settled = tests::events::decimal(totals.settled[&tests::events::USD], 2);
    for at in [settled.len() - 6, settled.len() - 9] {
        settled.insert(at, ',');
    }
    format!("| {when} | {} | {} | {} | {settled} |", totals.open, totals.reconciled, totals.breaks)
}

/// What a careless sender does is there, and everything is counted once.
#[test]
fn generated_events_become_the_artifacts_of_the_oracle() {
    let plan = Plan {
        events: 3_000,
        artifacts: 400,
        batches: 6,
        files: 3,
        hot_lines: 120,
        duplicates: 7,
        conflicts: 5,
        rejects: 4,
        ..Plan::default()
    };
    for (format, keep) in [(Format::Csv, Keep::Last(3)), (Format::JsonLines, Keep::All)] {
        let (mut books, mut oracle) = (Books::open(definition("made"), format, keep), Oracle::new(keep));
        for (number, batch) in (1..).zip(plan.batches()) {
            let figures = oracle.take(number, &batch);
            assert_eq!(books.take(number, &batch), figures);
            assert_eq!((figures.records, figures.applied), (536, 520));
            assert_eq!((figures.duplicates, figures.conflicts, figures.rejected), (7, 5, 4));
        }
        books.agree_with(&oracle);
        let before = oracle.totals();
        let correction = plan.correction();
        assert_eq!(books.take(7, &correction), oracle.take(7, &correction));
        books.agree_with(&oracle);
        let after = oracle.totals();
        assert!(before.breaks > 40 && after.breaks == 0 && after.open == before.open, "{before:?} {after:?}");
        assert_eq!((oracle.status(HOT), oracle.artifact(HOT)["events"].as_u64()), ("reconciled", Some(120)));
        assert_eq!(after.due.len(), 4, "currencies");
    }
}

/// Neighbours share orders, so that jobs that are in flight together have something to lose to one another.
#[test]
fn batches_overlap() {
    let plan = Plan { events: 3_000, artifacts: 1_000, batches: 6, ..Plan::default() };
    let mut oracle = Oracle::new(Keep::Last(0));
    (1..).zip(plan.batches()).for_each(|(number, batch)| {
        oracle.take(number, &batch);
    });
    let shared = |one: u64, other: u64| {
        let batches = oracle.keys().map(|key| oracle.batches_of(key));
        batches.filter(|batches| batches.contains(&one) && batches.contains(&other)).count()
    };
    // 400 invoices are spread over a thousand orders: each meets some 330.
    assert!(shared(1, 2) > 300, "{}", shared(1, 2));
    assert!(shared(1, 3) > 80 && shared(2, 5) > 80, "{} {}", shared(1, 3), shared(2, 5));
}

#[test]
fn all_events_are_there_whatever_the_numbers() {
    for (events, batches, files) in [(0, 1, 1), (1, 3, 2), (7, 2, 9), (1_001, 7, 3)] {
        let plan = Plan { events, batches, files, hot_lines: 11, ..Plan::default() };
        let made: Vec<Batch> = plan.batches().collect();
        assert_eq!(made.iter().map(Batch::records).sum::<u64>(), events + 11);
        assert!(made.iter().all(|batch| batch.files.len() as u64 == files));
        assert_eq!(made, plan.batches().collect::<Vec<_>>());
        let other = Plan { seed: 2, ..plan };
        assert!(made != other.batches().collect::<Vec<_>>());
    }
}

/// A packed file holds what the plain one does.
#[test]
fn files_are_packed_as_they_are_said_to_be() {
    let batch = Plan::default().batches().next().unwrap();
    for format in [Format::Csv, Format::JsonLines] {
        let file = |packing| {
            let mut file = Vec::new();
            write(&batch.files[0], format, packing, &mut file).unwrap();
            file
        };
        let plain = file(Packing::None);
        let mut unpacked = Vec::new();
        std::io::copy(&mut flate2::read::MultiGzDecoder::new(&file(Packing::Gzip)[..]), &mut unpacked).unwrap();
        assert!(unpacked == plain);
        assert!(zstd::decode_all(&file(Packing::Zstd)[..]).unwrap() == plain);
    }
}
