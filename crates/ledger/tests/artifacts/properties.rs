//! Any events, in any batches, files, ranges, partitions and jobs, with any number of jobs in flight: the artifacts are
//! those of an oracle that holds all events in memory and knows none of this.

use std::collections::{BTreeMap, HashMap};

use crate::world::{Batch, EventObject, World};
use jiff::{Timestamp, ToSpan};
use ledger::{ApplyError, BatchSequence, DuplicateScope, Interval, KeepLines, Ledger, PartitionBits};
use proptest::prelude::*;
use serde_json::{Value, json};

/// An event, as small numbers: so that keys, ids, times and contents meet often.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    key: u8,
    id: u8,
    minute: u8,
    currency: u8,
    minor: i32,
    paid: bool,
    country: u8,
}

/// `batches[b][object][range]` are events.
type Batches = Vec<Vec<Vec<Vec<Made>>>>;

/// Which intervals batches cover.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// One behind the other.
    Forwards,
    /// They are registered last first.
    Backwards,
    /// All the same one, as corrections do.
    Corrections,
}

#[derive(Debug, Clone)]
struct Plan {
    batches: Batches,
    json: bool,
    clock: Clock,
    scope: DuplicateScope,
    keep: KeepLines,
    /// For each job: how many batches, whether partitions double before it, how many jobs the snapshot lags, how many
    /// are indexed before it, and how the ranges' order is off.
    jobs: Vec<(usize, bool, usize, usize, usize)>,
}

fn made() -> impl Strategy<Value = Made> {
    let key = prop_oneof![3 => Just(0_u8), 7 => 0..12_u8];
    (key, 0..8_u8, 0..4_u8, 0..3_u8, -300..300_i32, any::<bool>(), 0..3_u8).prop_map(
        |(key, id, minute, currency, minor, paid, country)| Made { key, id, minute, currency, minor, paid, country },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    use proptest::collection::vec;
    let batches = vec(vec(vec(vec(made(), 0..8), 0..3), 0..3), 1..8);
    // One id, one content: most events of a plan are told apart by their ids; some conflict all the same.
    let scope = prop_oneof![Just(DuplicateScope::Batch), Just(DuplicateScope::Artifact)];
    let keep = prop_oneof![Just(KeepLines::None), Just(KeepLines::All), (1..4_u32).prop_map(KeepLines::Last)];
    let jobs = vec((1..4_usize, prop::bool::weighted(0.3), 0..3_usize, 0..3_usize, 0..9_usize), 8);
    let clock = prop_oneof![Just(Clock::Forwards), Just(Clock::Backwards), Just(Clock::Corrections)];
    (batches, any::<bool>(), clock, scope, keep, jobs).prop_map(|(batches, json, clock, scope, keep, jobs)| Plan {
        batches,
        json,
        clock,
        scope,
        keep,
        jobs,
    })
}

fn ledger(plan: &Plan) -> Ledger {
    let definition = json!({
        "name": "orders",
        "sources": { "shop": "2024-05-01T00:00:00Z" },
        "events": {
            "format": if plan.json { "jsonLines" } else { "csv" },
            "fields": [
                { "name": "order", "constraints": { "required": true } },
                { "name": "id" },
                { "name": "at", "type": "datetime" },
                { "name": "kind" },
                { "name": "amount", "type": "number" },
                { "name": "currency" },
                { "name": "country" },
            ],
        },
        "artifactKey": ["order"],
        "eventId": "id",
        "eventTime": "at",
        "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
        "measures": {
            "due": { "measure": "sum", "column": "amount", "where": { "kind": "invoice" } },
            "paid": { "measure": "sum", "column": "amount", "where": { "kind": "payment" } },
            "least": { "measure": "min", "column": "amount" },
            "most": { "measure": "max", "column": "amount" },
            "payments": { "measure": "count", "where": { "kind": "payment" } },
            "first_kind": { "measure": "first", "column": "kind" },
            "last_amount": { "measure": "last", "column": "amount" },
        },
        "status": { "balance": { "add": ["due"], "subtract": ["paid"], "tolerance": "0.50" } },
        "attributes": { "country": "country" },
        "eventLines": { "keep": plan.keep },
        "duplicates": { "scope": plan.scope },
    });
    Ledger::from_json(&definition.to_string()).unwrap()
}

const CURRENCIES: [(&str, i32, usize); 3] = [("USD", 100, 2), ("JPY", 1, 0), ("KWD", 1000, 3)];

fn decimal(minor: i64, currency: &str) -> String {
    let (_, unit, scale) = CURRENCIES.iter().find(|(code, ..)| *code == currency).unwrap();
    let (sign, minor, unit) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs(), *unit as u64);
    if *scale == 0 { format!("{sign}{minor}") } else { format!("{sign}{}.{:0scale$}", minor / unit, minor % unit) }
}

