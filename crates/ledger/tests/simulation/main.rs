//! The coordination, simulated: the real code on in-memory ports, with errors, lost replies, crashes between any two
//! calls, workers that outlive their replacement, and several managers at once.
//!
//! Everything is drawn from one seed. A failing seed is printed, and `SEED=<seed> cargo test -p ledger --test
//! simulation` runs it alone; `SEEDS=<count>` runs more.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod actors;
mod ports;
mod reader;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use ledger::{
    Definition, Rules,
    backlog::{BacklogManager, Config},
    book::{BatchRecord, BatchStatus},
    definitions::Definitions,
    job::{Job, JobStatus},
    manage::Manager,
    manifest::LedgerId,
    messages::{ManageAction, ManageRequest},
    policy::LEASE_SECONDS_MIN,
    register::Registrar,
    stage::Stage,
};
use serde_json::json;
use storage::memory::{ManualClock, MemoryObjects, MemoryTables, MemoryWorkflows};

use self::{
    actors::{Scene, Sent},
    ports::{Chance, Random, SharedChance, Stepped, faulty, with},
    reader::{Everything, Reader, Seen},
};

const SEEDS: u64 = 200;
/// Steps of the scheduler after which a simulation should long have ended.
const STEPS_MAX: u32 = 400_000;

