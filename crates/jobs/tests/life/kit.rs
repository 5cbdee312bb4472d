//! An installation in one process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jobs::{
    JobError,
    book::{JobRecord, Jobs},
    checker::{self, OutputChecker},
    closer::{self, JobCloser},
    estimate::Bounds,
    layout,
    manifest::{End, Publication},
    messages::{
        ApiRequest, ApiResponse, Caught, CheckAction, CheckReply, CheckRequest, CheckedFigures, Chosen, CloseRequest,
        Closed, Notice, Piece, PlanRequest, Published, SqsAttributes, SqsEvent, SqsMessage, StartRequest, Started,
        StepRequest, Taken,
    },
    planner::{self, JobPlanner},
    prices::{Architecture, Resources},
    publisher::{self, JobPublisher},
    starter::{self, JobStarter},
};
use reconcile::{
    Format, Type, Value,
    plan::{Body, Plan, PlanColumn},
    reference::{Arrival, InputRows, OutputRows, run},
    report::{Failure, Figures, InputFigures, ObjectFigures, Outcome, OutputFigures, Part, Report, StepFigures, Sum},
    task::{Task, TaskFormat, TaskInput, TaskJob, TaskObject},
};
use records::{LineEnd, Writer};
use serde_json::{Value as Json, json};
use storage::{
    Location, Mailer, Objects, Queues, Tables, Workflows, documents,
    memory::{
        Fault, Faulty, ManualClock, MemoryMailer, MemoryObjects, MemoryQueues, MemoryTables, MemoryWorkflows, Operation,
    },
    objects::{PutOptions, read_all},
    queues::Message,
};

pub(crate) const DATA: &str = "data";
pub(crate) const WORK: &str = "work";
pub(crate) const QUEUE: &str = "queue";
pub(crate) const DEAD: &str = "dead-letters";
const JOBS: &str = "jobs";
const FEEDS: &str = "feeds";
pub(crate) const LEDGERS: &str = "ledgers";
pub(crate) const RESOURCES: Resources = Resources {
    architecture: Architecture::Arm64,
    transform_memory_mib: 10_240,
    spark_workers: 3,
    spark_worker_vcpus: 4,
    spark_worker_disk_gb: 200,
    spark_vcpus: 16,
};

/// Everything that outlives a handler.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) tables: Arc<MemoryTables>,
    pub(crate) queues: Arc<MemoryQueues>,
    pub(crate) mailer: Arc<MemoryMailer>,
    pub(crate) workflows: Arc<MemoryWorkflows>,
    pub(crate) spark: bool,
    pub(crate) mail_from: Option<String>,
    /// What output-checker reads in one call.
    pub(crate) piece_bytes: u64,
    receipts: Mutex<BTreeMap<String, u32>>,
}

