//! A ledger as it is shown: one shape in JSON, and tables for people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ledger::{
    JobBatches, JobNumber,
    head::Head,
    job::{Failure, Job, JobStatus, Run},
    manifest::LedgerId,
    stage::{Stage, Turn},
    watermark::{Completeness, GapCause},
};
use report::text;
use serde::Serialize;

use crate::output::columns;

/// Characters of a reason that a terminal is given.
pub(crate) const REASON_CHARS_MAX: usize = 1_000;
/// Gaps of a source that people are shown; JSON has all.
const GAPS_SHOWN: usize = 10;

/// How far a ledger is.
#[derive(Debug, Serialize)]
pub(crate) struct LedgerView {
    ledger: String,
    tenant: String,
    title: Option<String>,
    definition_version: u64,
    batches: Batches,
    jobs: Vec<JobView>,
    completeness: Completeness,
    /// Batches whose last manifest was not taken, and why.
    not_taken: BTreeMap<String, String>,
}

/// Up to which number batches are through what.
#[derive(Debug, Serialize)]
struct Batches {
    registered: u64,
    grouped: u64,
    prefetched: u64,
    applied: u64,
    indexed: u64,
    /// Registered, and in no job yet.
    waiting: u64,
}

/// A job. Every key is always there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct JobView {
    job: JobNumber,
    batches: JobBatches,
    /// `live`, `parked` or `void`.
    pub(crate) status: &'static str,
    /// What it is at, or failed at.
    pub(crate) step: &'static str,
    /// The attempt at the job: the number in its execution's name.
    pub(crate) attempt: u32,
    /// How many attempts at this step there have been, with the one under way.
    step_attempt: u32,
    /// `resting` between attempts, `starting`, `alive`.
    run: &'static str,
    resting_until: Option<Timestamp>,
    lease_until: Timestamp,
    /// Failures since its last commit.
    failures: u32,
    /// The last failure, or the reason why it is void.
    pub(crate) failure: Option<Failure>,
    reason: Option<String>,
    events: u64,
    bytes: u64,
    definition_version: u64,
    turns: BTreeMap<&'static str, &'static str>,
    /// Names, of a parked job.
    names: Vec<String>,
}

impl JobView {
    pub(crate) fn of(job: &Job, names: Vec<String>) -> Self {
        let (run, resting_until) = match job.run {
            Run::Resting(until) => ("resting", Some(until)),
            Run::Starting => ("starting", None),
            Run::Alive => ("alive", None),
        };
        let (status, reason) = match &job.status {
            JobStatus::Live => ("live", None),
            JobStatus::Parked(_) => ("parked", None),
            JobStatus::Void { reason, .. } => ("void", Some(reason.clone())),
        };
        Self {
            job: job.number(),
            batches: job.batches,
            status,
            step: job.step(),
            attempt: job.attempt,
            step_attempt: job.step_attempts(),
            run,
            resting_until,
            lease_until: job.lease_until,
            failures: job.failures,
            failure: job.last_failure.clone(),
            reason,
            events: job.events,
            bytes: job.bytes,
            definition_version: job.definition,
            turns: Stage::ALL.map(|stage| (stage.as_str(), turn(job.turn(stage)))).into(),
            names,
        }
    }

    /// What it is at, in words.
    fn state(&self) -> String {
        match (self.status, self.resting_until) {
            ("live", Some(until)) => format!("rests until {}", short(until)),
            ("live", None) => self.run.to_owned(),
            (status, _) => status.to_owned(),
        }
    }

    /// Its line where it stands alone.
    pub(crate) fn line(&self) -> String {
        let attempt = if self.step_attempt > 1 { format!(", attempt {}", self.step_attempt) } else { String::new() };
        let state = if self.turns.get(Stage::Index.as_str()) == Some(&DONE) {
            "indexed".to_owned()
        } else {
            format!("{}, {}", self.step, self.state())
        };
        format!("{}, of batches {}: {state}{attempt}", self.job, self.batches)
    }

    /// Its line in a table.
    fn row(&self) -> Vec<String> {
        let turn = self.turns.get(self.step).map(|turn| format!(" ({turn})")).unwrap_or_default();
        let lease =
            if self.status == "live" && self.resting_until.is_none() { short(self.lease_until) } else { String::new() };
        let failure = self.failure.as_ref().filter(|_| self.failures > 0 || self.status == "parked").map(failure);
        vec![
            self.job.to_string(),
            self.batches.to_string(),
            format!("{}{turn}", self.step),
            self.state(),
            self.step_attempt.to_string(),
            text::count(self.events),
            lease,
            failure.or_else(|| self.reason.clone()).unwrap_or_default(),
        ]
    }
}

