//! A batch as it is shown: one shape in JSON for every command, and tables for people.

use jiff::Timestamp;
use ledger::{
    BatchSequence, Interval,
    book::{BatchRecord, BatchStatus, FaultRecord, View},
    job::{Job, JobStatus},
    manifest::{LedgerId, PinnedBatch},
    stage::Stage,
    steps::{Figures, STEPS, StepRecord, StepStatus},
};
use money::ControlTotals;
use report::text;
use serde::Serialize;
use serde_json::Value;

use crate::{
    batch::rejects::Rejected,
    ledgers::view::{JobView, REASON_CHARS_MAX, failure, short},
    output::columns,
};

/// A batch. Every key is always there; what is not known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct BatchView {
    pub(crate) batch: String,
    pub(crate) ledger: String,
    pub(crate) tenant: String,
    /// `uploaded`, `not_taken`, `refused`, `skipped`; `queued`, `split`, `reduce`, `combine`, `prefetch`, `apply`,
    /// `index`, `parked`, `indexed`.
    pub(crate) status: &'static str,
    /// Why, where it is out, parked or not taken.
    pub(crate) reason: Option<String>,
    pub(crate) number: Option<BatchSequence>,
    pub(crate) job: Option<u64>,
    pub(crate) attempt: Option<u32>,
    /// What its job is at, or failed at.
    pub(crate) step: Option<&'static str>,
    pub(crate) source: Option<String>,
    pub(crate) interval: Option<Interval>,
    pub(crate) correction: bool,
    pub(crate) replaced_by: Option<String>,
    pub(crate) registered_at: Option<Timestamp>,
    /// Why a later manifest of this name was not taken.
    pub(crate) fault: Option<FaultRecord>,
    #[serde(skip)]
    pub(crate) digest: Option<String>,
    #[serde(skip)]
    let_in_at: Option<Timestamp>,
}

impl BatchView {
    /// A batch that is in the book.
    pub(crate) fn of(ledger: &LedgerId, record: &BatchRecord, fault: Option<&FaultRecord>, view: &View) -> Self {
        let (status, reason, job) = standing(record, view);
        Self {
            batch: record.batch.clone(),
            ledger: ledger.ledger.clone(),
            tenant: ledger.tenant.clone(),
            status,
            reason,
            number: record.number,
            job: job.map(|job| job.number().get()),
            attempt: job.map(|job| job.attempt),
            step: job.map(Job::step),
            source: Some(record.source.clone()),
            interval: Some(record.interval),
            correction: record.correction,
            replaced_by: record.replaced_by.clone(),
            registered_at: Some(record.registered_at),
            fault: fault.cloned(),
            digest: Some(record.digest.clone()),
            let_in_at: Some(record.let_in_at),
        }
    }

    /// A batch of which nothing but its upload is known.
    pub(crate) fn uploaded(ledger: &LedgerId, batch: &str) -> Self {
        Self {
            batch: batch.to_owned(),
            ledger: ledger.ledger.clone(),
            tenant: ledger.tenant.clone(),
            status: "uploaded",
            reason: None,
            number: None,
            job: None,
            attempt: None,
            step: None,
            source: None,
            interval: None,
            correction: false,
            replaced_by: None,
            registered_at: None,
            fault: None,
            digest: None,
            let_in_at: None,
        }
    }

    /// A batch whose manifest was not taken.
    pub(crate) fn not_taken(ledger: &LedgerId, fault: &FaultRecord) -> Self {
        let reason = Some(fault.reason.clone());
        Self { status: "not_taken", reason, fault: Some(fault.clone()), ..Self::uploaded(ledger, &fault.batch) }
    }

    /// When it came, or came last: when it got its number, was refused, or a manifest of its name was not taken.
    pub(crate) fn came_at(&self) -> Option<Timestamp> {
        self.fault.as_ref().map(|fault| fault.at).max(self.let_in_at)
    }

    /// Whether it came with its number, and nothing of its name came since.
    pub(crate) fn came_with_number(&self) -> bool {
        self.number.is_some() && self.came_at() == self.let_in_at
    }

