//! A ledger of a test's own on the local stack, and beside it an oracle that is told the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::BufWriter,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_adapters::{DynamoTables, S3Objects};
use bytes::Bytes;
use ledger::{
    BatchSequence, Definition, IndexEntry, JobNumber, Rules,
    book::{BatchStatus, Book},
    definitions::Definitions,
    job::{Job, JobStatus},
    layout::artifact_key,
    manifest::{LedgerId, ManifestKey},
    steps::{StepRecord, StepStatus, Steps},
};
use serde_json::{Map, Value, json};
use storage::{
    Key, Location, Objects, Tables,
    objects::{PutOptions, read_all},
};
use tempfile::TempDir;
use tests::events::{
    Batch, Fault, definition,
    oracle::{Keep, Oracle},
    write::{Format, Packing, write},
};
use tokio::time::sleep;

use crate::{
    DATA, INPUT, Stack,
    command::{Ran, tieout},
};

/// The table of the book.
pub const LEDGERS: &str = "tieout-ledgers";
/// The table of the index.
pub const ARTIFACTS: &str = "tieout-artifacts";
/// Longer than anything here takes, on a machine that others use too.
const PATIENCE: Duration = Duration::from_secs(240);
const OBJECT_BYTES_MAX: u64 = 1 << 30;
/// What is asked of the index at once.
const KEYS_AT_ONCE: usize = 100;

/// How a ledger's events are written, and which lines its artifacts keep.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// CSV or JSON lines.
    pub format: Format,
    /// Packed or not.
    pub packing: Packing,
    /// Event lines.
    pub keep: Keep,
}

impl Default for Shape {
    fn default() -> Self {
        Self { format: Format::Csv, packing: Packing::None, keep: Keep::Last(5) }
    }
}

/// Changes a definition: each batch is a job of its own.
pub fn one_by_one(definition: &mut Value) {
    definition["policy"]["grouping"] = json!({ "batchesMax": 1 });
}

/// A ledger, and what was sent to it.
pub struct Books {
    /// The ledger.
    pub id: LedgerId,
    /// What coordination knows of it.
    pub book: Book,
    steps: Steps,
    objects: S3Objects,
    tables: Arc<DynamoTables>,
    shape: Shape,
    folder: TempDir,
    sent: BTreeMap<String, Batch>,
}

impl Books {
    /// A new ledger with the example's definition, but for what `change` does to it.
    pub async fn open(stack: &Stack, name: &str, shape: Shape, change: impl FnOnce(&mut Value)) -> Self {
        let tables = Arc::new(stack.session.tables());
        let name = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let mut document = definition(&name);
        document["events"]["format"] = shape.format.name().into();
        document["events"]["compression"] = shape.packing.name().into();
        document["eventLines"]["keep"] = match shape.keep {
            Keep::All => "all".into(),
            Keep::Last(count) => json!({ "last": count }),
        };
        change(&mut document);
        let document = Definition::from_json(&document.to_string()).unwrap();
        Definitions::new(tables.clone(), LEDGERS, Rules::built_in()).put("default", &document).await.unwrap();
        let book = Book::new(tables.clone(), LEDGERS);
        Self {
            id: LedgerId::new("default", &name).unwrap(),
            steps: Steps::new(book.clone()),
            book,
            objects: stack.session.objects(),
            tables,
            shape,
            folder: tempfile::tempdir().unwrap(),
            sent: BTreeMap::new(),
        }
    }