const DONE: &str = "done";

fn turn(turn: &Turn) -> &'static str {
    match turn {
        Turn::Idle => "not asked for",
        Turn::Waiting { .. } => "waits for its turn",
        Turn::Granted { .. } => "granted",
        Turn::Running { .. } => "at work",
        Turn::Committed(_) => DONE,
    }
}

/// A time in a table.
pub(crate) fn short(time: Timestamp) -> String {
    time.strftime("%F %TZ").to_string()
}

/// Class and message on one line.
pub(crate) fn failure(failure: &Failure) -> String {
    format!("{}: {}", failure.class, text::visible(&failure.message, REASON_CHARS_MAX))
}

impl LedgerView {
    pub(crate) fn new(
        ledger: &LedgerId,
        title: Option<String>,
        definition_version: u64,
        head: &Head,
        jobs: Vec<JobView>,
        completeness: Completeness,
        not_taken: BTreeMap<String, String>,
    ) -> Self {
        let registered = head.next.previous().get();
        let batches = Batches {
            registered,
            grouped: head.grouped.get(),
            prefetched: head.prefetched.get(),
            applied: head.applied.get(),
            indexed: head.indexed.get(),
            waiting: registered.saturating_sub(head.grouped.get()),
        };
        let (ledger, tenant) = (ledger.ledger.clone(), ledger.tenant.clone());
        Self { ledger, tenant, title, definition_version, batches, jobs, completeness, not_taken }
    }

    pub(crate) fn text(&self) -> String {
        [self.facts(), self.sources(), self.gaps(), self.job_table(), self.to_do()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn facts(&self) -> String {
        let Batches { registered, grouped, prefetched, applied, indexed, waiting } = self.batches;
        let title = self.title.as_ref().map(|title| format!(" ({})", text::visible(title, 80))).unwrap_or_default();
        let cursors = [("grouped", grouped), ("prefetched", prefetched), ("applied", applied), ("indexed", indexed)];
        let cursors = cursors.map(|(name, number)| format!("{name} {}", text::count(number))).join(", ");
        let complete = self.completeness.watermark.map_or_else(String::new, text::time);
        let rows = [
            ("ledger", format!("{}{title}", self.ledger)),
            ("definition", format!("version {}", self.definition_version)),
            ("batches", format!("{} numbered; up to: {cursors}", text::count(registered))),
            ("waiting", format!("{} in no job yet", text::count(waiting))),
            ("complete", format!("until {complete}")),
        ];
        columns(&rows.map(|(label, value)| vec![label.to_owned(), value]), &[])
    }

    fn sources(&self) -> String {
        let header = ["source", "complete until", "gaps", "signed off"].map(str::to_owned).to_vec();
        let rows = self.completeness.sources.iter().map(|(name, source)| {
            vec![
                name.clone(),
                short(source.watermark),
                source.gaps.len().to_string(),
                source.exceptions.len().to_string(),
            ]
        });
        columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[2, 3])
    }

    /// What holds the watermark, and what was signed off.
    fn gaps(&self) -> String {
        let mut rows = Vec::new();
        for (name, source) in &self.completeness.sources {
            for gap in source.gaps.iter().take(GAPS_SHOWN) {
                rows.push(gap_row(name, gap.interval.from(), gap.interval.to(), cause(gap.cause)));
            }
            if source.gaps.len() > GAPS_SHOWN {
                rows.push(vec![name.clone(), format!("… {} more", source.gaps.len() - GAPS_SHOWN)]);
            }
            for signed in &source.exceptions {
                let said = format!(
                    "signed off by {}: {}",
                    text::visible(&signed.signed_by, 100),
                    text::visible(&signed.reason, REASON_CHARS_MAX)
                );
                rows.push(gap_row(name, signed.interval.from(), signed.interval.to(), &said));
            }
        }
        if rows.is_empty() {
            return String::new();
        }
        let header = ["source", "from", "to", "not covered because"].map(str::to_owned).to_vec();
        columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[])
    }

    fn job_table(&self) -> String {
        if self.jobs.is_empty() {
            return String::new();
        }
        let header = ["job", "batches", "step", "state", "attempt", "events", "lease until", "failure"]
            .map(str::to_owned)
            .to_vec();
        columns(&std::iter::once(header).chain(self.jobs.iter().map(JobView::row)).collect::<Vec<_>>(), &[0, 4, 5])
    }