    /// Whether nothing more happens to it by itself.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.status, "indexed" | "refused" | "skipped" | "parked" | "not_taken")
    }

    /// `not taken`.
    fn words(&self) -> String {
        self.status.replace('_', " ")
    }

    fn facts(&self) -> Vec<(&'static str, Option<String>)> {
        let out_of_place = self.fault.as_ref().filter(|_| self.status != "not_taken").map(|fault| {
            let reason = text::visible(&fault.reason, REASON_CHARS_MAX);
            format!("another manifest of this name, of {}, was not taken: {reason}", text::time(fault.uploaded_at))
        });
        vec![
            ("batch", Some(self.batch.clone())),
            ("status", Some(self.words())),
            ("reason", self.reason.as_ref().map(|reason| text::visible(reason, REASON_CHARS_MAX))),
            ("besides", out_of_place),
            ("source", self.source.clone()),
            ("from", self.interval.map(|interval| text::time(interval.from()))),
            ("to", self.interval.map(|interval| text::time(interval.to()))),
            ("number", self.number.map(|number| number.to_string())),
            ("registered", self.registered_at.map(text::time)),
            ("replaced by", self.replaced_by.clone()),
        ]
    }

    /// What can be done about it.
    pub(crate) fn what_next(&self) -> String {
        let Self { batch, ledger, tenant, .. } = self;
        let command = |words: String| text::command(tenant, &words);
        let show = command(format!("batch show {ledger} {batch}"));
        match self.status {
            "indexed" => format!("\nan artifact: {}\n", command(format!("artifact get {ledger} <key>"))),
            "parked" => {
                let redrive = command(format!("batch redrive {ledger} {batch}"));
                let others = match self.step {
                    // Past apply it only goes forward.
                    Some("index") => String::new(),
                    _ => {
                        let skip = command(format!("batch skip {ledger} {batch}"));
                        format!(
                            "or anew, by the definition in force, behind what waits: {redrive} --afresh\n\
                             or take it out: {skip} --reason <why>\n"
                        )
                    }
                };
                format!("\nlook at it: {show}\ntry again, once the cause is gone: {redrive}\n{others}")
            }
            "refused" | "skipped" if self.replaced_by.is_none() => {
                format!("\nsend another in its place: {}\n", self.replacement())
            }
            "not_taken" => "\ncorrect it, and submit it again\n".to_owned(),
            _ => String::new(),
        }
    }

    /// The command that sends another batch in its place: it has to say what this one said of itself.
    pub(crate) fn replacement(&self) -> String {
        let Self { batch, ledger, tenant, .. } = self;
        let source = self.source.as_ref().map(|source| format!(" --source {source}")).unwrap_or_default();
        let why = if self.correction { " --correction <why>" } else { "" };
        let (from, to) = match self.interval {
            Some(interval) => (interval.from().to_string(), interval.to().to_string()),
            None => ("<time>".to_owned(), "<time>".to_owned()),
        };
        let words = format!("batch submit {ledger} --replaces {batch}{source} --from {from} --to {to}{why} <files>");
        text::command(tenant, &words)
    }

    fn row(&self) -> Vec<String> {
        let number = self.number.map(|number| number.to_string()).unwrap_or_default();
        let out_of_place = self.fault.as_ref().filter(|_| self.status != "not_taken");
        let out_of_place = out_of_place.map(|fault| format!("not taken again: {}", fault.reason));
        let reason = self.reason.clone().or(out_of_place).unwrap_or_default();
        vec![
            self.batch.clone(),
            self.words(),
            number,
            self.job.map(|job| job.to_string()).unwrap_or_default(),
            self.source.clone().unwrap_or_default(),
            self.interval.map(|interval| short(interval.from())).unwrap_or_default(),
            self.interval.map(|interval| short(interval.to())).unwrap_or_default(),
            text::visible(&reason, 200),
        ]
    }
}

/// How far a batch is: in words, why, and the job it is in while that is not indexed.
fn standing<'v>(record: &BatchRecord, view: &'v View) -> (&'static str, Option<String>, Option<&'v Job>) {
    match &record.status {
        BatchStatus::Refused { reason } => return ("refused", Some(reason.clone()), None),
        BatchStatus::Skipped { reason } => return ("skipped", Some(reason.clone()), None),
        BatchStatus::Registered => {}
    }
    let Some(number) = record.number else { return ("queued", None, None) };
    if number <= view.head.indexed.last_batch() {
        return ("indexed", None, None);
    }
    let Some(job) = view.jobs.iter().find(|job| job.batches.contains(number)) else { return ("queued", None, None) };
    match &job.status {
        JobStatus::Parked(why) => ("parked", Some(failure(why)), Some(job)),
        JobStatus::Live if job.is_committed(Stage::Index) => ("indexed", None, Some(job)),
        JobStatus::Live => (job.step(), None, Some(job)),
        // It is about to be seen under its new number.
        JobStatus::Void { .. } => ("queued", None, None),
    }
}

