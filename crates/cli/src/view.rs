//! A run as it is shown: one shape in JSON for every command, and one table for people.

use std::{cmp::Reverse, collections::BTreeMap};

use intake::{
    messages::{MailStatus, RunId},
    runs::{Reason, RunRecord, StepRecord, StepStatus},
};
use jiff::Timestamp;
use money::ControlTotals;
use report::text;
use serde::Serialize;
use storage::Location;

use crate::output::columns;

/// Characters of a reason that a terminal is given.
const REASON_CHARS_MAX: usize = 4_000;

/// A run. Every key is always there; what is not known yet is `null`. Objects are given by their full address.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RunView {
    pub(crate) run_id: String,
    pub(crate) status: &'static str,
    tenant: String,
    feed: String,
    file: String,
    pub(crate) input: String,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    seconds: Option<f64>,
    bytes: Option<u64>,
    chunks: Option<u64>,
    records_in: Option<u64>,
    records_out: Option<u64>,
    records_rejected: Option<u64>,
    /// Not read for lists; of a failed run, its first rejects.
    rejected_by_rule: Option<BTreeMap<String, u64>>,
    totals: Option<ControlTotals>,
    output: Option<String>,
    rejects: Option<String>,
    report: Option<String>,
    archive: Option<String>,
    failure: Option<Reason>,
    mail: Option<MailStatus>,
}

impl RunView {
    /// The run that `record` tells of; its outputs are in `data_bucket`.
    pub(crate) fn of(record: RunRecord, data_bucket: &str, now: Timestamp) -> Self {
        let seconds = Some(record.seconds(now));
        let file = record.file_name().to_owned();
        let address = |key: Option<String>| key.map(|key| Location::new(data_bucket, key).to_string());
        Self {
            run_id: record.run.to_string(),
            status: record.status.as_str(),
            tenant: record.run.tenant().to_owned(),
            feed: record.feed,
            file,
            input: Location::new(record.input.bucket, record.input.key).to_string(),
            started_at: Some(record.started_at),
            ended_at: record.ended_at,
            seconds,
            bytes: record.bytes,
            chunks: record.chunks,
            records_in: record.records_in,
            records_out: record.records_out,
            records_rejected: record.records_rejected,
            rejected_by_rule: None,
            totals: record.totals,
            output: address(record.output),
            rejects: address(record.rejects),
            report: address(record.report),
            archive: address(record.archive),
            failure: record.failure,
            mail: record.mail,
        }
    }

    /// The same, with how many records each rule rejected.
    pub(crate) fn with_rejected(self, by_rule: Option<BTreeMap<String, u64>>) -> Self {
        Self { rejected_by_rule: by_rule, ..self }
    }

    /// A run whose file has just been uploaded.
    pub(crate) fn queued(run: &RunId, feed: &str, file: &str, input: &Location) -> Self {
        Self {
            run_id: run.to_string(),
            status: "queued",
            tenant: run.tenant().to_owned(),
            feed: feed.to_owned(),
            file: file.to_owned(),
            input: input.to_string(),
            ..Self::default()
        }
    }

    /// What a person is told: a line per figure.
    pub(crate) fn text(&self) -> String {
        let mut rows = Vec::new();
        let mut fact = |label: &str, value: Option<String>| {
            if let Some(value) = value {
                rows.push(vec![label.to_owned(), value]);
            }
        };
        fact("run", Some(self.run_id.clone()));
        fact("status", Some(self.status.to_owned()));
        if let Some(Reason { class, message }) = &self.failure {
            fact("reason", Some(format!("{class}: {}", text::visible(message, REASON_CHARS_MAX))));
        }
        fact("file", Some(text::visible(&self.file, 200)));
        fact("feed", Some(self.feed.clone()));
        fact("length", self.bytes.map(text::bytes));
        fact("started", self.started_at.map(text::time));
        fact("duration", self.started_at.zip(self.ended_at).map(|(from, to)| text::duration(from, to)));
        fact("records", self.balance());
        fact("rejected", self.rejected());
        for entry in self.totals.iter().flat_map(ControlTotals::entries) {
            let currency = entry.currency.map(|currency| format!(" {currency}")).unwrap_or_default();
            let sum = text::amount(entry.total.sum);
            fact("total", Some(format!("{}: {sum}{currency}", text::visible(&entry.column, 100))));
        }
        for (label, address) in
            [("input", Some(&self.input)), ("output", self.output.as_ref()), ("rejects", self.rejects.as_ref())]
        {
            // A published run's input has moved to the archive.
            let moved = label == "input" && self.archive.is_some();
            fact(label, address.filter(|_| !moved).map(|address| text::visible(address, 2_000)));
        }
        fact("archive", self.archive.as_ref().map(|address| text::visible(address, 2_000)));
        fact("report", self.report.as_ref().map(|address| text::visible(address, 2_000)));
        fact("mail", self.mail.as_ref().map(mail));
        columns(&rows, &[])
    }

