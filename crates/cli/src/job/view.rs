//! Jobs, as people and programs see them.

use jiff::Timestamp;
use jobs::book::{JobRecord, JobStatus, MailStatus, OutputRecord};
use report::text;

use crate::output::columns;

/// Characters of a text that a stranger may have written.
const TEXT_CHARS_MAX: usize = 1_000;

pub(crate) fn list(jobs: &[JobRecord], now: Timestamp) -> String {
    if jobs.is_empty() {
        return "no jobs yet: tieout job submit <job.json>\n".to_owned();
    }
    let header = ["job", "status", "engine", "handed in", "seconds", "rows"].map(str::to_owned).to_vec();
    let rows = jobs.iter().map(|job| {
        vec![
            job.job.clone(),
            job.status.as_str().to_owned(),
            job.engine.map_or("", |engine| engine.as_str()).to_owned(),
            text::time(job.submitted_at),
            format!("{:.1}", job.seconds(now)),
            text::count(job.outputs.iter().map(|output| output.rows).sum()),
        ]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[4, 5])
}

pub(crate) fn show(job: &JobRecord, now: Timestamp) -> String {
    let mut facts = vec![
        ("job".to_owned(), format!("{}, attempt {}", job.job, job.attempt)),
        ("status".to_owned(), status(job)),
        ("handed in".to_owned(), text::time(job.submitted_at)),
    ];
    facts.extend(job.redriven_at.map(|again| ("and again".to_owned(), text::time(again))));
    facts.push(("duration".to_owned(), text::duration(job.handed_in_at(), job.ended_at.unwrap_or(now))));
    let mut fact = |label: &str, value: Option<String>| facts.extend(value.map(|value| (label.to_owned(), value)));
    fact(
        "why",
        job.failure.as_ref().map(|why| text::visible(&format!("{}: {}", why.class, why.message), TEXT_CHARS_MAX)),
    );
    let why = job.engine_why.as_ref().map(|why| text::visible(why, TEXT_CHARS_MAX)).unwrap_or_default();
    fact("engine", job.engine.map(|engine| format!("{engine}, {why}")));
    fact("its time", job.milliseconds.map(|milliseconds| format!("{} ms", text::count(milliseconds))));
    fact("memory", job.peak_memory_bytes.map(text::bytes));
    fact("on disk", job.spilled_bytes.filter(|bytes| *bytes > 0).map(text::bytes));
    fact("cost", job.cost_microdollars.map(|cost| format!("about {}.{:06} $", cost / 1_000_000, cost % 1_000_000)));
    fact(
        "mail",
        match &job.mail {
            Some(MailStatus::Failed { reason }) => Some(format!("not sent: {}", text::visible(reason, TEXT_CHARS_MAX))),
            _ => None,
        },
    );
    for warning in &job.warnings {
        fact("note", Some(text::visible(warning, TEXT_CHARS_MAX)));
    }
    for (name, input) in &job.inputs {
        fact(&format!("input {name}"), Some(format!("{}, {}", text::records(input.rows), text::bytes(input.bytes))));
    }
    for (name, read) in &job.ledgers {
        let complete = read.watermark.as_ref().map_or_else(String::new, |until| format!(", complete until {until}"));
        fact(&format!("input {name}"), Some(format!("ledger {}, batch {}{complete}", read.ledger, read.through)));
    }
    for output in &job.outputs {
        let size = format!("{}, {}", text::records(output.rows), text::bytes(output.bytes));
        fact(&format!("output {}", output.name), Some(size));
    }
    let width = facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let mut shown: String = facts.iter().map(|(label, value)| format!("{label:width$}  {value}\n")).collect();
    for table in [(!job.outputs.is_empty()).then(|| totals(job)), (!job.steps.is_empty()).then(|| steps(job))] {
        shown.extend(table.map(|table| format!("\n{table}")));
    }
    shown
}

fn totals(job: &JobRecord) -> String {
    let header = ["output", "control total", "value"].map(str::to_owned).to_vec();
    let of_output = |output: &OutputRecord| {
        let rows = ("rows".to_owned(), text::count(output.rows));
        let sum = |(column, sum): (&String, &String)| (format!("sum of {}", text::visible(column, 80)), sum.clone());
        let all: Vec<_> = std::iter::once(rows).chain(output.totals.iter().map(sum)).collect();
        all.into_iter().map(|(total, value)| vec![output.name.clone(), total, value]).collect::<Vec<_>>()
    };
    let rows = job.outputs.iter().flat_map(of_output);
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[2])
}