    /// What waits for a person, and what that one can do.
    fn to_do(&self) -> String {
        let mut lines = Vec::new();
        for job in self.jobs.iter().filter(|job| job.status == "parked") {
            let batch = job.names.first().map_or("<batch>", String::as_str);
            let command = |verb: &str| text::command(&self.tenant, &format!("batch {verb} {} {batch}", self.ledger));
            let names = job.names.join(", ");
            lines.push(format!("job {} is parked, with batches {names}: later ones wait.", job.job));
            lines.push(format!("  look at it: {}", command("show")));
            lines.push(format!("  try again, once the cause is gone: {}", command("redrive")));
            if job.turns.get(Stage::Apply.as_str()) != Some(&DONE) {
                let anew = "or anew, by the definition in force, behind what waits";
                lines.push(format!("  {anew}: {} --afresh", command("redrive")));
                lines.push(format!("  or take a batch out: {} --reason <why>", command("skip")));
            }
        }
        for (batch, reason) in &self.not_taken {
            lines.push(format!("batch {batch} was not taken: {}", text::visible(reason, REASON_CHARS_MAX)));
            let forget = text::command(&self.tenant, &format!("batch skip {} {batch}", self.ledger));
            lines.push(format!("  its sender corrects it, or it is forgotten: {forget} --reason <why>"));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

fn gap_row(source: &str, from: Timestamp, to: Timestamp, why: &str) -> Vec<String> {
    vec![source.to_owned(), short(from), short(to), why.to_owned()]
}

fn cause(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Missing => "no batch was sent",
        GapCause::Void => "its batch was refused or skipped, and is to be replaced",
        GapCause::Parked => "its batch's job is parked",
        GapCause::InFlight => "its batch is on its way",
    }
}

#[cfg(test)]
mod tests {
    use error_class::ErrorClass;
    use ledger::{BatchSequence, policy::Policy};
    use serde_json::json;

    use super::*;

    fn parked() -> JobView {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let batches = JobBatches::new(BatchSequence::new(2), BatchSequence::new(3)).unwrap();
        let mut job = Job::new(batches, now, &Policy::default());
        let failure = Failure { class: ErrorClass::Bug, message: "poi\u{1b}son".to_owned() };
        job.fail(1, failure, now, &Policy::default()).unwrap();
        JobView::of(&job, vec!["b2".to_owned(), "b3".to_owned()])
    }

    fn view(jobs: Vec<JobView>) -> LedgerView {
        let completeness = serde_json::from_value(json!({
            "watermark": "2026-01-01T00:00:00Z",
            "sources": { "shop": {
                "watermark": "2026-01-01T00:00:00Z",
                "gaps": [{ "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" }, "cause": "parked" }],
            } },
        }));
        let mut head = Head::default();
        (head.next, head.grouped) = (BatchSequence::new(5), JobNumber::new(3));
        let ledger = LedgerId::new("acme", "orders").unwrap();
        let not_taken = [("b9".to_owned(), "ledger acme/orders has no source \"bank\"".to_owned())].into();
        LedgerView::new(&ledger, None, 1, &head, jobs, completeness.unwrap(), not_taken)
    }

    #[test]
    fn what_is_parked_and_what_to_do_is_told() {
        let text = view(vec![parked()]).text();
        for said in [
            "batches     4 numbered; up to: grouped 3, prefetched 0, applied 0, indexed 0\n",
            "waiting     1 in no job yet\n",
            "complete    until 1 January 2026, 00:00:00 UTC\n",
            "shop    2026-01-01 00:00:00Z  2026-01-02 00:00:00Z  its batch's job is parked\n",
            "  3  2 to 3   split  parked        1       0               Bug: poi␛son\n",
            "job 3 is parked, with batches b2, b3",
            "tieout --tenant acme batch redrive orders b2\n",
            "tieout --tenant acme batch redrive orders b2 --afresh\n",
            "batch b9 was not taken: ledger acme/orders has no source",
        ] {
            assert!(text.contains(said), "{said:?} in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        let quiet = view(Vec::new()).text();
        assert!(!quiet.contains("redrive"), "{quiet}");
    }

    #[test]
    fn no_task_s_token_is_shown() {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let policy = Policy::default();
        let mut job = Job::new(JobBatches::one(BatchSequence::FIRST), now, &policy);
        job.commit_stateless(1, "m", now, &policy).unwrap();
        job.ask(Stage::Prefetch, 2, "secret-token", now, &policy).unwrap();
        let object = serde_json::to_string(&JobView::of(&job, Vec::new())).unwrap();
        assert!(object.contains("waits for its turn") && !object.contains("secret-token"), "{object}");
        let line = JobView::of(&job, Vec::new()).line();
        assert_eq!(line, "1, of batches 1: prefetch, alive", "it is the first attempt at this step");
    }
}
