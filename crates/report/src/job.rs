//! The mail about a reconcile job: how it ended, its figures, and what to do next. No cell values, but the sums that were
//! asked for.

use jiff::Timestamp;

use crate::{
    mail::{Detail, MESSAGE_CHARS_MAX, Mail, Paragraph, SUBJECT_CHARS_MAX, html, plain},
    text,
};

/// What is told of a job that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFigures {
    /// The job's id.
    pub job: String,
    /// Its tenant.
    pub tenant: String,
    /// Which attempt at it; the first is 1.
    pub attempt: u32,
    /// When it was handed in first.
    pub submitted_at: Timestamp,
    /// When this attempt was, where it is not the first.
    pub redriven_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: JobOutcome,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// Its outputs tie out and are published.
    Published {
        /// They.
        outputs: Vec<OutputFigures>,
    },
    /// Nothing was published.
    Failed {
        /// The error class, or Step Functions' name for what happened.
        class: String,
        /// What went wrong.
        message: String,
    },
    /// Nothing was published: somebody has cancelled it.
    Cancelled,
}

/// An output of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFigures {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The sums of its columns of numbers.
    pub totals: Vec<(String, String)>,
}

/// The most outputs and sums that a mail tells of.
const FACTS_MAX: usize = 40;

/// The mail about a job.
pub fn job_mail(figures: &JobFigures) -> Mail {
    let headline = headline(figures);
    let (facts, next) = (facts(figures), next_steps(figures));
    Mail { subject: subject(figures), text: plain(&headline, &facts, &next), html: html(&headline, &facts, &next) }
}

fn subject(figures: &JobFigures) -> String {
    let job = text::visible(&figures.job, SUBJECT_CHARS_MAX / 2);
    let subject = match &figures.outcome {
        JobOutcome::Published { outputs } => {
            let rows: u64 = outputs.iter().map(|output| output.rows).sum();
            format!("Job {job}: {} published", text::records(rows))
        }
        JobOutcome::Failed { class, .. } => format!("Job {job} failed: {class}"),
        JobOutcome::Cancelled => format!("Job {job} was cancelled"),
    };
    text::visible(&subject, SUBJECT_CHARS_MAX)
}

fn headline(figures: &JobFigures) -> String {
    let job = text::visible(&figures.job, SUBJECT_CHARS_MAX);
    match &figures.outcome {
        JobOutcome::Published { .. } => format!("Job {job} is published, and it ties out."),
        JobOutcome::Failed { .. } => format!("Job {job} failed. Nothing was published."),
        JobOutcome::Cancelled => format!("Job {job} was cancelled. Nothing was published."),
    }
}

fn facts(figures: &JobFigures) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    match &figures.outcome {
        JobOutcome::Failed { message, .. } => facts.push(("Why".to_owned(), text::visible(message, MESSAGE_CHARS_MAX))),
        JobOutcome::Published { outputs } => {
            for output in outputs {
                let name = text::visible(&output.name, SUBJECT_CHARS_MAX);
                facts.push((format!("Output {name}"), text::records(output.rows)));
                let sum = |(column, sum): &(String, String)| {
                    (
                        text::visible(&format!("Sum of {column} in {name}"), SUBJECT_CHARS_MAX),
                        text::visible(sum, SUBJECT_CHARS_MAX),
                    )
                };
                facts.extend(output.totals.iter().map(sum));
            }
            facts.truncate(FACTS_MAX);
        }
        JobOutcome::Cancelled => {}
    }
    facts.push(("Handed in".to_owned(), text::time(figures.submitted_at)));
    let begun = figures.redriven_at.unwrap_or(figures.submitted_at);
    facts.extend(figures.redriven_at.map(|again| ("Handed in again".to_owned(), text::time(again))));
    facts.push(("Duration".to_owned(), text::duration(begun, figures.ended_at)));
    facts.push(("Attempt".to_owned(), figures.attempt.to_string()));
    facts
}

fn next_steps(figures: &JobFigures) -> Vec<Paragraph> {
    let command = |said: &str, words: &str| Paragraph {
        text: said.to_owned(),
        detail: Some(Detail::Command(text::command(&figures.tenant, &format!("job {words} {}", figures.job)))),
    };
    match &figures.outcome {
        JobOutcome::Published { .. } => vec![command("To get its outputs:", "output")],
        JobOutcome::Failed { .. } => vec![
            command("All that is known of it:", "show"),
            command("To try once more, with the inputs as they are then:", "redrive"),
        ],
        JobOutcome::Cancelled => vec![command("To begin it anew:", "redrive")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail_of(outcome: JobOutcome) -> Mail {
        let at = |text: &str| text.parse().unwrap();
        job_mail(&JobFigures {
            job: "close-2016".to_owned(),
            tenant: "acme".to_owned(),
            attempt: 2,
            submitted_at: at("2026-01-31T08:00:00Z"),
            redriven_at: None,
            ended_at: at("2026-01-31T08:01:30Z"),
            outcome,
        })
    }

    #[test]
    fn a_published_job_tells_its_sums_and_where_to_get_it() {
        let totals = vec![("Total <b>".to_owned(), "-12.50".to_owned())];
        let output = OutputFigures { name: "orders".to_owned(), rows: 2_000, totals };
        let mail = mail_of(JobOutcome::Published { outputs: vec![output] });
        assert_eq!(mail.subject, "Job close-2016: 2,000 records published");
        for said in ["ties out", "-12.50", "tieout --tenant acme job output close-2016"] {
            assert!(mail.text.contains(said), "{said}: {}", mail.text);
        }
        assert!(mail.html.contains("Sum of Total &lt;b&gt;") && !mail.html.contains("<b>"));
    }

    #[test]
    fn other_ends_say_what_to_do() {
        let failed =
            mail_of(JobOutcome::Failed { class: "InvalidInput".to_owned(), message: "division by zero".to_owned() });
        assert_eq!(failed.subject, "Job close-2016 failed: InvalidInput");
        assert!(failed.text.contains("division by zero") && failed.text.contains("job redrive close-2016"));
        let cancelled = mail_of(JobOutcome::Cancelled);
        assert_eq!(cancelled.subject, "Job close-2016 was cancelled");
        assert!(cancelled.text.contains("Nothing was published"));
    }
}