impl Plan {
    fn interval(&self, batch: usize) -> Interval {
        let start: Timestamp = "2024-05-01T00:00:00Z".parse().unwrap();
        let hour = match self.clock {
            Clock::Forwards => batch as i64,
            Clock::Backwards => -(batch as i64),
            Clock::Corrections => 0,
        };
        let from = start + hour.hours();
        Interval::new(from, from + 1.hours()).unwrap()
    }
}

impl Made {
    fn cells(&self, interval: Interval) -> [String; 7] {
        let (code, ..) = CURRENCIES[usize::from(self.currency)];
        [
            // Common prefixes, quotes and delimiters are part of life.
            ["o,\"0", "order-1", "order-10", "order-2", "é", "z"][usize::from(self.key) % 6].to_owned()
                + &"x".repeat(usize::from(self.key) / 6 * 20),
            format!("e{}", self.id),
            (interval.from() + i64::from(self.minute).minutes()).to_string(),
            if self.paid { "payment" } else { "invoice" }.to_owned(),
            decimal(self.minor.into(), code),
            code.to_owned(),
            ["", "DE", "FR"][usize::from(self.country)].to_owned(),
        ]
    }
}

const COLUMNS: [&str; 7] = ["order", "id", "at", "kind", "amount", "currency", "country"];

fn bytes(events: &[Made], interval: Interval, json: bool) -> Vec<u8> {
    let mut out = String::new();
    for event in events {
        let cells = event.cells(interval);
        if json {
            let members = COLUMNS.iter().zip(&cells).map(|(name, cell)| match *name {
                "amount" => format!("\"amount\":{cell}"),
                "country" if cell.is_empty() => "\"country\":null".to_owned(),
                name => format!("\"{name}\":{}", Value::from(cell.as_str())),
            });
            out.push_str(&format!("{{{}}}\n", members.collect::<Vec<_>>().join(",")));
        } else {
            let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            out.push_str(&format!("{}\r\n", quoted.join(",")));
        }
    }
    out.into_bytes()
}

fn batch_of(plan: &Plan, batch: usize) -> Batch {
    let objects = plan.batches[batch].iter().map(|ranges| EventObject {
        header: (!plan.json).then(|| format!("{}\r\n", COLUMNS.join(",")).into_bytes()),
        ranges: ranges.iter().map(|events| bytes(events, plan.interval(batch), plan.json)).collect(),
    });
    Batch { sequence: BatchSequence::new(batch as u64 + 1), interval: plan.interval(batch), objects: objects.collect() }
}

/// An event that an artifact has taken, as the oracle holds it.
#[derive(Debug, Clone)]
struct Taken {
    batch: usize,
    object: usize,
    row: usize,
    cells: [String; 7],
    minor: i64,
}

#[derive(Debug, Default)]
struct Oracle {
    artifacts: BTreeMap<String, Vec<Taken>>,
    duplicates: u64,
    conflicts: u64,
}

fn oracle(plan: &Plan) -> Oracle {
    let mut oracle = Oracle::default();
    let mut seen: HashMap<(Option<usize>, String, String), [String; 7]> = HashMap::new();
    for (batch, objects) in plan.batches.iter().enumerate() {
        for (object, ranges) in objects.iter().enumerate() {
            for (row, event) in ranges.iter().flatten().enumerate() {
                let cells = event.cells(plan.interval(batch));
                let scope = (plan.scope == DuplicateScope::Batch).then_some(batch);
                match seen.get(&(scope, cells[0].clone(), cells[1].clone())) {
                    Some(earlier) if *earlier == cells => oracle.duplicates += 1,
                    Some(_) => oracle.conflicts += 1,
                    None => {
                        seen.insert((scope, cells[0].clone(), cells[1].clone()), cells.clone());
                        let taken = Taken { batch, object, row: row + 1, cells, minor: event.minor.into() };
                        oracle.artifacts.entry(taken.cells[0].clone()).or_default().push(taken);
                    }
                }
            }
        }
    }
    for events in oracle.artifacts.values_mut() {
        events.sort_by_key(|event| {
            (event.cells[2].parse::<Timestamp>().unwrap(), event.cells[1].clone(), event.batch, event.object, event.row)
        });
    }
    oracle
}

