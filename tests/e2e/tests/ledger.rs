//! Batches through the deployed template, as people and programs send them.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use e2e::{
    Stack,
    books::{Books, Shape, one_by_one},
    command::tieout,
    workers,
};
use ledger::{
    book::BatchStatus,
    job::JobStatus,
    stage::Stage,
    steps::{StepRecord, StepStatus},
};
use serde_json::{Value, json};
use tests::events::{
    Batch,
    made::{HOT, Plan},
    oracle::{Keep, Oracle},
    write::{Format, Packing},
};

/// How long each stage takes is chance: three at work at once may have to be looked for more than once.
const TRIES: usize = 4;

/// Many batches over the same orders, as fast as they can be sent: while one is indexed, the next is applied and the one
/// behind it prefetched, and nothing is lost between them.
#[tokio::test]
async fn three_batches_are_in_flight_over_shared_orders() {
    let stack = Stack::connect().await;
    for seed in 0..TRIES as u64 {
        let plan = Plan {
            seed,
            events: 70_000,
            artifacts: 250,
            batches: 14,
            duplicates: 3,
            conflicts: 2,
            rejects: 2,
            ..Plan::default()
        };
        // Heavy artifacts: so that what is done with them takes as long as the index does.
        let mut books = Books::open(&stack, "flight", Shape { keep: Keep::All, ..Shape::default() }, one_by_one).await;
        for batch in plan.batches() {
            books.send(&batch).await;
        }
        let oracle = books.agree().await;
        let steps = books.steps().await;
        let in_flight: Vec<u64> = (1..=12).filter(|number| together(&steps, *number)).collect();
        for number in &in_flight {
            assert!(shared(&oracle, &[*number, number + 1, number + 2]) > 100, "{number}");
        }
        if !in_flight.is_empty() {
            return;
        }
    }
    panic!("no three batches were at work at once");
}

/// Whether there was an instant at which a job was indexed, the next one applied and the one behind it prefetched.
fn together(steps: &[StepRecord], number: u64) -> bool {
    let at_work = |number: u64, stage: Stage| {
        let done = |step: &&StepRecord| step.step == stage.as_str() && step.status == StepStatus::Done;
        let step = steps.iter().filter(|step| step.job.get() == number).find(done).unwrap();
        (step.started_at.unwrap(), step.ended_at.unwrap())
    };
    let three =
        [at_work(number, Stage::Index), at_work(number + 1, Stage::Apply), at_work(number + 2, Stage::Prefetch)];
    three.iter().map(|(from, _)| from).max() < three.iter().map(|(_, to)| to).min()
}

/// How many artifacts all of these batches have brought something.
fn shared(oracle: &Oracle, numbers: &[u64]) -> usize {
    let brought = oracle.keys().map(|key| oracle.batches_of(key));
    brought.filter(|batches| numbers.iter().all(|number| batches.contains(number))).count()
}

/// Packed CSV of several files, and JSON lines, by the command line, grouped as the ledger likes; a late batch turns breaks
/// into reconciled orders.
#[tokio::test]
async fn a_correction_reconciles_what_was_a_break() {
    let stack = Stack::connect().await;
    let plan = Plan {
        events: 4_000,
        artifacts: 400,
        batches: 4,
        files: 3,
        duplicates: 4,
        conflicts: 3,
        rejects: 5,
        ..Plan::default()
    };
    for (format, packing) in [(Format::Csv, Packing::Gzip), (Format::JsonLines, Packing::Zstd)] {
        let shape = Shape { format, packing, ..Shape::default() };
        let mut books = Books::open(&stack, "corrected", shape, |_| ()).await;
        let ledger = books.id.ledger.clone();
        for batch in plan.batches() {
            books.submit(&batch).well();
        }
        let before = books.agree().await;
        let broken = before.keys().find(|key| before.status(key) == "break").unwrap().to_owned();
        assert_eq!(get(&ledger, &broken)["status"], "break");
        let first = before.totals();
        assert!(first.breaks > 40, "{first:?}");

        books.submit(&plan.correction()).well();
        let after = books.agree().await;
        let artifact = get(&ledger, &broken);
        assert_eq!((after.fault(&artifact), artifact["status"].as_str()), (None, Some("reconciled")));
        assert_eq!((after.totals().breaks, after.totals().artifacts), (0, first.artifacts));

        let history = tieout(&["artifact", "get", &ledger, &broken, "--history", "--json"]).well().json();
        let versions: Vec<_> =
            history.as_array().unwrap().iter().map(|version| version["artifact"]["status"].clone()).collect();
        assert_eq!(versions[..2], ["reconciled", "break"]);
        let listed = tieout(&["batch", "list", &ledger, "--json"]).well().json();
        let indexed = |batch: &Value| batch["status"] == "indexed";
        assert!(listed.as_array().unwrap().len() == 5 && listed.as_array().unwrap().iter().all(indexed), "{listed}");
        let shown = tieout(&["ledger", "show", &ledger, "--json"]).well().json();
        assert_eq!(shown["completeness"]["watermark"], "2016-01-01T02:00:00Z", "{shown}");
    }
}

