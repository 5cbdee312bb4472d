//! The example job through the real handlers and this engine, in one process: what transform-runner does, to the cent.

use std::{fs, path::Path, sync::Arc, time::Duration};

use jobs::{
    checker::{self, OutputChecker},
    estimate::Bounds,
    layout,
    manifest::End,
    messages::{
        CheckAction, CheckReply, CheckRequest, PlanRequest, SqsAttributes, SqsEvent, SqsMessage, StartRequest, Started,
        StepRequest,
    },
    planner::{self, JobPlanner},
    prices::{Architecture, Resources},
    publisher::{self, JobPublisher},
    starter::{self, JobStarter},
    transform::{self, Room, TransformRequest, TransformRunner},
};
use reconcile::task::TaskJob;
use reconcile_engine::Limits;
use serde_json::{Value, json};
use storage::{
    Location, Objects, documents,
    memory::{ManualClock, MemoryObjects, MemoryQueues, MemoryTables, MemoryWorkflows},
    objects::{PutOptions, read_all},
};

fn name(name: &str) -> String {
    name.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_ties_out_to_the_cent() {
    let clock = Arc::new(ManualClock::at("2026-03-31T12:00:00Z".parse().unwrap()));
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::new(clock.clone()));
    let (tables, queues) = (Arc::new(MemoryTables::default()), Arc::new(MemoryQueues::default()));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut document: Value =
        serde_json::from_str(&fs::read_to_string(examples.join("reconcile/orders.json")).unwrap()).unwrap();
    for input in document["inputs"].as_object_mut().unwrap().values_mut() {
        for object in input["objects"].as_array_mut().unwrap() {
            let key = object.as_str().unwrap().trim_start_matches("../").to_owned();
            let at = Location::new("data", format!("acme/{key}"));
            objects.put(&at, fs::read(examples.join(&key)).unwrap().into(), PutOptions::default()).await.unwrap();
            *object = key.into();
        }
    }

    let config = starter::Config {
        queue: name("queue"),
        dead_letters: name("dead"),
        jobs_table: name("jobs"),
        data_bucket: name("data"),
        machine: name("machine"),
        slots: 10,
        execution: Duration::from_secs(60),
    };
    let workflows = Arc::new(MemoryWorkflows::default());
    let starter = JobStarter::new(objects.clone(), tables.clone(), queues, workflows, clock.clone(), config);
    let message = SqsMessage {
        message_id: name("m"),
        receipt_handle: name("r"),
        body: json!({"tenant": "acme", "job": "close", "document": document}).to_string(),
        attributes: SqsAttributes { approximate_receive_count: name("1") },
    };
    let started = starter.start(StartRequest::Messages(SqsEvent { records: vec![message] })).await.unwrap();
    let Started::Messages(taken) = started else { panic!("messages") };
    assert_eq!(taken.started, 1);

    let job = TaskJob { tenant: name("acme"), job: name("close"), attempt: 1 };
    let config = planner::Config {
        data_bucket: name("data"),
        work_bucket: name("work"),
        jobs_table: name("jobs"),
        feeds_table: name("feeds"),
        ledgers_table: name("ledgers"),
        bounds: Bounds { memory_bytes: 2 << 30, disk_bytes: 2 << 30, seconds: 900 },
        spark: false,
    };
    let planner = JobPlanner::new(objects.clone(), tables.clone(), clock.clone(), config);
    let chosen = planner.plan(PlanRequest { job: job.clone(), failure: None }).await.unwrap();

    let room = Room { memory_bytes: 512 << 20, disk_bytes: 1 << 30, time: Duration::from_secs(600) };
    let config = transform::Config { jobs_table: name("jobs"), room };
    let runner = TransformRunner::new(objects.clone(), tables.clone(), clock.clone(), config);
    let request = TransformRequest { job: job.clone(), task: chosen.task };
    let transformed = runner.run(request, |task, objects, room| async move {
        let limits = Limits { time: Some(room.time), ..Limits::new(room.memory_bytes, room.disk_bytes) };
        reconcile_engine::run(&task, objects, &limits).await
    });
    assert_eq!(transformed.await.unwrap().rows_in, 4_000);

    let config = checker::Config { work_bucket: name("work"), jobs_table: name("jobs"), piece_bytes: 1 << 30 };
    let checker = OutputChecker::new(objects.clone(), tables.clone(), clock.clone(), config);
    let check = CheckRequest { job: job.clone(), report: chosen.report, action: CheckAction::Check };
    let CheckReply::Begun(checked) = checker.handle(check).await.unwrap() else { panic!("a check begins") };
    assert_eq!((checked.count, checked.figures.rows), (0, 2_011));
    let resources = Resources {
        architecture: Architecture::Arm64,
        transform_memory_mib: 10_240,
        spark_workers: 3,
        spark_worker_vcpus: 4,
        spark_worker_disk_gb: 200,
        spark_vcpus: 16,
    };
    let config =
        publisher::Config { work_bucket: name("work"), data_bucket: name("data"), jobs_table: name("jobs"), resources };
    let publisher = JobPublisher::new(objects.clone(), tables, clock, config);
    publisher.publish(StepRequest { job: job.clone() }).await.unwrap();

    let end: Option<End> =
        documents::read(&*objects, &Location::new("data", layout::manifest_key(&job))).await.unwrap();
    let Some(End::Published(publication)) = end else { panic!("{end:?}") };
    let orders = &publication.outputs[0];
    for (column, sum) in [("totalRevenue", "2574886623.94"), ("Margin", "752701681.68"), ("Variance", "0.00")] {
        assert_eq!(orders.totals[column], sum, "{column}");
    }
    let at = Location::new("data", &orders.objects[0].key);
    let bytes = read_all(objects.read(&at, None, None).await.unwrap(), &at, 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.starts_with("uuid,Sales Channel,Region,"), "{}", text.lines().next().unwrap());
    assert_eq!(text.lines().count(), 2_001);
}
