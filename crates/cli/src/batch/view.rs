//! A batch as it is shown: one shape in JSON for every command, and tables for people.

#[cfg(test)]
mod kit;
mod shown;
mod steps;

use jiff::Timestamp;
use ledger::{
    BatchSequence, Interval,
    book::{BatchRecord, BatchStatus, FaultRecord, View},
    job::{Job, JobStatus},
    manifest::LedgerId,
    stage::Stage,
};
use report::text;
use serde::Serialize;

use crate::{
    ledgers::view::{REASON_CHARS_MAX, failure, short},
    output::columns,
};

pub(crate) use shown::{BatchEnded, BatchShown};
pub(crate) use steps::{figures, in_order, step_status};

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

#[cfg(test)]
mod tests {
    use error_class::ErrorClass;
    use ledger::{job, policy::Policy};
    use serde_json::{Value, json};

    use super::{
        kit::{ledger, now, of_two, record, view},
        *,
    };

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
}