/// Batches, a line each.
pub(crate) fn list(batches: &[BatchView], ledger: &LedgerId) -> String {
    if batches.is_empty() {
        let words = format!("batch submit {} --from <time> --to <time> <files>", ledger.ledger);
        return format!("no such batches yet: {}\n", text::command(&ledger.tenant, &words));
    }
    let header = ["batch", "status", "number", "job", "source", "from", "to", "reason"].map(str::to_owned).to_vec();
    columns(&std::iter::once(header).chain(batches.iter().map(BatchView::row)).collect::<Vec<_>>(), &[2, 3])
}

/// A batch that is followed no more, and what was rejected of its job.
#[derive(Debug, Serialize)]
pub(crate) struct BatchEnded {
    #[serde(flatten)]
    pub(crate) batch: BatchView,
    /// `None` where it is no longer known.
    pub(crate) rejected: Option<Rejected>,
}

impl BatchEnded {
    pub(crate) fn text(&self) -> String {
        let mut facts = self.batch.facts();
        facts.extend(Rejected::told(self.rejected.as_ref()));
        table(facts) + &self.batch.what_next()
    }
}

/// A batch with everything that happened to it.
#[derive(Debug, Serialize)]
pub(crate) struct BatchShown {
    #[serde(flatten)]
    batch: BatchView,
    why_corrected: Option<String>,
    replaces: Option<String>,
    again: Option<String>,
    objects: Option<Vec<Object>>,
    totals: Option<ControlTotals>,
    /// The job that it is in, with the other batches of it.
    of_job: Option<JobView>,
    /// What the whole job rejected; `None` where it is no longer known.
    rejected: Option<Rejected>,
    steps: Vec<StepRecord>,
}

/// An object of a batch.
#[derive(Debug, Serialize)]
struct Object {
    key: String,
    version: Option<String>,
    bytes: u64,
    records: u64,
}

impl BatchShown {
    pub(crate) fn new(
        batch: BatchView,
        pinned: Option<PinnedBatch>,
        job: Option<&Job>,
        rejected: Option<Rejected>,
        mut steps: Vec<StepRecord>,
    ) -> Self {
        in_order(&mut steps);
        let (manifest, objects) = pinned.map(|pinned| (pinned.manifest, pinned.objects)).unzip();
        let objects = objects.map(|objects| {
            let object = |object: ledger::manifest::PinnedObject| Object {
                key: object.key,
                version: object.version,
                bytes: object.bytes,
                records: object.records,
            };
            objects.into_iter().map(object).collect()
        });
        let (why_corrected, replaces, again, totals) = match manifest {
            Some(manifest) => (manifest.correction, manifest.replaces, manifest.again, Some(manifest.totals)),
            None => (None, None, None, None),
        };
        let of_job = job.map(|job| JobView::of(job, Vec::new()));
        Self { batch, why_corrected, replaces, again, objects, totals, of_job, rejected, steps }
    }

    pub(crate) fn text(&self) -> String {
        let mut facts = self.batch.facts();
        facts.push(("correction", self.why_corrected.as_ref().map(|why| text::visible(why, REASON_CHARS_MAX))));
        facts.push(("replaces", self.replaces.clone()));
        facts.push(("again", self.again.as_ref().map(|why| text::visible(why, REASON_CHARS_MAX))));
        for object in self.objects.iter().flatten() {
            let name = text::visible(&object.key, 500);
            let (events, bytes) = (text::records(object.records), text::bytes(object.bytes));
            facts.push(("object", Some(format!("{name}: {events}, {bytes}"))));
        }
        for entry in self.totals.iter().flat_map(ControlTotals::entries) {
            let currency = entry.currency.map(|currency| format!(" {currency}")).unwrap_or_default();
            let sum = text::amount(entry.total.sum);
            facts.push(("total", Some(format!("{}: {sum}{currency}", text::visible(&entry.column, 100)))));
        }
        facts.push(("job", self.of_job.as_ref().map(JobView::line)));
        facts.extend(Rejected::told(self.rejected.as_ref()));
        let steps = if self.steps.is_empty() { String::new() } else { format!("\n{}", steps(&self.steps)) };
        table(facts) + &steps + &self.batch.what_next()
    }
}