fn steps(job: &JobRecord) -> String {
    let header = ["step", "operation", "rows", "size", "ms"].map(str::to_owned).to_vec();
    let rows = job.steps.iter().map(|step| {
        let time = step.milliseconds.map_or_else(|| "–".to_owned(), text::count);
        let size = step.bytes.map_or_else(|| "–".to_owned(), text::bytes);
        vec![step.step.clone(), step.operation.clone(), text::count(step.rows), size, time]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[2, 3, 4])
}

fn status(job: &JobRecord) -> String {
    match (job.status, job.cancel_asked) {
        (JobStatus::Queued | JobStatus::Running, true) => format!("{}, to be cancelled", job.status.as_str()),
        (JobStatus::Queued, false) if job.waits > 0 => "queued: waits for a slot".to_owned(),
        (status, _) => status.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> JobRecord {
        serde_json::from_value(json!({
            "tenant": "acme", "job": "close", "attempt": 1, "status": "published", "digest": "0",
            "submitted_at": "2026-01-31T08:00:00Z", "ended_at": "2026-01-31T08:00:02Z", "engine": "embedded",
            "engine_why": "planned for embedded: about 1 MiB", "milliseconds": 1500, "peak_memory_bytes": 1_048_576,
            "spilled_bytes": 0, "cost_microdollars": 200, "inputs": {"orders": {"rows": 5, "bytes": 100}},
            "ledgers": {"artifacts": {"ledger": "books", "through": 7, "watermark": "2026-01-31T00:00:00Z"}},
            "steps": [{"step": "dear", "operation": "filter", "rows": 3, "milliseconds": 1}],
            "outputs": [{"name": "dear", "format": "csv", "rows": 3, "bytes": 60, "totals": {"net": "18.26"}}],
        }))
        .unwrap()
    }

    #[test]
    fn a_published_job_shows_its_figures() {
        let shown = show(&record(), Timestamp::UNIX_EPOCH);
        let ledger = "ledger books, batch 7, complete until 2026-01-31T00:00:00Z";
        for said in [
            ledger,
            "close, attempt 1",
            "published",
            "embedded, planned for embedded: about 1 MiB",
            "0.000200 $",
            "18.26",
            "dear  filter",
        ] {
            assert!(shown.contains(said), "{said}: {shown}");
        }
        let totals = "output  control total  value\ndear    rows               3\ndear    sum of net     18.26\n";
        assert!(shown.contains(totals), "{shown}");
        assert!(list(&[record()], Timestamp::UNIX_EPOCH).contains("close  published  embedded"));
    }

    #[test]
    fn a_job_that_was_begun_anew_lasts_from_then_on() {
        let mut again = record();
        again.redriven_at = Some("2026-01-31T08:00:01Z".parse().unwrap());
        let shown = show(&again, Timestamp::UNIX_EPOCH);
        assert!(shown.contains("handed in        31 January 2026, 08:00:00"), "{shown}");
        assert!(shown.contains("and again        31 January 2026, 08:00:01"), "{shown}");
        assert!(list(&[again.clone()], Timestamp::UNIX_EPOCH).contains("  1.0  "), "{again:?}");
    }

    #[test]
    fn a_mail_that_was_not_sent_is_told() {
        let mut job = record();
        assert!(!show(&job, Timestamp::UNIX_EPOCH).contains("mail"));
        job.mail = Some(MailStatus::Failed { reason: "the address is not verified".to_owned() });
        let shown = show(&job, Timestamp::UNIX_EPOCH);
        assert!(shown.contains("mail             not sent: the address is not verified\n"), "{shown}");
    }

    #[test]
    fn a_failed_job_says_why() {
        let mut failed = record();
        failed.status = JobStatus::Failed;
        failed.failure =
            Some(jobs::book::Reason { class: "InvalidInput".to_owned(), message: "a\u{1b}[31mb".to_owned() });
        let shown = show(&failed, Timestamp::UNIX_EPOCH);
        assert!(shown.contains("InvalidInput: a") && !shown.contains('\u{1b}'), "{shown:?}");
    }
}