    /// Submits a batch as a person does, without waiting.
    pub fn submit(&mut self, batch: &Batch) -> Ran {
        let mut words = vec!["batch".to_owned(), "submit".to_owned(), self.id.ledger.clone()];
        let named = [
            ("--batch", batch.name.clone()),
            ("--source", batch.source.to_owned()),
            ("--from", batch.from.to_string()),
            ("--to", batch.to.to_string()),
        ];
        words.extend(named.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        words.extend(batch.correction.iter().flat_map(|why| ["--correction".to_owned(), why.clone()]));
        words.push("--json".to_owned());
        words.extend(self.files(batch).iter().map(|file| file.to_str().unwrap().to_owned()));
        self.sent.insert(batch.name.clone(), batch.clone());
        tieout(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Sends a batch as another program would: its objects, and then its manifest.
    pub async fn send(&mut self, batch: &Batch) {
        self.upload(batch).await;
        self.close(batch, &manifest(batch, self.shape)).await;
        self.sent.insert(batch.name.clone(), batch.clone());
    }

    /// Uploads a batch's objects.
    pub async fn upload(&self, batch: &Batch) {
        for (number, rows) in batch.files.iter().enumerate() {
            let mut body = Vec::new();
            write(rows, self.shape.format, self.shape.packing, &mut body).unwrap();
            let key = format!("{}{}", self.key(batch).folder(), object_name(number, self.shape));
            self.put(&key, body).await;
        }
    }

    /// Uploads a batch's manifest, which need not be true.
    pub async fn close(&self, batch: &Batch, manifest: &Value) {
        self.put(&self.key(batch).key(), manifest.to_string().into_bytes()).await;
    }

    /// What a true manifest of the batch says.
    pub fn manifest(&self, batch: &Batch) -> Value {
        manifest(batch, self.shape)
    }

    /// Expects nothing of a batch that was sent: it was refused, or taken out.
    pub fn forget(&mut self, batch: &str) {
        self.sent.remove(batch).unwrap();
    }

    /// Expects something of a batch that was closed by hand.
    pub fn expect(&mut self, batch: &Batch) {
        self.sent.insert(batch.name.clone(), batch.clone());
    }

    /// Where the batch's manifest goes.
    pub fn key(&self, batch: &Batch) -> ManifestKey {
        ManifestKey::new(self.id.clone(), &batch.name)
    }

    async fn put(&self, key: &str, body: Vec<u8>) {
        self.objects.put(&Location::new(INPUT, key), Bytes::from(body), PutOptions::default()).await.unwrap();
    }

    fn files(&self, batch: &Batch) -> Vec<PathBuf> {
        let write_one = |(number, rows)| {
            let path = self.folder.path().join(format!("{}-{}", batch.name, object_name(number, self.shape)));
            let mut out = BufWriter::new(File::create(&path).unwrap());
            write(rows, self.shape.format, self.shape.packing, &mut out).unwrap();
            path
        };
        batch.files.iter().map(Vec::as_slice).enumerate().map(write_one).collect()
    }

    /// A file of the test's own beside the events.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Waits until `done` says so of the ledger.
    pub async fn until<T>(&self, what: &str, mut done: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(done) = done(self).await {
                return done;
            }
            if begun.elapsed() > PATIENCE {
                panic!("{}: {what} is not so after {PATIENCE:?}: {:#?}", self.id, self.book.view(&self.id).await);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until everything that was sent is indexed.
    pub async fn settled(&self) {
        self.until("everything is indexed", async |books: &Self| {
            for batch in books.sent.keys() {
                let number = books.book.batch(&books.id, batch).await.unwrap().and_then(|batch| batch.number)?;
                if number > books.book.head(&books.id).await.unwrap().indexed.last_batch() {
                    let parked = books.parked().await;
                    assert!(parked.is_none(), "{parked:#?}");
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// The first job that is parked.
    pub async fn parked(&self) -> Option<Job> {
        let view = self.book.view(&self.id).await.unwrap();
        view.jobs.into_iter().find(|job| matches!(job.status, JobStatus::Parked(_)))
    }

    /// The jobs that are indexed, in order.
    pub async fn jobs(&self) -> Vec<Job> {
        let (mut jobs, head) = (Vec::new(), self.book.head(&self.id).await.unwrap());
        let mut number = head.indexed;
        while number > JobNumber::ZERO {
            let job = self.book.job(&self.id, number).await.unwrap().unwrap();
            number = job.predecessor();
            jobs.push(job);
        }
        jobs.reverse();
        jobs
    }

    /// The rows of every step of the jobs that are indexed; not of those that are void.
    pub async fn steps(&self) -> Vec<StepRecord> {
        let mut steps = Vec::new();
        for job in self.jobs().await.iter().filter(|job| !job.is_void()) {
            steps.extend(self.steps_of(job.number()).await);
        }
        steps
    }

    /// The rows of a job's steps.
    pub async fn steps_of(&self, job: JobNumber) -> Vec<StepRecord> {
        self.steps.of_job(&self.id, job).await.unwrap()
    }

    /// What the oracle makes of the batches, under the numbers that they have.
    pub async fn oracle(&self) -> Oracle {
        let mut numbered = BTreeMap::new();
        for (name, batch) in &self.sent {
            let record = self.book.batch(&self.id, name).await.unwrap().unwrap();
            assert_eq!(record.status, BatchStatus::Registered, "{name}");
            numbered.insert(record.number.unwrap(), batch);
        }
        let mut oracle = Oracle::new(self.shape.keep);
        for (number, batch) in numbered {
            oracle.take(number.get(), batch);
        }
        oracle
    }

    /// Waits until everything is indexed, and compares all of it with the oracle: every artifact to the cent, each found by
    /// the index; every version before it; what the jobs have counted.
    pub async fn agree(&self) -> Oracle {
        self.settled().await;
        let oracle = self.oracle().await;
        let keys: Vec<&str> = oracle.keys().collect();
        let entries = self.entries(&keys).await;
        let mut files = BTreeMap::new();
        let jobs: BTreeSet<u64> =
            self.jobs().await.iter().filter(|job| !job.is_void()).map(|job| job.number().get()).collect();
        for (key, entry) in keys.iter().zip(&entries) {
            let entry = entry.as_ref().unwrap_or_else(|| panic!("{}: the index has no {key}", self.id));
            let line = self.line(entry, &mut files).await;
            assert_eq!(oracle.fault(&line), None, "{}: {key}", self.id);
            self.check_versions(key, line, entry, &oracle.batches_of(key), &jobs, &mut files).await;
        }
        self.check_figures(&oracle, keys.len()).await;
        oracle
    }

    /// One version for each job that brought the artifact something, one behind the other.
    async fn check_versions(
        &self,
        key: &str,
        line: Value,
        entry: &IndexEntry,
        batches: &[u64],
        jobs: &BTreeSet<u64>,
        files: &mut BTreeMap<String, Bytes>,
    ) {
        let touched: BTreeSet<u64> = batches.iter().filter_map(|batch| jobs.range(batch..).next().copied()).collect();
        let (mut version, mut at, mut found) = (line, entry.clone(), BTreeSet::new());
        loop {
            assert_eq!(
                (version["key"].as_str(), version["applied_through"].as_u64()),
                (Some(key), Some(at.sequence.get()))
            );
            assert!(found.insert(at.sequence.get()), "{}: {key} has two versions {}", self.id, at.sequence);
            if version["previous"].is_null() {
                break;
            }
            at = serde_json::from_value(version["previous"].clone()).unwrap();
            version = self.line(&at, files).await;
        }
        assert_eq!(found, touched, "{}: versions of {key}", self.id);
    }

    /// What the jobs have counted is what the oracle has.
    async fn check_figures(&self, oracle: &Oracle, artifacts: usize) {
        let steps = self.steps().await;
        let done = steps.iter().filter(|step| step.status == StepStatus::Done);
        let mut counted: BTreeMap<(String, String), u64> = BTreeMap::new();
        for step in done {
            for (name, value) in figures(&step.figures) {
                *counted.entry((step.step.clone(), name)).or_default() += value;
            }
        }
        let count = |step: &str, name: &str| {
            counted
                .get(&(step.to_owned(), name.to_owned()))
                .copied()
                .unwrap_or_else(|| panic!("{step} has no {name}: {counted:?}"))
        };
        let mut expected = tests::events::oracle::Figures::default();
        for name in self.sent.keys() {
            let number = self.book.batch(&self.id, name).await.unwrap().unwrap().number.unwrap();
            let figures = oracle.figures(number.get());
            expected.records += figures.records;
            expected.applied += figures.applied;
            expected.duplicates += figures.duplicates;
            expected.conflicts += figures.conflicts;
            expected.rejected += figures.rejected;
        }
        let found = tests::events::oracle::Figures {
            records: count("reduce", "records"),
            applied: count("apply", "events"),
            duplicates: count("combine", "duplicates"),
            conflicts: count("combine", "conflicts"),
            rejected: count("reduce", "rejected"),
        };
        assert_eq!(found, expected, "{}", self.id);
        assert_eq!(count("apply", "created"), artifacts as u64, "{}: artifacts", self.id);
    }

    /// The index entries of these artifacts.
    async fn entries(&self, keys: &[&str]) -> Vec<Option<IndexEntry>> {
        let mut entries = Vec::new();
        for some in keys.chunks(KEYS_AT_ONCE) {
            let rows: Vec<Key> = some.iter().map(|key| Key::of(artifact_key(&self.id, key))).collect();
            let items = self.tables.get_many(ARTIFACTS, &rows).await.unwrap();
            entries.extend(items.into_iter().map(|item| item.map(entry)));
        }
        entries
    }

    /// A version's line, from its part-file.
    async fn line(&self, entry: &IndexEntry, files: &mut BTreeMap<String, Bytes>) -> Value {
        if !files.contains_key(&entry.file) {
            let at = Location::new(DATA, &entry.file);
            let stream = self.objects.read(&at, None, None).await.unwrap();
            files.insert(entry.file.clone(), read_all(stream, &at, OBJECT_BYTES_MAX).await.unwrap());
        }
        let range = entry.range();
        serde_json::from_slice(&files[&entry.file][range.start as usize..range.end as usize]).unwrap()
    }

    /// The number of a batch.
    pub async fn number(&self, batch: &str) -> Option<BatchSequence> {
        self.book.batch(&self.id, batch).await.unwrap().and_then(|batch| batch.number)
    }
}

/// Figures that are whole numbers; those by name are added up.
fn figures(figures: &Map<String, Value>) -> impl Iterator<Item = (String, u64)> {
    figures.iter().filter_map(|(name, value)| {
        let sum = match value {
            Value::Object(by_name) => by_name.values().filter_map(Value::as_u64).sum(),
            other => other.as_u64()?,
        };
        Some((name.clone(), sum))
    })
}

fn entry(mut item: Map<String, Value>) -> IndexEntry {
    item.shift_remove("pk");
    serde_json::from_value(Value::Object(item)).unwrap()
}

fn object_name(number: usize, shape: Shape) -> String {
    format!("part-{number}{}{}", shape.format.ending(), shape.packing.ending())
}

/// A manifest, with totals that are added up here.
fn manifest(batch: &Batch, shape: Shape) -> Value {
    let mut columns: BTreeMap<(&str, u32), (i128, u64, u64)> = BTreeMap::new();
    for row in batch.files.iter().flatten() {
        let Some(money) = row.event.money else { continue };
        let (sum, amounts, unparsed) = columns.entry((money.currency.code, money.currency.decimals)).or_default();
        if row.fault == Some(Fault::Amount) {
            *unparsed += 1;
        } else {
            *sum += i128::from(money.minor);
            *amounts += 1;
        }
    }
    let column = |((currency, decimals), (sum, amounts, unparsed)): (&(&str, u32), &(i128, u64, u64))| {
        json!({
            "column": "amount",
            "currency": currency,
            "sum": tests::events::decimal(*sum, *decimals),
            "amounts": amounts,
            "unparsed": unparsed,
        })
    };
    let object = |(number, rows): (usize, &Vec<_>)| json!({ "key": object_name(number, shape), "records": rows.len() });
    let mut manifest = json!({
        "source": batch.source,
        "interval": { "from": batch.from.to_string(), "to": batch.to.to_string() },
        "objects": batch.files.iter().enumerate().map(object).collect::<Value>(),
        "totals": { "records": batch.records(), "columns": columns.iter().map(column).collect::<Value>() },
    });
    if let Some(why) = &batch.correction {
        manifest["correction"] = why.as_str().into();
    }
    manifest
}