/// By currency: the amounts that `pick` makes of the minor units of events with one of those kinds.
fn amounts(events: &[Taken], kinds: &[&str], pick: impl Fn(&[i64]) -> i64) -> BTreeMap<String, i64> {
    let mut values: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in events.iter().filter(|event| kinds.contains(&event.cells[3].as_str())) {
        values.entry(event.cells[5].clone()).or_default().push(event.minor);
    }
    values.into_iter().map(|(currency, minors)| (currency, pick(&minors))).collect()
}

fn shown(amounts: &BTreeMap<String, i64>) -> Value {
    amounts.iter().map(|(code, minor)| json!({ "currency": code, "amount": decimal(*minor, code) })).collect()
}

fn dated(currency: Value, value: &str, event: &Taken) -> Value {
    json!({ "currency": currency, "value": value, "event_time": event.cells[2], "event_id": event.cells[1] })
}

fn expected(key: &str, events: &[Taken], plan: &Plan) -> Value {
    let (both, sum) = (["invoice", "payment"], |minors: &[i64]| minors.iter().sum());
    let (due, paid) = (amounts(events, &both[..1], sum), amounts(events, &both[1..], sum));
    let mut difference = due.clone();
    paid.iter().for_each(|(code, minor)| *difference.entry(code.clone()).or_default() -= minor);
    difference.retain(|_, minor| *minor != 0);
    let unit = |code: &str| CURRENCIES.iter().find(|(other, ..)| *other == code).unwrap().1;
    // Within 0.50: of yen nothing, of dinars 500 fils.
    let within = difference.iter().all(|(code, minor)| minor.abs() * 2 <= i64::from(unit(code)));
    let status = if due.is_empty() || paid.is_empty() {
        "open"
    } else if within {
        "reconciled"
    } else {
        "break"
    };
    let mut last: BTreeMap<&str, &Taken> = BTreeMap::new();
    last.extend(events.iter().map(|event| (event.cells[5].as_str(), event)));
    let country = events.iter().rev().find(|event| !event.cells[6].is_empty());
    let skip = match plan.keep {
        KeepLines::None => events.len(),
        KeepLines::All => 0,
        KeepLines::Last(count) => events.len().saturating_sub(count as usize),
    };
    let line = |event: &Taken| {
        let values: serde_json::Map<String, Value> = COLUMNS
            .iter()
            .zip(&event.cells)
            .map(|(name, cell)| ((*name).to_owned(), if cell.is_empty() { Value::Null } else { cell.as_str().into() }))
            .collect();
        json!({ "event_id": event.cells[1], "event_time": event.cells[2], "batch": event.batch + 1,
                "object": event.object, "row": event.row, "values": values })
    };
    json!({
        "key": key,
        "status": status,
        "difference": shown(&difference),
        "events": events.len(),
        "measures": {
            "due": shown(&due),
            "first_kind": [dated(Value::Null, &events[0].cells[3], &events[0])],
            "last_amount": last.iter().map(|(code, event)| dated((*code).into(), &event.cells[4], event)).collect::<Vec<_>>(),
            "least": shown(&amounts(events, &both, |minors| *minors.iter().min().unwrap())),
            "most": shown(&amounts(events, &both, |minors| *minors.iter().max().unwrap())),
            "paid": shown(&paid),
            "payments": events.iter().filter(|event| event.cells[3] == "payment").count(),
        },
        "attributes": { "country": country.map_or(Value::Null, |event| {
            json!({ "value": event.cells[6], "event_time": event.cells[2], "event_id": event.cells[1] })
        }) },
        "lines": events.iter().skip(skip).map(line).collect::<Vec<_>>(),
        "lines_file": null,
    })
}

/// Runs all jobs of a plan and indexes them; jobs are in flight as the plan has it.
fn run(plan: &Plan, ledger: &Ledger) -> World {
    let (mut world, mut bits, mut next) = (World::default(), 0, 0);
    for (count, doubled, lag, indexed, rotate) in plan.jobs.iter().copied() {
        let batches: Vec<Batch> = (next..plan.batches.len()).take(count).map(|batch| batch_of(plan, batch)).collect();
        if batches.is_empty() {
            break;
        }
        next += batches.len();
        bits = (bits + u8::from(doubled)).min(4);
        // The snapshot is fixed; then indexing goes on.
        let snapshot = world.indexed.saturating_sub(lag);
        for _ in 0..indexed.min(world.jobs.len() - world.indexed) {
            world.index_next();
        }
        world.run(ledger, &batches, PartitionBits::new(bits).unwrap(), snapshot, rotate);
    }
    // The plan's last job takes what is left.
    if next < plan.batches.len() {
        let batches: Vec<Batch> = (next..plan.batches.len()).map(|batch| batch_of(plan, batch)).collect();
        let snapshot = world.indexed;
        world.run(ledger, &batches, PartitionBits::new(bits).unwrap(), snapshot, 0);
    }
    while world.indexed < world.jobs.len() {
        world.index_next();
    }
    world
}