fn table(facts: Vec<(&'static str, Option<String>)>) -> String {
    let rows: Vec<_> = facts.into_iter().filter_map(|(label, value)| Some(vec![label.to_owned(), value?])).collect();
    columns(&rows, &[])
}

/// Puts attempts at steps in the order in which they happen.
pub(crate) fn in_order(steps: &mut [StepRecord]) {
    let place = |step: &StepRecord| STEPS.iter().position(|name| *name == step.step);
    steps.sort_by_key(|step| (step.attempt, place(step)));
}

/// Attempts at steps, a line each.
fn steps(steps: &[StepRecord]) -> String {
    let header = ["step", "attempt", "status", "started", "duration", "figures"].map(str::to_owned).to_vec();
    let rows = steps.iter().map(|step| {
        let duration = step.started_at.zip(step.ended_at).map(|(from, to)| text::duration(from, to));
        vec![
            step.step.clone(),
            step.step_attempt.to_string(),
            step_status(step.status).to_owned(),
            step.started_at.map(short).unwrap_or_default(),
            duration.unwrap_or_default(),
            step.failure.as_ref().map_or_else(|| figures(&step.figures), failure),
        ]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[1, 4])
}

pub(crate) fn step_status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Running => "running",
        StepStatus::Done => "done",
        StepStatus::Failed => "failed",
    }
}