fn get(ledger: &str, key: &str) -> Value {
    tieout(&["artifact", "get", ledger, key, "--json"]).well().json()
}

/// A rule that is written in Rust judges in place of a balance, and says so. What the command tells of it: the steps, what was
/// rejected, and that the same file would count twice.
#[tokio::test]
async fn a_business_rule_judges_and_every_step_is_told() {
    let stack = Stack::connect().await;
    let by_rule = |definition: &mut Value| definition["status"] = json!({ "rule": "settled" });
    let books = Books::open(&stack, "rule", Shape::default(), by_rule).await;
    let ledger = books.id.ledger.clone();
    let order = |order: &str, paid: &str| {
        let time = "2016-01-01T08:00:00Z";
        format!("{order},I,{time},invoice,due,100.00,EUR,,,\n{order},P,{time},payment,settled,{paid},EUR,,,\n")
    };
    let events = [
        "order_id,event_id,event_time,kind,side,amount,currency,units,country,channel\n",
        &order("A-1", "98.00"),
        &order("A-2", "97.99"),
        "A-3,I,2016-01-01T08:00:00Z,invoice,due,100.00,EUR,,,\n",
        "A-4,I,2016-01-01T08:00:00Z,gift,due,1.00,EUR,,,\n",
    ];
    let file = books.file("events.csv", &events.concat());
    let submit =
        ["batch", "submit", &ledger, file.to_str().unwrap(), "--source", "shop", "--from", "2016-01-01", "--to"];
    let submit = [&submit[..], &["2016-01-02", "--wait", "--json"]].concat();
    let ended = tieout(&submit).well().json();
    assert_eq!(ended["rejected"]["by_rule"], json!({ "enum": 1 }), "{ended}");
    assert_eq!((&ended["rejected"]["records"], ended["rejected"]["files"].as_array().unwrap().len()), (&json!(1), 1));

    // By the balance that the example has, the first would be a break.
    for (key, status) in [("A-1", "reconciled"), ("A-2", "break"), ("A-3", "open")] {
        assert_eq!(get(&ledger, key)["status"], status, "{key}");
    }
    let shown = tieout(&["batch", "show", &ledger, "shop-2016-01-01", "--json"]).well().json();
    let steps: Vec<&Value> = shown["steps"].as_array().unwrap().iter().collect();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["split", "reduce", "combine", "prefetch", "apply", "index"], "{shown}");
    for step in &steps {
        assert_eq!((step["status"].as_str(), step["step_attempt"].as_u64()), (Some("done"), Some(1)), "{step}");
        assert!(step["started_at"].is_string() && step["ended_at"].is_string(), "{step}");
    }
    assert_eq!(steps[4]["figures"]["rule"], "settled 1", "{shown}");
    let prefetch = &steps[3]["figures"];
    assert!(prefetch["lookups"].as_u64() >= Some(1) && prefetch["reads"] == 0, "{prefetch}");

    let late = [&submit[..], &["--correction", "late"]].concat();
    let refused = tieout(&late);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("the content of events.csv of batch shop-2016-01-01"), "{refused:?}");
    let meant = [&late[..], &["--again", "a second one of each"]].concat();
    assert_eq!(tieout(&meant).well().json()["status"], "indexed");
    assert_eq!(get(&ledger, "A-1")["events"], 4);
}

/// A batch whose objects do not hold what its manifest says, and one that cannot even be registered: both are out, with
/// their reasons, and those behind them are indexed. A batch in its place closes the gap.
#[tokio::test]
async fn a_refused_batch_blocks_nothing() {
    let stack = Stack::connect().await;
    let mut books = Books::open(&stack, "refused", Shape::default(), |_| ()).await;
    let ledger = books.id.ledger.clone();
    let plan = Plan { events: 1_200, artifacts: 200, batches: 6, ..Plan::default() };
    let batches: Vec<Batch> = plan.batches().collect();
    for (index, batch) in batches.iter().enumerate() {
        let mut manifest = books.manifest(batch);
        match index {
            // A cent too much.
            0 => {
                let sum = manifest["totals"]["columns"][0]["sum"].as_str().unwrap();
                manifest["totals"]["columns"][0]["sum"] = format!("1{sum}").into();
            }
            // Another count than its objects have.
            2 => manifest["totals"]["records"] = 7.into(),
            // A source that the ledger does not know.
            3 => manifest["source"] = "nobody".into(),
            _ => {}
        }
        books.upload(batch).await;
        books.close(batch, &manifest).await;
        if ![0, 2, 3].contains(&index) {
            books.expect(batch);
        }
    }
    books.agree().await;
    for index in [0, 2] {
        let reason = books.until("it is refused", async |books: &Books| {
            match books.book.batch(&books.id, &batches[index].name).await.unwrap().map(|batch| batch.status) {
                Some(BatchStatus::Refused { reason }) => Some(reason),
                _ => None,
            }
        });
        let reason = reason.await;
        assert!(reason.contains("totals"), "{reason}");
    }
    let not_taken = tieout(&["batch", "show", &ledger, &batches[3].name, "--json"]).well().json();
    assert_eq!(not_taken["status"], "not_taken");
    assert!(not_taken["reason"].as_str().unwrap().contains("nobody"), "{not_taken}");

    // The first again, as it should have been, in its place.
    let again = Batch { name: "shop-again".to_owned(), ..batches[0].clone() };
    let mut manifest = books.manifest(&again);
    manifest["replaces"] = batches[0].name.as_str().into();
    books.upload(&again).await;
    books.close(&again, &manifest).await;
    books.expect(&again);
    // And the one that nobody sent, under its own name.
    books.close(&batches[3], &books.manifest(&batches[3])).await;
    books.expect(&batches[3]);
    books.agree().await;
    let shown = tieout(&["ledger", "show", &ledger, "--json"]).well().json();
    let sources = &shown["completeness"]["sources"];
    assert_eq!(sources["bank"]["watermark"], "2016-01-01T03:00:00Z", "{shown}");
    // The shop's second hour is still open: nobody has sent it anew.
    assert_eq!(sources["shop"]["watermark"], "2016-01-01T01:00:00Z", "{shown}");
}