    /// Commands for what was published.
    pub(crate) fn what_next(&self) -> String {
        if self.report.is_none() {
            return String::new();
        }
        let command = |what: &str| as_typed(what, &self.tenant, &self.run_id);
        let (output, report) = (command("run output"), command("run report"));
        format!("\nthe output: {output} --to <file>.csv\nthe report: {report} --to <file>.html\n")
    }

    /// Which rules rejected how many records, most first, and the command that shows them.
    fn rejected(&self) -> Option<String> {
        let mut by_rule: Vec<_> = self.rejected_by_rule.as_ref()?.iter().collect();
        by_rule.sort_by_key(|(_, records)| Reverse(**records));
        let rules: Vec<_> =
            by_rule.iter().map(|(rule, records)| format!("{rule} {}", text::count(**records))).collect();
        let of = if self.output.is_some() { "by rule" } else { "by rule, of the first ones" };
        let command = as_typed("run rejects", &self.tenant, &self.run_id);
        Some(format!("{of}: {}; each record: {command}", rules.join(", ")))
    }

    fn balance(&self) -> Option<String> {
        let read = text::count(self.records_in?);
        Some(match (self.records_out, self.records_rejected) {
            (Some(out), Some(rejected)) => {
                let all = if out == 0 && rejected > 0 { ": every record was rejected" } else { "" };
                format!("{read} read = {} published + {} rejected{all}", text::count(out), text::count(rejected))
            }
            _ => format!("{read} read"),
        })
    }

    /// Its line in a list.
    pub(crate) fn row(&self) -> Vec<String> {
        let count = |number: Option<u64>| number.map(text::count).unwrap_or_default();
        vec![
            self.run_id.clone(),
            self.status.to_owned(),
            self.started_at.map(|time| time.strftime("%F %TZ").to_string()).unwrap_or_default(),
            count(self.records_in),
            count(self.records_rejected),
            self.feed.clone(),
            text::visible(&self.file, 60),
        ]
    }
}

/// A command about a run, as people of its tenant type it.
pub(crate) fn command(words: &str, run: &RunId) -> String {
    as_typed(words, run.tenant(), run.as_str())
}

fn as_typed(words: &str, tenant: &str, run: &str) -> String {
    text::command(tenant, &format!("{words} {run}"))
}

/// Runs, a line each.
pub(crate) fn list(runs: &[RunView]) -> String {
    if runs.is_empty() {
        return "no runs yet: tieout submit <feed> <file>\n".to_owned();
    }
    let header = ["run", "status", "started", "records", "rejected", "feed", "file"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(header).chain(runs.iter().map(RunView::row)).collect();
    columns(&rows, &[3, 4])
}

/// Steps, a line each.
pub(crate) fn steps(steps: &[StepRecord]) -> String {
    let header =
        ["step", "status", "attempts", "records", "rejected", "duration", "reason"].map(str::to_owned).to_vec();
    let rows = steps.iter().map(|step| {
        let failed = step.failure.as_ref().filter(|_| step.status == StepStatus::Failed);
        vec![
            step_name(step),
            step_status(step.status).to_owned(),
            step.attempts.to_string(),
            text::count(step.figures.records_in),
            text::count(step.figures.records_rejected),
            step.started_at.zip(step.ended_at).map(|(start, end)| text::duration(start, end)).unwrap_or_default(),
            failed.map(reason).unwrap_or_default(),
        ]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[2, 3, 4, 5])
}

/// Puts steps in the order of the machine's states; chunks stay in file order.
pub(crate) fn in_order(steps: &mut [StepRecord]) {
    steps.sort_by_key(|step| match step.step.as_str() {
        "step#split" => 0,
        "step#merge" => 2,
        _ => 1,
    });
}

/// `split`, `merge`, or `chunk 12`.
pub(crate) fn step_name(step: &StepRecord) -> String {
    match step.step.split_once('#') {
        Some(("chunk", number)) => match number.parse::<u64>() {
            Ok(number) => format!("chunk {number}"),
            Err(_) => step.step.clone(),
        },
        Some((_, name)) => name.to_owned(),
        None => step.step.clone(),
    }
}

pub(crate) fn step_status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Running => "running",
        StepStatus::Done => "done",
        StepStatus::Failed => "failed",
    }
}

