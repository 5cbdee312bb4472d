//! Following a batch into its ledger.

use std::time::Duration;

use error_class::chain;
use jiff::Timestamp;
use ledger::{
    book::Book,
    manifest::LedgerId,
    steps::{StepRecord, StepStatus, Steps},
};
use report::text;
use storage::StorageError;
use tokio::time::{Instant, sleep};

use crate::{
    batch::view::{BatchView, figures, in_order, step_status},
    error::Failure,
    follow::{interrupt, passes},
    ledgers::view::failure,
    output::note,
};

/// How long a batch may take to appear in the book before a person is told why that could be.
const ROW_EXPECTED: Duration = Duration::from_secs(30);
/// Looks in a row that may fail before we give up. Each was tried several times by itself.
const FAILED_LOOKS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Which upload is followed.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) ledger: LedgerId,
    pub(crate) batch: String,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// When the last manifest of this name was found wrong before this one was uploaded.
    pub(crate) fault_before: Option<Timestamp>,
}

/// A batch as the book has it; `None` where nothing of it is known.
pub(crate) async fn look(book: &Book, ledger: &LedgerId, batch: &str) -> Result<Option<BatchView>, StorageError> {
    // The fault first: it goes when the batch is registered. The view before the batch: cursors step over a batch that
    // was taken out.
    let fault = book.fault(ledger, batch).await?;
    let view = book.view(ledger).await?;
    let Some(record) = book.batch(ledger, batch).await? else {
        return Ok(fault.map(|fault| BatchView::not_taken(ledger, &fault)));
    };
    let mut batch = BatchView::of(ledger, &record, fault.as_ref(), &view);
    if let (None, Some(number)) = (batch.job, batch.number) {
        // Of jobs behind the cursor the view knows nothing.
        let numbered = book.numbered(ledger, number, number).await?.pop();
        batch.job = numbered.and_then(|numbered| numbered.job).map(|job| job.get());
    }
    Ok(Some(batch))
}

/// A batch and the steps of its job, as they were at one time.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    batch: BatchView,
    steps: Vec<StepRecord>,
}

/// How time goes by between looks.
trait Pace {
    /// How long it has been since the first look.
    fn elapsed(&self) -> Duration;
    /// Waits until the next look.
    async fn pause(&self);
}

/// By the clock, from when it was made.
struct ByClock(Instant);

impl Pace for ByClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn pause(&self) {
        sleep(PAUSE).await;
    }
}

/// Follows an upload until it is in its ledger or cannot get there by itself, for at most `patience`, and until the
/// caller interrupts. What happens is told, a line each on standard error.
pub(crate) async fn follow(
    book: &Book,
    steps: &Steps,
    upload: &Upload,
    patience: Duration,
) -> Result<BatchView, Failure> {
    let words = format!("batch show {} {}", upload.ledger.ledger, upload.batch);
    let show = text::command(&upload.ledger.tenant, &words);
    let clock = ByClock(Instant::now());
    tokio::select! {
        // The interrupt first: from the first look on, one is heard.
        biased;
        () = interrupt() => Err(Failure::Interrupted(format!("the batch goes on: {show}"))),
        ended = until_ended(book, steps, upload, (patience, &clock), &show) => ended,
    }
}