#[test]
fn whatever_happens_every_batch_is_indexed_once_or_out() {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = match read("SEED") {
        Some(seed) => vec![seed],
        None => (1..=read("SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let mut situations: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in &seeds {
        let simulated = catch_unwind(AssertUnwindSafe(|| Simulation::new(*seed).run()));
        let seen = simulated.unwrap_or_else(|_| panic!("replay with SEED={seed}"));
        seen.into_iter().for_each(|situation| *situations.entry(situation).or_default() += 1);
    }
    if seeds.len() >= 100 {
        for situation in [
            "a job had many attempts",
            "a job was parked",
            "a job was voided",
            "a job was voided after prefetch",
            "an actor crashed",
            "batches were grouped",
            "three jobs were in flight, one at each stage",
        ] {
            assert!(situations.contains_key(situation), "never seen: {situation}, only {situations:?}");
        }
    }
}

/// Somebody who acts, and what is to be done should they crash.
struct Actor {
    act: BoxFuture<'static, ()>,
    if_crashed: Option<Sent>,
}

struct Simulation {
    scenes: [Scene; 2],
    chance: SharedChance,
    clock: Arc<ManualClock>,
    actors: Vec<Actor>,
    executions_begun: usize,
    to_send: Vec<Sent>,
    replaced: BTreeSet<String>,
    crashes_left: u32,
    whims_left: u32,
    seen: Seen,
    checked_at: u64,
}

/// What is read of a definition where nobody reads events: the terms of coordination.
fn definition(on_stuck: &str) -> Definition {
    let document = json!({
        "name": "orders",
        "sources": { "bank": opens_at(), "shop": opens_at() },
        "events": { "format": "csv", "fields": [
            { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }] },
        "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
        "onStuck": on_stuck,
        "policy": { "grouping": { "eventsBase": 20, "eventsMax": 60, "liveJobsMax": 5 } },
    });
    Definition::from_json(&document.to_string()).unwrap()
}

fn opens_at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 4 + random.below(8) as i64;
        let mut to_send = batches(count, &mut random);
        let some = |random: &mut Random, once_in: usize| {
            to_send.iter().filter(|_| random.once_in(once_in)).map(|batch| batch.name.clone()).collect::<BTreeSet<_>>()
        };
        let (poison, untrue) = (some(&mut random, 8), some(&mut random, 8));
        for last in (1..to_send.len()).rev() {
            to_send.swap(last, random.below(last + 1));
        }
        let on_stuck = if random.once_in(2) { "wait" } else { "pass" };
        let [faults_left, crashes_left, whims_left] = [60, 6, 3].map(|most| random.below(most) as u32);
        let chance = Arc::new(Mutex::new(Chance { random, faults_left, transactions: 0 }));
        let clock = Arc::new(ManualClock::default());
        let tables = Arc::new(MemoryTables::default());
        let workflows = Arc::new(MemoryWorkflows::default());
        let objects = Arc::new(MemoryObjects::new(clock.clone()));
        let definitions = Definitions::new(tables.clone(), "ledgers", Rules::default());
        definitions.put("default", &definition(on_stuck)).now_or_never().unwrap().unwrap();
        let ledger = LedgerId::new("default", "orders").unwrap();
        let terms = Arc::new(definitions.terms(&ledger).now_or_never().unwrap().unwrap());
        let (poison, untrue) = (Arc::new(poison), Arc::new(untrue));
        let scene = || {
            let table_port = Arc::new(Stepped(faulty(tables.clone(), &chance)));
            let workflow_port = Arc::new(Stepped(faulty(workflows.clone(), &chance)));
            let config = Config {
                stateless_machine: "stateless".to_owned(),
                stateful_machine: "stateful".to_owned(),
                ledgers_table: "ledgers".to_owned(),
            };
            let object_port = faulty(objects.clone(), &chance);
            let registrar = Registrar::new(object_port, table_port.clone(), clock.clone(), "ledgers", "data");
            Scene {
                terms: terms.clone(),
                manager: Arc::new(Manager::new(
                    table_port.clone(),
                    workflow_port.clone(),
                    clock.clone(),
                    config.clone(),
                )),
                backlog: BacklogManager::new(table_port, workflow_port, clock.clone(), config),
                registrar: Arc::new(registrar),
                objects: objects.clone(),
                workflows: workflows.clone(),
                book: Reader(tables.clone()),
                chance: chance.clone(),
                poison: poison.clone(),
                untrue: untrue.clone(),
            }
        };
        Self {
            scenes: [scene(), scene()],
            chance,
            clock,
            actors: Vec::new(),
            executions_begun: 0,
            to_send,
            replaced: BTreeSet::new(),
            crashes_left,
            whims_left,
            seen: Seen::default(),
            checked_at: 0,
        }
    }

    fn run(mut self) -> BTreeSet<&'static str> {
        for step in 0..STEPS_MAX {
            self.step();
            let calls = with(&self.chance, |chance| chance.transactions);
            if calls != self.checked_at {
                self.checked_at = calls;
                let all = self.scenes[0].book.everything();
                self.seen.check(&all, opens_at());
            }
            if step % 256 == 0 && self.to_send.is_empty() && self.is_over(&self.scenes[0].book.everything()) {
                return self.seen.situations;
            }
        }
        panic!("no end: {:?}", self.scenes[0].book.everything());
    }

    /// Every batch is indexed, or out and replaced by one that is; so the watermark is where the last interval ends.
    fn is_over(&self, all: &Everything) -> bool {
        let standing = |record: &BatchRecord| record.status == BatchStatus::Registered || record.replaced_by.is_some();
        let busy = self.actors.iter().any(|actor| actor.if_crashed.is_some());
        let indexed = all.jobs.iter().all(|job| job.is_void() || job.is_committed(Stage::Index));
        if busy
            || !all.batches.iter().all(standing)
            || !indexed
            || all.head.grouped.last_batch().next() != all.head.next
        {
            return false;
        }
        if all.head.indexed != all.head.grouped {
            return false;
        }
        let claimed = all.sources.values().flat_map(|source| source.claimed.intervals());
        let ends: Vec<_> = claimed.map(|interval| interval.to()).collect();
        assert_eq!(all.watermark(opens_at()), ends.into_iter().min(), "complete up to the end");
        true
    }

    /// One step: somebody goes on to their next call, crashes, begins; or time passes.
    fn step(&mut self) {
        let chance = self.chance.clone();
        let random = |bound: usize| with(&chance, |chance| chance.random.below(bound));
        let scene = self.scenes[random(2)].clone();
        match random(1000) {
            0..4 => {
                let tick = ManageRequest::Told(ManageAction::Tick {});
                self.begin(async move { drop(scene.manager.handle(tick).await) }.boxed(), None);
            }
            4..6 if !self.to_send.is_empty() => {
                let batch = self.to_send.remove(random(self.to_send.len()));
                self.begin(scene.clone().register(batch.clone()).boxed(), Some(batch.clone()));
                if random(4) == 0 {
                    self.begin(scene.register(batch.clone()).boxed(), Some(batch));
                }
            }
            6..8 => self.clock.advance(Duration::from_secs(random(120) as u64)),
            // Sometimes longer than any lease: everybody at work is taken for dead, and goes on all the same.
            8 if random(8) == 0 => self.clock.advance(Duration::from_secs(2 * u64::from(LEASE_SECONDS_MIN))),
            9 if self.crashes_left > 0 && !self.actors.is_empty() => self.crash(random(self.actors.len())),
            10 => self.operate(scene),
            11 if self.whims_left > 0 => self.skip_any(scene),
            _ => self.go_on(),
        }
        let executions = scene_executions(&self.scenes[0], self.executions_begun);
        for (machine, input) in executions {
            self.executions_begun += 1;
            let scene = self.scenes[self.executions_begun % 2].clone();
            self.begin(scene.execute(machine, input).boxed(), None);
        }
    }

    fn begin(&mut self, act: BoxFuture<'static, ()>, if_crashed: Option<Sent>) {
        self.actors.push(Actor { act, if_crashed });
    }

    fn go_on(&mut self) {
        if self.actors.is_empty() {
            return;
        }
        let chosen = with(&self.chance, |chance| chance.random.below(self.actors.len()));
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        if let Poll::Ready(()) = self.actors[chosen].act.as_mut().poll(&mut context) {
            drop(self.actors.swap_remove(chosen));
        }
    }

    fn crash(&mut self, chosen: usize) {
        self.crashes_left -= 1;
        self.seen.situations.insert("an actor crashed");
        let crashed = self.actors.swap_remove(chosen);
        self.to_send.extend(crashed.if_crashed);
    }

    /// An operator looks: parked jobs are dealt with, batches that are out are replaced.
    fn operate(&mut self, scene: Scene) {
        let all = scene.book.everything();
        for record in &all.batches {
            let out = record.status != BatchStatus::Registered && record.replaced_by.is_none();
            if out && self.replaced.insert(record.batch.clone()) {
                let seconds = |at: Timestamp| at.as_second() / 3600;
                self.to_send.push(Sent {
                    name: format!("{}-again", record.batch),
                    source: if record.source == "shop" { "shop" } else { "bank" },
                    hours: (seconds(record.interval.from()), seconds(record.interval.to())),
                    records: 1,
                    correction: record.correction,
                    replaces: Some(record.batch.clone()),
                });
            }
        }
        let parked = all.jobs.iter().find(|job| matches!(job.status, JobStatus::Parked(_)));
        if let Some(job) = parked {
            let batches = scene.book.batches(job.batches);
            self.begin(scene.operate(job.number(), batches).boxed(), None);
        }
    }

    /// The operator takes out some batch of a job that is under way, if there is one.
    fn skip_any(&mut self, scene: Scene) {
        let all = scene.book.everything();
        let under_way = |job: &&Job| job.is_live() && job.is_ready_for(Stage::Apply) && !job.is_committed(Stage::Apply);
        if let Some(job) = all.jobs.iter().find(under_way) {
            self.whims_left -= 1;
            let batch = scene.book.batches(job.batches).remove(0).batch;
            let skip = async move { drop(scene.backlog.skip(&scene.terms, &batch, "a whim").await) };
            self.begin(skip.boxed(), None);
        }
    }
}

/// Executions that were started and have not begun.
fn scene_executions(scene: &Scene, begun: usize) -> Vec<(String, ledger::messages::RunInput)> {
    let started = scene.workflows.executions().into_iter().skip(begun);
    started.map(|execution| (execution.machine, serde_json::from_str(&execution.input).unwrap())).collect()
}

/// Batches of two sources that close every hour, some of them empty, and a correction of the first.
fn batches(count: i64, random: &mut Random) -> Vec<Sent> {
    let mut batches: Vec<_> = (0..count)
        .map(|hour| Sent {
            name: format!("b{hour:02}"),
            source: if hour % 2 == 0 { "shop" } else { "bank" },
            hours: (hour / 2, hour / 2 + 1),
            records: if random.once_in(5) { 0 } else { 1 + random.below(15) as u64 },
            correction: false,
            replaces: None,
        })
        .collect();
    batches.push(Sent { name: "late".to_owned(), records: 3, correction: true, ..batches[0].clone() });
    batches
}