/// The handlers, wired to a world, perhaps with faults before its ports.
pub(crate) struct Handlers {
    pub(crate) starter: JobStarter,
    pub(crate) planner: JobPlanner,
    pub(crate) checker: OutputChecker,
    pub(crate) publisher: JobPublisher,
    pub(crate) closer: JobCloser,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-03-31T12:00:00Z".parse().unwrap()));
        Self {
            objects: Arc::new(MemoryObjects::new(clock.clone())),
            tables: Arc::new(MemoryTables::default()),
            queues: Arc::new(MemoryQueues::default()),
            mailer: Arc::new(MemoryMailer::default()),
            workflows: Arc::new(MemoryWorkflows::default()),
            spark: false,
            mail_from: Some("tieout@example.com".to_owned()),
            piece_bytes: 1 << 30,
            receipts: Mutex::new(BTreeMap::new()),
            clock,
        }
    }

    /// One whose output-checker reads so many bytes in one call.
    pub(crate) fn in_pieces(piece_bytes: u64) -> Self {
        Self { piece_bytes, ..Self::new() }
    }

    pub(crate) fn handlers(&self) -> Handlers {
        self.faulty_handlers(|_| None)
    }

    /// The handlers on ports that fail as `plan` says.
    pub(crate) fn faulty_handlers(
        &self,
        plan: impl Fn(&Operation) -> Option<Fault> + Send + Sync + Clone + 'static,
    ) -> Handlers {
        let objects: Arc<dyn Objects> = Arc::new(Faulty::new(self.objects.clone(), plan.clone()));
        let tables: Arc<dyn Tables> = Arc::new(Faulty::new(self.tables.clone(), plan.clone()));
        let queues: Arc<dyn Queues> = Arc::new(Faulty::new(self.queues.clone(), plan.clone()));
        let mailer: Arc<dyn Mailer> = Arc::new(Faulty::new(self.mailer.clone(), plan.clone()));
        let workflows: Arc<dyn Workflows> = Arc::new(Faulty::new(self.workflows.clone(), plan));
        let clock = self.clock.clone();
        let name = |name: &str| name.to_owned();
        let starting = starter::Config {
            queue: name(QUEUE),
            dead_letters: name(DEAD),
            jobs_table: name(JOBS),
            data_bucket: name(DATA),
            machine: name("machine"),
            slots: 10,
            execution: Duration::from_secs(3_600),
        };
        let planning = planner::Config {
            data_bucket: name(DATA),
            work_bucket: name(WORK),
            jobs_table: name(JOBS),
            feeds_table: name(FEEDS),
            ledgers_table: name(LEDGERS),
            bounds: Bounds { memory_bytes: 10 << 30, disk_bytes: 10 << 30, seconds: 900 },
            spark: self.spark,
        };
        let publishing = publisher::Config {
            work_bucket: name(WORK),
            data_bucket: name(DATA),
            jobs_table: name(JOBS),
            resources: RESOURCES,
        };
        let closing = closer::Config {
            data_bucket: name(DATA),
            jobs_table: name(JOBS),
            dead_letters: name(DEAD),
            slots: 10,
            mail_from: self.mail_from.clone(),
            resources: RESOURCES,
        };
        let checking =
            checker::Config { work_bucket: name(WORK), jobs_table: name(JOBS), piece_bytes: self.piece_bytes };
        Handlers {
            starter: JobStarter::new(
                objects.clone(),
                tables.clone(),
                queues.clone(),
                workflows,
                clock.clone(),
                starting,
            ),
            planner: JobPlanner::new(objects.clone(), tables.clone(), clock.clone(), planning),
            checker: OutputChecker::new(objects.clone(), tables.clone(), clock.clone(), checking),
            publisher: JobPublisher::new(objects.clone(), tables.clone(), clock.clone(), publishing),
            closer: JobCloser::new(objects, tables, queues, mailer, clock, closing),
        }
    }

    pub(crate) fn jobs(&self) -> Jobs {
        Jobs::new(self.tables.clone(), JOBS, self.clock.clone())
    }

    pub(crate) async fn record(&self, job: &str) -> JobRecord {
        self.jobs().get("acme", job).await.unwrap().expect("there is such a job")
    }

    pub(crate) async fn put(&self, key: &str, body: &(impl AsRef<[u8]> + ?Sized)) {
        let at = Location::new(DATA, key);
        self.objects.put(&at, body.as_ref().to_vec().into(), PutOptions::default()).await.unwrap();
    }

    pub(crate) async fn feed(&self, name: &str, descriptor: Json) {
        let item = json!({"pk": "acme#feeds", "sk": name, "descriptor": descriptor.to_string()});
        let item = item.as_object().unwrap().clone();
        self.tables.put(FEEDS, item, storage::Condition::Always).await.unwrap();
    }

    pub(crate) async fn text(&self, key: &str) -> String {
        let at = Location::new(DATA, key);
        let bytes = read_all(self.objects.read(&at, None, None).await.unwrap(), &at, 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Receives a body as the event source would: how many times before, goes by its text.
    pub(crate) async fn deliver(&self, handlers: &Handlers, body: &str) -> Taken {
        let received = {
            let mut receipts = self.receipts.lock().unwrap();
            let received = receipts.entry(body.to_owned()).or_default();
            *received += 1;
            *received
        };
        let message = SqsMessage {
            message_id: "message".to_owned(),
            receipt_handle: "receipt".to_owned(),
            body: body.to_owned(),
            attributes: SqsAttributes { approximate_receive_count: received.to_string() },
        };
        match handlers.starter.start(StartRequest::Messages(SqsEvent { records: vec![message] })).await.unwrap() {
            Started::Messages(taken) => taken,
            Started::Posted(posted) => panic!("{posted:?}"),
        }
    }

    pub(crate) async fn post(&self, handlers: &Handlers, body: &str) -> ApiResponse {
        let request =
            ApiRequest { route_key: "POST /jobs".to_owned(), body: body.to_owned(), is_base64_encoded: false };
        match handlers.starter.start(StartRequest::Posted(request)).await.unwrap() {
            Started::Posted(response) => response,
            Started::Messages(taken) => panic!("{taken:?}"),
        }
    }

    pub(crate) fn dead_letters(&self) -> Vec<Message> {
        self.queues.messages(DEAD)
    }

    pub(crate) async fn end(&self, job: &TaskJob) -> Option<End> {
        documents::read(&*self.objects, &Location::new(DATA, layout::manifest_key(job))).await.unwrap()
    }

    pub(crate) async fn publication(&self, job: &TaskJob) -> Publication {
        match self.end(job).await {
            Some(End::Published(publication)) => *publication,
            other => panic!("{other:?}"),
        }
    }

    /// What the machine does with an attempt: all states, to the end.
    pub(crate) async fn execute(&self, handlers: &Handlers, job: &TaskJob) -> Result<Closed, JobError> {
        let failure = match self.states(handlers, job).await {
            Ok(_) => None,
            Err(error) => Some(caught(&error)),
        };
        handlers.closer.close(Notice::State(CloseRequest { job: job.clone(), failure, only_end: false })).await
    }

    pub(crate) async fn states(&self, handlers: &Handlers, job: &TaskJob) -> Result<Published, JobError> {
        let chosen = self.to_engine(handlers, job).await?;
        self.check(handlers, job, &chosen.report).await?;
        handlers.publisher.publish(StepRequest { job: job.clone() }).await
    }

    /// Checks the outputs as the machine does: at once, or in pieces. Children are tried again where that may help, and say
    /// why they have failed.
    pub(crate) async fn check(
        &self,
        handlers: &Handlers,
        job: &TaskJob,
        report: &Location,
    ) -> Result<CheckedFigures, JobError> {
        use error_class::{Classified as _, ErrorClass};

        let ask = |action| handlers.checker.handle(check_request(job, report, action));
        let CheckReply::Begun(begun) = ask(CheckAction::Check).await? else { panic!("a check begins") };
        if begun.count == 0 {
            return Ok(begun.figures);
        }
        for piece in self.pieces(&Location::new(begun.bucket, begun.pieces)).await {
            let read = match ask(CheckAction::CheckPiece { piece }).await {
                Err(error) if error.class() == ErrorClass::Unavailable => ask(CheckAction::CheckPiece { piece }).await,
                read => read,
            };
            if let Err(error) = read {
                ask(CheckAction::ReportPiece { piece, failure: caught(&error) }).await?;
            }
        }
        match ask(CheckAction::AddUp).await? {
            CheckReply::Checked(figures) => Ok(figures),
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) async fn pieces(&self, at: &Location) -> Vec<Piece> {
        documents::read(&*self.objects, at).await.unwrap().expect("there are pieces")
    }

    /// Plans the attempt and runs its task.
    pub(crate) async fn to_engine(&self, handlers: &Handlers, job: &TaskJob) -> Result<Chosen, JobError> {
        let chosen = handlers.planner.plan(PlanRequest { job: job.clone(), failure: None }).await?;
        self.engine(&chosen).await;
        Ok(chosen)
    }

    /// The reference engine, as if it were one of the others.
    pub(crate) async fn engine(&self, chosen: &Chosen) {
        let task: Task = documents::read(&*self.objects, &chosen.task).await.unwrap().expect("there is a task");
        task.check().unwrap();
        let mut inputs = BTreeMap::new();
        let mut figures = BTreeMap::new();
        for (name, input) in &task.inputs {
            let rows = self.rows(input, &task, name).await;
            let object = |(rows, object): (&Vec<_>, &TaskObject)| ObjectFigures {
                key: object.key.clone(),
                rows: rows.len() as u64,
                bytes: object.bytes,
            };
            let objects: Vec<_> = rows.objects.iter().zip(&input.objects).map(object).collect();
            let bytes = objects.iter().map(|object| object.bytes).sum();
            let count = objects.iter().map(|object| object.rows).sum();
            figures.insert(name.clone(), InputFigures { rows: count, bytes, objects });
            inputs.insert(name.clone(), rows);
        }
        let outcome = match run(&task.plan, &inputs, Arrival::Scattered) {
            Ok(outputs) => {
                let mut written = Vec::new();
                for planned in &task.plan.outputs {
                    let rows = &outputs[&planned.name];
                    written.push(self.write(&task, &planned.name, planned.format, rows).await);
                }
                let step = StepFigures {
                    step: "step".to_owned(),
                    operation: "filter".to_owned(),
                    rows: 1,
                    bytes: None,
                    milliseconds: Some(3),
                };
                Outcome::Done(Figures {
                    inputs: figures,
                    steps: vec![step],
                    outputs: written,
                    milliseconds: 7,
                    peak_memory_bytes: 1 << 20,
                    spilled_bytes: 0,
                })
            }
            Err(error) => {
                let key = |input: &str, object: i64| {
                    task.inputs[input].objects.get(usize::try_from(object).unwrap()).map(|object| object.key.clone())
                };
                Outcome::Failed { failure: Failure::of(&error, key) }
            }
        };
        let at = Location::new(&task.output.bucket, task.output.report_key());
        documents::write(&*self.objects, &at, &Report::new(chosen.engine, outcome)).await.unwrap();
    }

    async fn rows(&self, input: &TaskInput, task: &Task, name: &str) -> InputRows {
        let mut objects = Vec::new();
        for object in &input.objects {
            let at = Location::new(&object.bucket, &object.key);
            let stream = self.objects.read(&at, object.version.as_deref(), None).await.unwrap();
            objects.push(read_all(stream, &at, 1 << 20).await.unwrap().to_vec());
        }
        match input.format {
            TaskFormat::Csv => csv_rows(&task.plan, name, &objects),
            TaskFormat::JsonLines => InputRows::of_json_lines(&task.plan, name, input, &objects).unwrap(),
            TaskFormat::Parquet => panic!("the tests read no Parquet"),
        }
    }

    /// Parts of two rows each.
    async fn write(&self, task: &Task, name: &str, format: Format, rows: &OutputRows) -> OutputFigures {
        let mut parts = Vec::new();
        for (index, chunk) in rows.rows.chunks(2).enumerate() {
            let bytes = encode(format, &rows.columns, chunk);
            let key = task.output.part_key(name, u32::try_from(index).unwrap(), format);
            parts.push(Part { key: key.clone(), bytes: bytes.len() as u64, rows: chunk.len() as u64 });
            let at = Location::new(&task.output.bucket, key);
            self.objects.put(&at, bytes.into(), PutOptions::default()).await.unwrap();
        }
        let mut totals = BTreeMap::new();
        for (index, (column, kind)) in rows.columns.iter().enumerate() {
            if let Some(mut sum) = Sum::of(*kind) {
                rows.rows.iter().for_each(|row| sum.add(&row[index]));
                totals.insert(column.clone(), sum.to_string());
            }
        }
        OutputFigures { name: name.to_owned(), rows: rows.rows.len() as u64, totals, parts }
    }
}

fn encode(format: Format, columns: &[(String, Type)], rows: &[Vec<Value>]) -> Vec<u8> {
    let text = |row: &[Value]| -> Vec<String> {
        columns.iter().zip(row).map(|((_, kind), value)| kind.format(value)).collect()
    };
    match format {
        Format::Csv => {
            let mut writer = Writer::new(&records::Format::default(), LineEnd::CrLf);
            for row in rows {
                writer.write(text(row).iter().map(String::as_str));
            }
            writer.as_bytes().to_vec()
        }
        Format::JsonLines => {
            let mut bytes = Vec::new();
            for row in rows {
                let cells = columns.iter().zip(row).map(|((name, kind), value)| {
                    let cell = match value {
                        Value::Blank => Json::Null,
                        Value::Integer(number) => json!(number),
                        other => json!(kind.format(other)),
                    };
                    (name.clone(), cell)
                });
                bytes.extend(serde_json::to_vec(&cells.collect::<serde_json::Map<_, _>>()).unwrap());
                bytes.push(b'\n');
            }
            bytes
        }
        Format::Parquet => panic!("the tests write no Parquet here"),
    }
}

/// What a plan reads of CSV files with a header.
fn csv_rows(plan: &Plan, name: &str, objects: &[Vec<u8>]) -> InputRows {
    let read = plan.relations.iter().find(|one| matches!(&one.body, Body::Read { input } if input == name));
    let columns: Vec<_> = read.map_or_else(Vec::new, |relation| {
        relation.columns.iter().filter(|column| !column.name.starts_with('#')).collect()
    });
    let object = |bytes: &Vec<u8>| {
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let rows = reader.deserialize().map(|row| {
            let row: BTreeMap<String, String> = row.unwrap();
            let cell =
                |column: &&PlanColumn| column.kind.parse(row.get(&column.name).map_or("", String::as_str)).unwrap();
            columns.iter().map(cell).collect()
        });
        rows.collect()
    };
    let objects = objects.iter().map(object).collect();
    InputRows { columns: columns.iter().map(|column| column.name.clone()).collect(), objects }
}

/// The failure as the machine's `Catch` would hand it over.
pub(crate) fn caught(error: &JobError) -> Caught {
    use error_class::Classified as _;
    let cause = json!({ "errorMessage": error_class::chain(error) }).to_string();
    Caught { error: error.class().to_string(), cause }
}

/// Orders that cost more than a bound, and their sum, of a file `orders.csv`.
pub(crate) fn document() -> Json {
    json!({
        "version": 1,
        "inputs": {"orders": {"format": "csv", "objects": ["orders.csv"], "columns": [
            {"name": "id", "type": "integer"}, {"name": "region", "type": "text"}, {"name": "net", "type": "decimal(2)"},
        ]}},
        "steps": [
            {"name": "dear", "operation": "filter", "from": "orders",
                "where": {"column": "net", "is": ">", "value": "1.00"}},
            {"name": "sums", "operation": "groupBy", "from": "orders", "by": ["region"],
                "measures": [{"function": "sum", "column": "net", "as": "net"}]},
        ],
        "outputs": [
            {"name": "dear", "from": "dear", "format": "csv"},
            {"name": "sums", "from": "sums", "format": "jsonLines"},
        ],
    })
}

pub(crate) const ORDERS: &str =
    "id,region,net\n1,\"north, east\",10.00\n2,south,0.50\n3,south,-0.25\n4,south,7.25\n5,,1.01\n";

pub(crate) fn body(job: &str, document: &Json) -> String {
    json!({"tenant": "acme", "job": job, "document": document}).to_string()
}

pub(crate) fn again(job: &str, document: &Json, attempt: u32) -> String {
    json!({"tenant": "acme", "job": job, "attempt": attempt, "document": document}).to_string()
}

pub(crate) fn attempt(job: &str, attempt: u32) -> TaskJob {
    TaskJob { tenant: "acme".to_owned(), job: job.to_owned(), attempt }
}

pub(crate) fn check_request(job: &TaskJob, report: &Location, action: CheckAction) -> CheckRequest {
    CheckRequest { job: job.clone(), report: report.clone(), action }
}

/// What a machine says of an error that no function has.
pub(crate) fn lost() -> Caught {
    Caught { error: "Sandbox.Timedout".to_owned(), cause: "it took too long".to_owned() }
}