/// The artifact's own figures, and the sequences of all its versions.
fn resolved(world: &World, key: &str) -> (Value, Vec<u64>) {
    let mut artifact: Value = serde_json::from_slice(world.read(&world.index[key])).unwrap();
    let (mut sequences, mut version) = (Vec::new(), artifact.clone());
    loop {
        sequences.push(version["applied_through"].as_u64().unwrap());
        assert_eq!(version["key"], key);
        if version["previous"].is_null() {
            break;
        }
        let previous: ledger::IndexEntry = serde_json::from_value(version["previous"].clone()).unwrap();
        version = serde_json::from_slice(world.read(&previous)).unwrap();
        assert_eq!(version["applied_through"].as_u64(), Some(previous.sequence.get()));
    }
    let members = artifact.as_object_mut().unwrap();
    for member in ["applied_through", "previous", "ids"] {
        members.shift_remove(member);
    }
    (artifact, sequences)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn artifacts_are_those_of_the_oracle(plan in plan()) {
        let (ledger, oracle) = (ledger(&plan), oracle(&plan));
        let world = run(&plan, &ledger);
        let keys: Vec<&String> = world.index.keys().collect();
        prop_assert_eq!(keys, oracle.artifacts.keys().collect::<Vec<_>>());
        for (key, events) in &oracle.artifacts {
            let (artifact, sequences) = resolved(&world, key);
            prop_assert_eq!(&artifact, &expected(key, events, &plan));
            // Every job that brought the key something has made one version of it.
            let jobs = world.jobs.iter().rev().filter(|job| {
                events.iter().any(|event| job.batches.contains(BatchSequence::new(event.batch as u64 + 1)))
            });
            prop_assert_eq!(sequences, jobs.map(|job| job.batches.hi().get()).collect::<Vec<_>>());
        }
        let (mut duplicates, mut conflicts) = (0, 0);
        for job in &world.jobs {
            let combined = job.combined.iter().map(|combined| (&combined.duplicates, &combined.conflicts, &combined.rejected));
            let applied = job.applied.iter().map(|applied| (&applied.duplicates, &applied.conflicts, &applied.rejected));
            for (dropped, conflicting, rejected) in combined.chain(applied) {
                duplicates += dropped.records();
                conflicts += conflicting.records();
                prop_assert_eq!(conflicting.records(), rejected.len() as u64);
            }
        }
        prop_assert_eq!((duplicates, conflicts), (oracle.duplicates, oracle.conflicts));
    }

    /// A job that is applied once more after it has been indexed is a zombie, and writes nothing.
    #[test]
    fn a_job_is_never_applied_twice(plan in plan()) {
        let ledger = ledger(&plan);
        let world = run(&plan, &ledger);
        let Some(job) = world.jobs.last() else { return Ok(()) };
        for (partition, combined) in job.bits.iter().zip(&job.combined) {
            let outcome = world.apply(&ledger, job, world.jobs.len() - 1, partition, &combined.file);
            // With duplicate scope `artifact` a job can have nothing new for a key that it touches.
            if job.parts[&partition].is_empty() {
                prop_assert!(outcome.is_ok_and(|(parts, ..)| parts.is_empty()));
            } else {
                prop_assert!(matches!(outcome, Err(ApplyError::Zombie { .. })), "{outcome:?}");
            }
        }
    }

    /// How files are cut into ranges changes nothing of what a job writes but the order in which it was found.
    #[test]
    fn reduce_is_free_of_ranges_and_their_order(plan in plan(), rotate in 0..9_usize) {
        let ledger = ledger(&plan);
        let mut whole = plan.clone();
        for object in whole.batches.iter_mut().flatten() {
            *object = vec![object.concat()];
        }
        let bits = PartitionBits::new(2).unwrap();
        let files = |plan: &Plan, rotate: usize| {
            let batches: Vec<Batch> = (0..plan.batches.len()).map(|batch| batch_of(plan, batch)).collect();
            let mut world = World::default();
            let job = world.run(&ledger, &batches, bits, 0, rotate);
            job.combined.iter().map(|combined| combined.file.clone()).collect::<Vec<_>>()
        };
        prop_assert!(files(&plan, rotate) == files(&whole, 0));
    }
}
