//! How far a run is: read from its rows, told as bars, as lines, or as objects.

use std::io::{self, IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use intake::runs::{RunRecord, StepRecord, StepStatus};
use report::text;
use serde::Serialize;

use crate::{
    error::Failure,
    output::{json, note},
    view::{reason, step_name, step_status},
};

/// Of a run with more chunks than this, every twentieth part is told, not every chunk.
const CHUNKS_TOLD_MAX: u64 = 20;
/// Chunks at work that a line names.
const RUNNING_NAMED_MAX: usize = 8;

/// A run's rows as they were at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) record: Option<RunRecord>,
    pub(crate) steps: Vec<StepRecord>,
}

/// The figures of a [`Progress`].
#[derive(Debug, Default, PartialEq, Serialize)]
struct Summary {
    status: Option<&'static str>,
    split: Option<&'static str>,
    chunks: Option<u64>,
    chunks_done: u64,
    chunks_running: u64,
    chunks_failed: u64,
    records_done: u64,
    records_rejected: u64,
    merge: Option<&'static str>,
}

impl Progress {
    fn step(&self, key: &str) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.step == key)
    }

    fn chunks(&self) -> impl Iterator<Item = &StepRecord> {
        self.steps.iter().filter(|step| step.step.starts_with("chunk#"))
    }

    fn summary(&self) -> Summary {
        let status = |key: &str| self.step(key).map(|step| step_status(step.status));
        let mut summary = Summary {
            status: self.record.as_ref().map(|record| record.status.as_str()),
            split: status("step#split"),
            chunks: self.record.as_ref().and_then(|record| record.chunks),
            merge: status("step#merge"),
            ..Summary::default()
        };
        for chunk in self.chunks() {
            match chunk.status {
                StepStatus::Running => summary.chunks_running += 1,
                StepStatus::Failed => summary.chunks_failed += 1,
                StepStatus::Done => {
                    summary.chunks_done += 1;
                    summary.records_done += chunk.figures.records_in;
                    summary.records_rejected += chunk.figures.records_rejected;
                }
            }
        }
        summary
    }

    /// How many chunks there are, as far as is known.
    pub(crate) fn chunk_count(&self) -> u64 {
        self.record.as_ref().and_then(|record| record.chunks).unwrap_or_else(|| self.chunks().count() as u64)
    }
}

/// What happened between two looks at a run, a line each.
fn changes(before: &Progress, after: &Progress) -> Vec<String> {
    let mut lines = Vec::new();
    let (was, is) = (before.summary(), after.summary());
    if let Some(record) = &after.record
        && before.record.is_none()
    {
        lines.push(format!("run {} of {}", record.run, text::visible(record.file_name(), 200)));
    }
    let changed = |step: &&StepRecord| match before.step(&step.step) {
        Some(old) => (old.status, old.attempts) != (step.status, step.attempts),
        None => true,
    };
    lines.extend(after.step("step#split").filter(changed).map(|step| step_line(step, is.chunks)));
    let every_chunk = after.chunk_count() <= CHUNKS_TOLD_MAX;
    // Of many chunks, those that fail are told all the same.
    let told = |step: &&StepRecord| every_chunk || step.status == StepStatus::Failed;
    lines.extend(after.chunks().filter(changed).filter(told).map(|step| step_line(step, None)));
    let twentieth = |done: u64| done * 20 / after.chunk_count().max(1);
    if !every_chunk && twentieth(was.chunks_done) != twentieth(is.chunks_done) {
        lines.push(chunks_line(&is));
    }
    lines.extend(after.step("step#merge").filter(changed).map(|step| step_line(step, None)));
    if was.status != is.status {
        lines.extend(is.status.map(str::to_owned));
    }
    lines
}