/// The plain figures of a step: `events 12, artifacts 3`.
pub(crate) fn figures(figures: &Figures) -> String {
    let plain = figures.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), text::count),
            Value::String(said) => text::visible(said, 100),
            _ => return None,
        };
        Some(format!("{} {value}", name.replace('_', " ")))
    });
    plain.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use error_class::ErrorClass;
    use ledger::{JobBatches, JobNumber, head::Head, job, policy::Policy};
    use serde_json::json;

    use super::*;

    fn ledger() -> LedgerId {
        LedgerId::new("acme", "orders").unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap()
    }

    fn record(more: Value) -> BatchRecord {
        let mut record = json!({
            "batch": "b1", "digest": "d", "status": "registered", "number": 3, "source": "shop", "correction": false,
            "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
            "registered_at": now(), "let_in_at": now(), "version": 1,
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    fn fault() -> FaultRecord {
        FaultRecord {
            batch: "b1".into(),
            reason: "it cannot\u{7}".into(),
            uploaded_at: now(),
            at: now(),
            expires_at: None,
        }
    }

    fn of_two() -> Job {
        let batches = JobBatches::new(BatchSequence::new(2), BatchSequence::new(3)).unwrap();
        Job::new(batches, now(), &Policy::default())
    }

    fn view(indexed: u64, jobs: Vec<Job>) -> View {
        let mut head = Head::default();
        head.indexed = JobNumber::new(indexed);
        View { head, jobs }
    }

    fn status(record: &BatchRecord, view: &View) -> &'static str {
        BatchView::of(&ledger(), record, None, view).status
    }

    #[test]
    fn how_far_a_batch_is_follows_from_the_book() {
        let registered = record(json!({}));
        assert_eq!(status(&registered, &view(0, vec![])), "queued");
        assert_eq!(status(&registered, &view(3, vec![])), "indexed");
        assert_eq!(status(&registered, &view(1, vec![of_two()])), "split");
        let mut job = of_two();
        job.commit_stateless(1, "m", now(), &Policy::default()).unwrap();
        assert_eq!(status(&registered, &view(1, vec![job.clone()])), "prefetch");
        let why = job::Failure { class: ErrorClass::Bug, message: "poison".to_owned() };
        job.fail(2, why, now(), &Policy::default()).unwrap();
        let parked = BatchView::of(&ledger(), &registered, None, &view(1, vec![job]));
        assert_eq!((parked.status, parked.reason.as_deref()), ("parked", Some("Bug: poison")));
        for command in ["batch redrive orders b1\n", "batch redrive orders b1 --afresh\n", "batch skip"] {
            assert!(parked.what_next().contains(command), "{command}");
        }
        let applied = BatchView { step: Some("index"), ..parked };
        let forward = applied.what_next();
        assert!(!forward.contains("batch skip") && !forward.contains("--afresh"), "{forward}");
        let refused = record(json!({ "status": "refused", "reason": "totals", "number": null }));
        assert_eq!(status(&refused, &view(9, vec![])), "refused");
    }

    #[test]
    fn what_takes_a_batch_s_place_says_what_that_said() {
        let of = |more: Value| {
            let record = record(more);
            BatchView::of(&ledger(), &record, None, &view(9, vec![])).what_next()
        };
        let refused = of(json!({ "status": "refused", "reason": "totals", "number": null }));
        let words =
            "batch submit orders --replaces b1 --source shop --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z";
        assert!(refused.contains(&format!("{words} <files>\n")), "{refused}");
        let skipped = of(json!({ "status": "skipped", "reason": "late", "correction": true }));
        assert!(skipped.contains(&format!("{words} --correction <why> <files>\n")), "{skipped}");
    }

    #[test]
    fn what_was_not_taken_is_told_with_its_reason() {
        let text = |batch: &BatchView| BatchEnded { batch: batch.clone(), rejected: Some(Rejected::default()) }.text();
        let lost = BatchView::not_taken(&ledger(), &fault());
        assert!(lost.is_final() && text(&lost).contains("status  not taken\nreason  it cannot␇\n"), "{}", text(&lost));
        let standing = BatchView::of(&ledger(), &record(json!({})), Some(&fault()), &view(3, vec![]));
        assert_eq!(standing.status, "indexed");
        assert!(text(&standing).contains("another manifest of this name"), "{}", text(&standing));
        let listed = list(&[standing, lost], &ledger());
        assert_eq!(listed.lines().count(), 3, "{listed}");
        assert!(list(&[], &ledger()).contains("tieout --tenant acme batch submit orders"));
    }

    fn rejected() -> Rejected {
        let files = vec!["s3://data/r.csv".to_owned()];
        Rejected { records: 2, by_rule: [("type".to_owned(), 2)].into(), files }
    }

    #[test]
    fn who_followed_a_batch_is_told_what_was_rejected() {
        let batch = BatchView::of(&ledger(), &record(json!({})), None, &view(9, vec![]));
        let ended = BatchEnded { batch, rejected: Some(rejected()) };
        let text = ended.text();
        for said in ["indexed", "2 records and events of the job, by rule: type 2\n", "s3://data/r.csv\n"] {
            assert!(text.contains(said), "{said:?} in:\n{text}");
        }
        let json = serde_json::to_value(&ended).unwrap();
        assert_eq!((&json["status"], &json["rejected"]["records"]), (&json!("indexed"), &json!(2)));
        let none = BatchEnded { rejected: Some(Rejected::default()), ..ended }.text();
        assert!(!none.contains("reject"), "{none}");
    }

    #[test]
    fn every_attempt_at_every_step_has_a_line() {
        let step = |value| serde_json::from_value::<StepRecord>(value).unwrap();
        let all = vec![
            step(
                json!({"job": 3, "attempt": 3, "step_attempt": 2, "step": "apply", "status": "failed", "ended_at": now(),
                "failure": {"class": "WorkerLost", "message": "gone"}}),
            ),
            step(json!({"job": 3, "attempt": 2, "step_attempt": 1, "step": "prefetch", "status": "done",
                "started_at": "2026-01-01T23:59:58Z", "ended_at": now(), "figures": {"keys": 12000, "found": 7}})),
            step(json!({"job": 3, "attempt": 1, "step_attempt": 1, "step": "combine", "status": "done",
                "figures": {"events": 3}})),
            step(json!({"job": 3, "attempt": 1, "step_attempt": 1, "step": "reduce", "status": "done"})),
            step(json!({"job": 3, "attempt": 1, "step_attempt": 1, "step": "split", "status": "done"})),
        ];
        let batch = BatchView::of(&ledger(), &record(json!({})), None, &view(1, vec![of_two()]));
        let gone = BatchShown::new(batch.clone(), None, Some(&of_two()), None, Vec::new());
        assert_eq!(serde_json::to_value(&gone).unwrap()["rejected"], json!(null), "not none at all");
        assert!(gone.text().contains("no longer known"), "{}", gone.text());
        let text = BatchShown::new(batch, None, Some(&of_two()), Some(rejected()), all).text();
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines[lines.len() - 5..],
            [
                "split 1 done",
                "reduce 1 done",
                "combine 1 done events 3",
                "prefetch 1 done 2026-01-01 23:59:58Z 2.0 s keys 12,000, found 7",
                "apply 2 failed WorkerLost: gone",
            ]
        );
        assert!(lines.contains(&"rejected 2 records and events of the job, by rule: type 2".to_owned()), "{text}");
        assert!(lines.contains(&"job 3, of batches 2 to 3: split, starting".to_owned()), "{text}");
    }
}