async fn until_ended(
    book: &Book,
    steps: &Steps,
    upload: &Upload,
    (patience, pace): (Duration, &impl Pace),
    show: &str,
) -> Result<BatchView, Failure> {
    let mut seen = Seen { batch: BatchView::uploaded(&upload.ledger, &upload.batch), steps: Vec::new() };
    let (mut hinted, mut failed_looks) = (false, 0);
    while pace.elapsed() < patience {
        match look_at(book, steps, upload).await {
            Ok(now) => {
                failed_looks = 0;
                changes(&seen, &now).iter().for_each(|line| note(line));
                seen = now;
            }
            Err(error) if passes(&error) && failed_looks < FAILED_LOOKS_MAX => {
                failed_looks += 1;
                note(&chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        if seen.batch.is_final() {
            return Ok(seen.batch);
        }
        if seen.batch.status == "uploaded" && !hinted && pace.elapsed() > ROW_EXPECTED {
            note("the upload's event has not arrived yet; if it was lost, submit the batch again");
            hinted = true;
        }
        pace.pause().await;
    }
    let (seconds, status) = (patience.as_secs(), seen.batch.status);
    Err(Failure::Service(format!("batch {} is {status} after {seconds} s. It goes on: {show}", upload.batch)))
}

async fn look_at(book: &Book, steps: &Steps, upload: &Upload) -> Result<Seen, StorageError> {
    let Upload { ledger, batch, digest, fault_before } = upload;
    let found = look(book, ledger, batch).await?;
    let fault = found.as_ref().and_then(|found| found.fault.clone());
    let batch = match (found, fault.filter(|fault| Some(fault.at) != *fault_before)) {
        (Some(found), _) if found.digest.as_ref() == Some(digest) => found,
        // What stands under this name is another manifest, or none.
        (_, Some(fault)) => BatchView::not_taken(ledger, &fault),
        (_, None) => BatchView::uploaded(ledger, batch),
    };
    let mut steps = match batch.job {
        Some(job) => steps.of_job(ledger, ledger::JobNumber::new(job)).await?,
        None => Vec::new(),
    };
    in_order(&mut steps);
    Ok(Seen { batch, steps })
}

/// What happened between two looks, a line each.
fn changes(before: &Seen, after: &Seen) -> Vec<String> {
    let mut lines = Vec::new();
    let (was, is) = (&before.batch, &after.batch);
    if was.number != is.number {
        let again = if was.number.is_some() { ", let in again" } else { "" };
        lines.extend(is.number.map(|number| format!("registered as number {number}{again}")));
    }
    if was.job != is.job {
        lines.extend(is.job.map(|job| format!("in job {job}")));
    }
    let known = |step: &StepRecord| {
        let same = |old: &&StepRecord| (old.job, old.attempt, &old.step) == (step.job, step.attempt, &step.step);
        before.steps.iter().find(same).is_some_and(|old| old.status == step.status)
    };
    lines.extend(after.steps.iter().filter(|step| !known(step)).map(step_line));
    if was.status != is.status && (is.is_final() || is.status == "queued") {
        lines.push(is.status.replace('_', " "));
    }
    lines
}

fn step_line(step: &StepRecord) -> String {
    let again = if step.step_attempt > 1 { format!(", attempt {}", step.step_attempt) } else { String::new() };
    let told = match (step.status, &step.failure) {
        (StepStatus::Failed, Some(why)) => failure(why),
        _ => figures(&step.figures),
    };
    let told = if told.is_empty() { told } else { format!(", {told}") };
    format!("{}: {}{again}{told}", step.step, step_status(step.status))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use futures::FutureExt;
    use ledger::BatchSequence;
    use serde_json::json;
    use storage::{
        Condition, Tables,
        memory::{Faulty, MemoryTables, Operation},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Time goes by with each pause, and not otherwise, however busy the machine is.
    #[derive(Default)]
    struct ByPauses(Cell<u32>);

    impl Pace for ByPauses {
        fn elapsed(&self) -> Duration {
            PAUSE * self.0.get()
        }

        async fn pause(&self) {
            self.0.set(self.0.get() + 1);
            tokio::task::yield_now().await;
        }
    }

    fn ledger() -> LedgerId {
        LedgerId::new("default", "orders").unwrap()
    }

    struct Place {
        tables: Arc<MemoryTables>,
        book: Book,
        steps: Steps,
        pace: ByPauses,
    }

    impl Place {
        fn new() -> Self {
            Self::on(Arc::new(MemoryTables::default()))
        }

        fn on(tables: Arc<MemoryTables>) -> Self {
            let book = Book::new(tables.clone(), "ledgers");
            let steps = Steps::new(book.clone());
            Self { tables, book, steps, pace: ByPauses::default() }
        }

        async fn put(&self, row: &str, mut item: serde_json::Value) {
            item["pk"] = "default#orders".into();
            item["sk"] = row.into();
            let serde_json::Value::Object(item) = item else { panic!("an object") };
            self.tables.put("ledgers", item, Condition::Always).await.unwrap();
        }

        async fn registered(&self, digest: &str) {
            self.record(json!({ "digest": digest, "status": "registered" })).await;
        }

        async fn refused(&self, digest: &str) {
            self.record(json!({ "digest": digest, "status": "refused", "reason": "totals" })).await;
        }

        async fn record(&self, more: serde_json::Value) {
            let mut record = json!({
                "batch": "b1", "number": 1, "source": "shop",
                "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
                "correction": false, "registered_at": "2026-01-02T00:00:00Z", "let_in_at": "2026-01-02T00:00:00Z",
                "version": 1,
            });
            record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.put("batch#b1", record).await;
        }

        async fn fault(&self, at: &str) {
            let fault = json!({ "batch": "b1", "reason": "no source", "uploaded_at": at, "at": at });
            self.put("fault#b1", fault).await;
        }

        async fn numbered(&self) {
            let numbered = json!({
                "number": 1, "batch": "b1", "source": "shop", "correction": false, "events": 1, "bytes": 1,
                "objects": 1, "pinned": "p",
                "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" }, "job": 1,
            });
            self.put("number#000000000001", numbered).await;
        }

        async fn head(&self, indexed: u64) {
            let head = json!({
                "next": 2, "grouped": indexed, "prefetched": indexed, "applied": indexed, "indexed": indexed, "fence": 0,
                "definition": 1,
            });
            self.put("head", head).await;
        }

        async fn paused(&self, times: u32) {
            while self.pace.0.get() < times {
                tokio::task::yield_now().await;
            }
        }

        async fn follow(&self, fault_before: Option<Timestamp>) -> Result<BatchView, Failure> {
            let upload = Upload { ledger: ledger(), batch: "b1".into(), digest: "mine".into(), fault_before };
            let show = "tieout batch show orders b1";
            self.pace.0.set(0);
            until_ended(&self.book, &self.steps, &upload, (PATIENCE, &self.pace), show).await
        }
    }

    #[tokio::test]
    async fn a_batch_is_followed_into_the_index() {
        let place = Place::new();
        let work = async {
            place.paused(2).await;
            place.registered("mine").await;
            place.numbered().await;
            place.head(1).await;
        };
        let (ended, ()) = tokio::join!(place.follow(None), work);
        let ended = ended.unwrap();
        assert!(place.pace.elapsed() < PATIENCE);
        assert_eq!((ended.status, ended.number, ended.job), ("indexed", Some(BatchSequence::FIRST), Some(1)));
    }

    /// The batch is refused, and the cursors step over it, just before the head is read.
    #[tokio::test]
    async fn a_batch_that_is_refused_between_two_reads_is_not_indexed() {
        let place = Place::new();
        place.registered("mine").await;
        place.numbered().await;
        place.head(0).await;
        let meanwhile = place.tables.clone();
        let tables = Faulty::new(place.tables.clone(), move |call: &Operation| {
            if call.name == "get" && call.what.ends_with("head") {
                let place = Place::on(meanwhile.clone());
                place.refused("mine").now_or_never().unwrap();
                place.head(1).now_or_never().unwrap();
            }
            None
        });
        let seen = look(&Book::new(Arc::new(tables), "ledgers"), &ledger(), "b1").await.unwrap().unwrap();
        assert_eq!((seen.status, seen.reason.as_deref()), ("refused", Some("totals")));
    }

    #[tokio::test]
    async fn a_manifest_that_is_not_taken_ends_the_wait_and_an_older_one_s_fault_does_not() {
        let place = Place::new();
        place.fault("2026-01-02T00:00:00Z").await;
        let old = "2026-01-02T00:00:00Z".parse().unwrap();
        let Err(Failure::Service(message)) = place.follow(Some(old)).await else { panic!("it is not taken yet") };
        assert!(message.contains("is uploaded after") && message.contains("tieout batch show orders b1"), "{message}");
        let ended = place.follow(None).await.unwrap();
        assert_eq!((ended.status, ended.reason.as_deref()), ("not_taken", Some("no source")));
    }

    #[tokio::test]
    async fn another_batch_of_the_same_name_is_not_this_one() {
        let place = Place::new();
        place.registered("another").await;
        place.head(1).await;
        assert!(matches!(place.follow(None).await, Err(Failure::Service(_))));
        place.fault("2026-01-03T00:00:00Z").await;
        assert_eq!(place.follow(None).await.unwrap().status, "not_taken");
    }

    #[test]
    fn every_change_is_told_once() {
        let step = |status: &str, figures: serde_json::Value| -> StepRecord {
            serde_json::from_value(json!({
                "job": 3, "attempt": 2, "step_attempt": 1, "step": "prefetch", "status": status, "figures": figures,
            }))
            .unwrap()
        };
        let uploaded = Seen { batch: BatchView::uploaded(&ledger(), "b1"), steps: Vec::new() };
        let mut registered = uploaded.clone();
        registered.batch.number = Some(BatchSequence::new(3));
        registered.batch.status = "queued";
        assert_eq!(changes(&uploaded, &registered), ["registered as number 3", "queued"]);
        let mut running = registered.clone();
        (running.batch.job, running.batch.status) = (Some(3), "prefetch");
        running.steps = vec![step("running", json!({}))];
        assert_eq!(changes(&registered, &running), ["in job 3", "prefetch: running"]);
        let mut done = running.clone();
        done.steps = vec![step("done", json!({ "keys": 1200 }))];
        done.batch.status = "indexed";
        assert_eq!(changes(&running, &done), ["prefetch: done, keys 1,200", "indexed"]);
        assert!(changes(&done, &done).is_empty());
        let mut again = running.clone();
        again.steps.iter_mut().for_each(|step| (step.attempt, step.step_attempt) = (3, 2));
        assert_eq!(changes(&running, &again), ["prefetch: running, attempt 2"]);
    }
}