fn step_line(step: &StepRecord, chunks: Option<u64>) -> String {
    let name = step_name(step);
    let again = if step.attempts > 1 { format!(", attempt {}", step.attempts) } else { String::new() };
    let mut line = format!("{name}: {}{again}", step_status(step.status));
    match (step.status, &step.failure) {
        (StepStatus::Done, _) => {
            line.push_str(&format!(", {}", text::records(step.figures.records_in)));
            if step.figures.records_rejected > 0 {
                line.push_str(&format!(", {} rejected", text::count(step.figures.records_rejected)));
            }
            if let Some(chunks) = chunks {
                line.push_str(&format!(", chunks: {}", text::count(chunks)));
            }
        }
        (StepStatus::Failed, Some(failure)) => line.push_str(&format!(", {}", reason(failure))),
        (StepStatus::Failed | StepStatus::Running, _) => {}
    }
    line
}

fn chunks_line(summary: &Summary) -> String {
    let of = summary.chunks.map(|chunks| format!(" of {}", text::count(chunks))).unwrap_or_default();
    let Summary { chunks_done, records_done, records_rejected, .. } = summary;
    format!(
        "chunks: {}{of} done, {}, {} rejected",
        text::count(*chunks_done),
        text::records(*records_done),
        text::count(*records_rejected)
    )
}

/// The chunks at work, by number, and those that wait for another attempt.
fn at_work(progress: &Progress) -> String {
    let named = |status: StepStatus, word: &str| {
        let all: Vec<_> = progress.chunks().filter(|step| step.status == status).collect();
        let names: Vec<_> = all.iter().take(RUNNING_NAMED_MAX).map(|step| chunk_name(step)).collect();
        let more = if all.len() > names.len() { " …" } else { "" };
        if all.is_empty() { String::new() } else { format!("  {word} {}{more}", names.join(" ")) }
    };
    named(StepStatus::Running, "at work:") + &named(StepStatus::Failed, "failed:")
}

fn chunk_name(step: &StepRecord) -> String {
    let name = step_name(step);
    let number = name.strip_prefix("chunk ").unwrap_or(&name);
    if step.attempts > 1 { format!("{number} (attempt {})", step.attempts) } else { number.to_owned() }
}

/// How progress is told.
pub(crate) enum Display {
    /// Drawn on a terminal.
    Bars(Bars),
    /// A line per change, on standard error.
    Lines,
    /// An object per change, on standard output.
    Objects,
}

impl Display {
    /// For people: drawn where there is a terminal.
    pub(crate) fn for_people() -> Self {
        if io::stderr().is_terminal() { Self::Bars(Bars::new()) } else { Self::Lines }
    }

    /// Tells what has changed.
    pub(crate) fn show(&self, before: &Progress, after: &Progress) -> Result<(), Failure> {
        match self {
            Self::Bars(bars) => bars.show(after),
            Self::Lines => changes(before, after).iter().for_each(|line| note(line)),
            Self::Objects => {
                let summary = after.summary();
                if summary != before.summary() {
                    json(&serde_json::json!({ "progress": summary }))?;
                }
            }
        }
        Ok(())
    }

    /// Something that is no progress.
    pub(crate) fn note(&self, line: &str) {
        match self {
            Self::Bars(bars) => bars.all.suspend(|| note(line)),
            Self::Lines | Self::Objects => note(line),
        }
    }

    /// Leaves the terminal as it is now.
    pub(crate) fn end(&self) {
        if let Self::Bars(bars) = self {
            [&bars.split, &bars.chunks, &bars.merge].into_iter().for_each(ProgressBar::abandon);
        }
    }
}

/// One line per state of the machine; the chunks' has a bar.
pub(crate) struct Bars {
    all: MultiProgress,
    split: ProgressBar,
    chunks: ProgressBar,
    merge: ProgressBar,
}