/// Class and message on one line.
pub(crate) fn reason(reason: &Reason) -> String {
    format!("{}: {}", reason.class, text::visible(&reason.message, REASON_CHARS_MAX))
}

fn mail(status: &MailStatus) -> String {
    match status {
        MailStatus::Sent { .. } => "sent".to_owned(),
        MailStatus::Sending => "being sent, or its worker died at it".to_owned(),
        MailStatus::NotWanted => "not wanted: the feed has no recipients".to_owned(),
        MailStatus::Failed { reason } => format!("not sent: {}", text::visible(reason, REASON_CHARS_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(more: serde_json::Value) -> RunRecord {
        let mut record = json!({
            "run": RunId::of("default", "b", "k", "v", 1), "feed": "orders", "status": "published",
            "input": {"bucket": "in", "key": "default/intake/orders/o\u{1b}[2J.csv"},
            "started_at": "2026-03-01T08:00:00Z", "ended_at": "2026-03-01T08:00:02.5Z",
        });
        let object = record.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    fn view(more: serde_json::Value) -> RunView {
        RunView::of(record(more), "data", "2026-03-01T09:00:00Z".parse().unwrap())
    }

    fn published() -> RunView {
        let totals = json!({"records": 9998, "columns": [
            {"column": "Total Revenue", "currency": "USD", "sum": "13327654.01", "amounts": 9998, "unparsed": 0}]});
        view(json!({
            "records_in": 10_000, "records_out": 9_998, "records_rejected": 2, "bytes": 1_048_576, "chunks": 5,
            "totals": totals, "output": "o/o.csv", "rejects": "o/r.csv", "report": "o/report.html",
            "archive": "a/o.csv", "mail": {"status": "failed", "reason": "address not verified"},
        }))
    }

    #[test]
    fn the_object_has_what_scripts_need() {
        let object = serde_json::to_value(published()).unwrap();
        assert_eq!(object["run_id"], RunId::of("default", "b", "k", "v", 1).as_str());
        assert_eq!((&object["status"], &object["seconds"]), (&json!("published"), &json!(2.5)));
        assert_eq!(
            (&object["records_in"], &object["records_out"], &object["records_rejected"]),
            (&json!(10_000), &json!(9_998), &json!(2))
        );
        assert_eq!(object["totals"]["columns"][0]["sum"], "13327654.01");
        assert_eq!(object["output"], "s3://data/o/o.csv");
        assert_eq!(
            (&object["rejects"], &object["report"]),
            (&json!("s3://data/o/r.csv"), &json!("s3://data/o/report.html"))
        );
    }

    #[test]
    fn the_object_has_the_same_keys_from_the_beginning() {
        let queued = RunView::queued(&RunId::of("default", "b", "k", "v", 1), "f", "n", &Location::new("b", "k"));
        let keys = |view: &RunView| serde_json::to_value(view).unwrap().as_object().unwrap().keys().cloned().collect();
        let (of_queued, of_published): (Vec<String>, Vec<String>) = (keys(&queued), keys(&published()));
        assert_eq!(of_queued, of_published);
    }

    #[test]
    fn a_person_reads_a_line_per_figure() {
        let text = published().text();
        for said in [
            "records   10,000 read = 9,998 published + 2 rejected\n",
            "total     Total Revenue: 13,327,654.01 USD\n",
            "duration  2.5 s\n",
            "output    s3://data/o/o.csv\n",
            "mail      not sent: address not verified\n",
        ] {
            assert!(text.contains(said), "{said:?} in:\n{text}");
        }
        assert!(!text.contains("input "), "it is in the archive:\n{text}");
        assert!(!text.contains('\u{1b}'), "a file's name does not steer the terminal");
    }

    #[test]
    fn a_failure_tells_why_and_where_the_file_is() {
        let text =
            view(json!({"status": "failed", "failure": {"class": "InvalidInput", "message": "no header"}})).text();
        assert!(text.contains("reason    InvalidInput: no header\n"), "{text}");
        assert!(text.contains("input     s3://in/default/intake/orders/"), "{text}");
    }

    #[test]
    fn what_was_rejected_is_told_by_rule() {
        let by_rule = |rules: &[(&str, u64)]| Some(rules.iter().map(|(rule, n)| ((*rule).to_owned(), *n)).collect());
        let run = RunId::of("default", "b", "k", "v", 1);
        let text = published().with_rejected(by_rule(&[("required", 1), ("type", 2_000)])).text();
        let line = format!("rejected  by rule: type 2,000, required 1; each record: tieout run rejects {run}\n");
        assert!(text.contains(&line), "{text}");
        assert!(!text.contains("every record"), "{text}");
        let failed = view(json!({"status": "failed", "output": null})).with_rejected(by_rule(&[("type", 3)])).text();
        assert!(failed.contains("by rule, of the first ones: type 3; "), "{failed}");
        let nothing = view(json!({"records_in": 3, "records_out": 0, "records_rejected": 3})).text();
        assert!(nothing.contains("3 read = 0 published + 3 rejected: every record was rejected\n"), "{nothing}");
        let empty = view(json!({"records_in": 0, "records_out": 0, "records_rejected": 0})).text();
        assert!(!empty.contains("every record"), "{empty}");
    }

    #[test]
    fn commands_name_the_run_s_tenant() {
        let run = |tenant| RunId::of(tenant, "b", "k", "v", 1);
        assert_eq!(command("watch", &run("default")), format!("tieout watch {}", run("default")));
        assert_eq!(command("watch", &run("acme")), format!("tieout --tenant acme watch {}", run("acme")));
        let next = published().what_next();
        assert!(next.contains(&format!("tieout run report {} --to <file>.html", run("default"))), "{next}");
        assert_eq!(view(json!({"status": "failed"})).what_next(), "");
    }

    #[test]
    fn lists_have_a_line_each() {
        let text = list(&[published()]);
        let line: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().skip(1).collect();
        assert_eq!(line, ["published", "2026-03-01", "08:00:00Z", "10,000", "2", "orders", "o␛[2J.csv"]);
        assert!(list(&[]).contains("no runs yet"));
    }

    #[test]
    fn steps_have_a_line_each() {
        let step = |value| serde_json::from_value::<StepRecord>(value).unwrap();
        let mut all = [
            step(
                json!({"sk": "chunk#000003", "status": "running", "attempts": 1, "started_at": "2026-03-01T08:00:00Z"}),
            ),
            step(json!({"sk": "chunk#000012", "status": "failed", "attempts": 2, "started_at": "2026-03-01T08:00:00Z",
                "ended_at": "2026-03-01T08:00:01Z", "failure": {"class": "Bug", "message": "panicked"}})),
            step(json!({"sk": "step#merge", "status": "running", "attempts": 1, "started_at": "2026-03-01T08:00:00Z"})),
            step(json!({"sk": "step#split", "status": "done", "attempts": 1, "started_at": "2026-03-01T08:00:00Z"})),
        ];
        in_order(&mut all);
        let text = steps(&all);
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!((lines[1][0], &lines[2][..2]), ("split", &["chunk", "3"][..]));
        assert_eq!(lines[3], ["chunk", "12", "failed", "2", "0", "0", "1.0", "s", "Bug:", "panicked"]);
        assert_eq!(lines[4], ["merge", "running", "1", "0", "0"]);
    }
}