/// A job that trying again does not mend parks, those behind it wait, redriving parks it again; skipped, it is out, and the
/// others go on.
#[tokio::test]
async fn a_poison_batch_is_parked_until_it_is_skipped() {
    let stack = Stack::connect().await;
    let few_ids = |definition: &mut Value| {
        one_by_one(definition);
        definition["duplicates"] = json!({ "scope": "artifact", "idsMax": 40 });
    };
    let mut books = Books::open(&stack, "poison", Shape::default(), few_ids).await;
    let ledger = books.id.ledger.clone();
    let plan = Plan { events: 1_500, artifacts: 500, batches: 6, ..Plan::default() };
    let mut batches: Vec<Batch> = plan.batches().collect();
    // One order of the second has more events than an artifact can keep the ids of.
    let order = batches[1].files[0][0].event.order.clone();
    batches[1].files[0].iter_mut().take(60).for_each(|row| row.event.order.clone_from(&order));
    for batch in &batches {
        books.send(batch).await;
    }
    let poison = batches[1].name.clone();
    let parked = async |books: &Books| books.parked().await;
    let job = books.until("the second job is parked", parked).await;
    assert_eq!(job.batches.lo(), books.number(&poison).await.unwrap());
    let JobStatus::Parked(failure) = &job.status else { panic!("{job:?}") };
    assert!(failure.message.contains(&order), "{failure:?}");
    let shown = tieout(&["batch", "show", &ledger, &poison, "--json"]).well().json();
    assert_eq!(shown["status"], "parked", "{shown}");

    tieout(&["batch", "redrive", &ledger, &poison]).well();
    let again = async |books: &Books| books.parked().await.filter(|again| again.attempt > job.attempt);
    books.until("it is parked again", again).await;
    let indexed = books.book.head(&books.id).await.unwrap().indexed;
    assert!(indexed < job.number(), "a later batch has overtaken: {indexed}");

    tieout(&["batch", "skip", &ledger, &poison, "--reason", "too many events of one order"]).well();
    books.forget(&poison);
    books.agree().await;
    let shown = tieout(&["batch", "show", &ledger, &poison, "--json"]).well().json();
    assert_eq!(
        (shown["status"].as_str(), shown["reason"].as_str()),
        (Some("skipped"), Some("too many events of one order"))
    );
}

/// A bulk order: a million event lines of one artifact, in two batches among others.
#[tokio::test]
async fn an_artifact_with_a_million_event_lines() {
    const LINES: u64 = 1_000_000;
    const MEMORY_BYTES: u64 = 512 << 20;
    let stack = Stack::connect().await;
    let shape = Shape { packing: Packing::Zstd, keep: Keep::All, ..Shape::default() };
    let mut books = Books::open(&stack, "hot", shape, one_by_one).await;
    let plan = Plan { events: 600, artifacts: 50, batches: 2, hot_lines: LINES, ..Plan::default() };
    for batch in plan.batches() {
        books.send(&batch).await;
    }
    books.settled().await;
    for function in ["reducer", "combiner", "prefetcher", "state-engine", "index-worker"] {
        let peak = workers::of(&stack, function).into_iter().filter_map(workers::Worker::peak_bytes).max().unwrap();
        assert!(peak < MEMORY_BYTES, "{function} had {peak} bytes");
    }
    let oracle = books.agree().await;
    let artifact = get(&books.id.ledger, HOT);
    assert_eq!((artifact["events"].as_u64(), artifact["status"].as_str()), (Some(LINES), Some("reconciled")));
    assert_eq!(artifact["measures"]["payments"].as_u64(), Some(LINES / 2));
    assert_eq!(oracle.fault(&artifact), None);
    let lines = tieout(&["artifact", "get", &books.id.ledger, HOT, "--lines"]).well().stdout;
    let (mut count, mut cents) = (0, 0);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let amount: i128 = line["values"]["amount"].as_str().unwrap().replace('.', "").parse().unwrap();
        cents += if line["values"]["kind"] == "invoice" { amount } else { -amount };
        count += 1;
    }
    assert_eq!((count, cents), (LINES, 0));
}