const STATE: &str = "{prefix:7} {wide_msg}";
const CHUNKS: &str = "{prefix:7} {bar:30} {human_pos}/{human_len}{wide_msg}";

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let bar = |name: &'static str, template: &str| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            all.add(ProgressBar::new(0).with_style(style).with_prefix(name))
        };
        let (split, chunks, merge) = (bar("split", STATE), bar("chunks", CHUNKS), bar("merge", STATE));
        Self { split, chunks, merge, all }
    }

    fn show(&self, progress: &Progress) {
        let line = |step: Option<&StepRecord>, chunks| {
            let line = step.map(|step| step_line(step, chunks)).unwrap_or_default();
            line.split_once(": ").map(|(_, said)| said.to_owned()).unwrap_or_default()
        };
        let summary = progress.summary();
        self.split.set_message(line(progress.step("step#split"), summary.chunks));
        self.chunks.set_length(progress.chunk_count());
        self.chunks.set_position(summary.chunks_done);
        self.chunks.set_message(at_work(progress));
        self.merge.set_message(line(progress.step("step#merge"), None));
    }
}

#[cfg(test)]
mod tests {
    use intake::{
        messages::{Input, RunId},
        runs::RunStatus,
    };
    use serde_json::json;

    use super::*;

    fn record(status: RunStatus, chunks: Option<u64>) -> RunRecord {
        let run = RunId::of("default", "b", "k", "v", 1);
        serde_json::from_value(json!({
            "run": run, "feed": "orders", "status": status, "started_at": "2026-03-01T08:00:00Z", "chunks": chunks,
            "input": Input { bucket: "in".into(), key: "default/intake/orders/o.csv".into(), version: None },
        }))
        .unwrap()
    }

    fn step(key: &str, status: StepStatus, attempts: u32, rejected: u64) -> StepRecord {
        let failure = (status == StepStatus::Failed).then(|| json!({"class": "Throttled", "message": "slow\ndown"}));
        serde_json::from_value(json!({
            "sk": key, "status": status, "attempts": attempts, "started_at": "2026-03-01T08:00:00Z",
            "records_in": 1_000, "records_rejected": rejected, "failure": failure,
        }))
        .unwrap()
    }

    fn many(done: u64) -> Progress {
        let chunks = (0..done).map(|index| step(&format!("chunk#{index:06}"), StepStatus::Done, 1, 0));
        Progress { record: Some(record(RunStatus::Running, Some(100))), steps: chunks.collect() }
    }

    #[test]
    fn every_change_of_a_small_run_is_told_once() {
        let begun = Progress {
            record: Some(record(RunStatus::Running, Some(2))),
            steps: vec![
                step("step#split", StepStatus::Done, 1, 0),
                step("chunk#000000", StepStatus::Running, 1, 0),
                step("chunk#000001", StepStatus::Failed, 1, 0),
            ],
        };
        let run = RunId::of("default", "b", "k", "v", 1);
        assert_eq!(
            changes(&Progress::default(), &begun),
            [
                &format!("run {run} of o.csv"),
                "split: done, 1,000 records, chunks: 2",
                "chunk 0: running",
                "chunk 1: failed, Throttled: slow␊down",
                "running"
            ]
        );
        let mut later = begun.clone();
        later.steps[1] = step("chunk#000000", StepStatus::Done, 1, 3);
        later.steps[2] = step("chunk#000001", StepStatus::Running, 2, 0);
        assert_eq!(
            changes(&begun, &later),
            ["chunk 0: done, 1,000 records, 3 rejected", "chunk 1: running, attempt 2"]
        );
        assert!(changes(&later, &later).is_empty());
        assert_eq!(at_work(&later), "  at work: 1 (attempt 2)");
    }

    #[test]
    fn a_run_of_many_chunks_is_told_in_twentieths() {
        assert!(changes(&many(10), &many(14)).is_empty());
        assert_eq!(changes(&many(14), &many(15)), ["chunks: 15 of 100 done, 15,000 records, 0 rejected"]);
        let mut failed = many(14);
        failed.steps.push(step("chunk#000099", StepStatus::Failed, 1, 0));
        assert_eq!(changes(&many(14), &failed), ["chunk 99: failed, Throttled: slow␊down"]);
    }

    #[test]
    fn bars_are_well_formed() {
        for template in [STATE, CHUNKS] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
