//! The mail: how the run ended, its figures, and what to do next. No cell values.

use maud::{DOCTYPE, Markup, html};

use crate::{Link, Outcome, RunFigures, advice::advice, text};

/// Mail readers show about this many characters of a subject.
pub(crate) const SUBJECT_CHARS_MAX: usize = 120;
/// A failure's message can be long; the page has more of it.
pub(crate) const MESSAGE_CHARS_MAX: usize = 1_000;

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The subject: one line.
    pub subject: String,
    /// The body for readers without HTML.
    pub text: String,
    /// The body.
    pub html: String,
}

/// The mail about a run. `link` leads to the output of a published one.
pub fn mail(figures: &RunFigures, link: Option<&Link>) -> Mail {
    let facts = facts(figures);
    let next = next_steps(figures, link);
    let headline = headline(figures);
    Mail { subject: subject(figures), text: plain(&headline, &facts, &next), html: html(&headline, &facts, &next) }
}

/// Something to tell below the figures.
pub(crate) struct Paragraph {
    pub(crate) text: String,
    /// An address or a command, on a line of its own.
    pub(crate) detail: Option<Detail>,
}

pub(crate) enum Detail {
    Link(String),
    Command(String),
}

fn subject(figures: &RunFigures) -> String {
    let file = text::visible(&figures.file, SUBJECT_CHARS_MAX / 2);
    let subject = match (&figures.outcome, figures.records_out, figures.records_rejected) {
        (Outcome::Failed { class, .. }, ..) => format!("{file} failed: {class}"),
        (Outcome::Published { .. }, Some(0), Some(rejected @ 1..)) => {
            format!("{file}: nothing published, all {} rejected", text::records(rejected))
        }
        (Outcome::Published { .. }, Some(published), Some(0)) => {
            format!("{file}: {} published, none rejected", text::records(published))
        }
        (Outcome::Published { .. }, Some(published), Some(rejected)) => {
            format!("{file}: {} published, {} rejected", text::records(published), text::count(rejected))
        }
        (Outcome::Published { .. }, ..) => format!("{file}: published"),
    };
    text::visible(&subject, SUBJECT_CHARS_MAX)
}

fn headline(figures: &RunFigures) -> String {
    let file = text::visible(&figures.file, SUBJECT_CHARS_MAX);
    match (&figures.outcome, figures.records_out, figures.records_rejected) {
        (Outcome::Published { .. }, Some(0), Some(1..)) => {
            format!("Every record of {file} was rejected. The output is empty.")
        }
        (Outcome::Published { .. }, ..) => format!("{file} is published, and it ties out."),
        (Outcome::Failed { .. }, ..) => format!("{file} could not be processed. Nothing was published."),
    }
}

/// The figures, as label and value.
fn facts(figures: &RunFigures) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |label: &str, value: String| facts.push((text::visible(label, SUBJECT_CHARS_MAX), value));
    if let Outcome::Failed { message, .. } = &figures.outcome {
        fact("Why", text::visible(message, MESSAGE_CHARS_MAX));
    }
    let counts = [
        ("Records read", figures.records_in),
        ("Records published", figures.records_out),
        ("Records rejected", figures.records_rejected),
    ];
    for (label, number) in counts {
        if let Some(number) = number {
            fact(label, text::count(number));
        }
    }
    for (rule, records) in &figures.rejects_by_rule {
        fact(&format!("Rejected by rule {rule}"), text::count(*records));
    }
    for entry in figures.totals.iter().flat_map(|totals| totals.entries()) {
        let currency = entry.currency.map(|currency| format!(" {currency}")).unwrap_or_default();
        fact(&format!("Sum of {}", entry.column), format!("{}{currency}", text::amount(entry.total.sum)));
        if entry.total.unparsed > 0 {
            let label = format!("Not an amount in {}", entry.column);
            fact(&label, text::records(entry.total.unparsed));
        }
    }
    for entry in figures.totals_rejected.iter().flat_map(|totals| totals.entries()) {
        let currency = entry.currency.map(|currency| format!(" {currency}")).unwrap_or_default();
        let label = format!("Rejected of {}", entry.column);
        fact(&label, format!("{}{currency}", text::amount(entry.total.sum)));
    }
    fact("Feed", figures.feed.clone());
    if let Some(bytes) = figures.bytes {
        fact("Length", text::bytes(bytes));
    }
    fact("Started", text::time(figures.started_at));
    fact("Duration", text::duration(figures.started_at, figures.ended_at));
    fact("Run", figures.run.clone());
    facts
}

fn next_steps(figures: &RunFigures, link: Option<&Link>) -> Vec<Paragraph> {
    let run = &figures.run;
    let command = |text: &str, command: String| Paragraph { text: text.into(), detail: Some(Detail::Command(command)) };
    match (&figures.outcome, link) {
        (Outcome::Failed { class, .. }, _) => vec![
            Paragraph { text: format!("The file is where it was: {}", figures.input), detail: None },
            Paragraph { text: advice(figures, class), detail: None },
        ],
        (Outcome::Published { .. }, None) => {
            vec![command("To get the output:", text::command(&figures.tenant, &format!("run output {run}")))]
        }
        (Outcome::Published { output }, Some(link)) => vec![
            Paragraph {
                text: format!(
                    "Download {} until {}. Whoever has this link can do so:",
                    text::visible(output, SUBJECT_CHARS_MAX),
                    text::time(link.expires_at)
                ),
                detail: Some(Detail::Link(link.url.clone())),
            },
            command("After that, a fresh link:", text::command(&figures.tenant, &format!("run link {run}"))),
        ],
    }
}

pub(crate) fn plain(headline: &str, facts: &[(String, String)], next: &[Paragraph]) -> String {
    let width = facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let mut text = format!("{headline}\n\n");
    for (label, value) in facts {
        text.push_str(&format!("{label:width$}  {value}\n"));
    }
    for Paragraph { text: said, detail } in next {
        text.push_str(&format!("\n{said}\n"));
        if let Some(Detail::Link(detail) | Detail::Command(detail)) = detail {
            text.push_str(&format!("  {detail}\n"));
        }
    }
    text
}

// Mail readers drop style sheets: every style is inline.
const BODY: &str = "margin:0;padding:24px;color:#1a2230;font:15px/1.5 Helvetica,Arial,sans-serif";
const LABEL: &str = "padding:4px 24px 4px 0;text-align:left;vertical-align:top;font-weight:400;color:#5b6675";
const VALUE: &str = "padding:4px 0;vertical-align:top";

pub(crate) fn html(headline: &str, facts: &[(String, String)], next: &[Paragraph]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (headline) } }
            body style=(BODY) {
                h1 style="margin:0 0 16px;font-size:20px" { (headline) }
                table style="border-collapse:collapse" {
                    @for (label, value) in facts {
                        tr { th scope="row" style=(LABEL) { (label) } td style=(VALUE) { (value) } }
                    }
                }
                @for paragraph in next { p style="margin:16px 0 0" { (paragraph.text) (detail(paragraph)) } }
            }
        }
    }
    .into_string()
}

fn detail(paragraph: &Paragraph) -> Markup {
    html! {
        @match &paragraph.detail {
            Some(Detail::Link(url)) => { br; a href=(url) style="overflow-wrap:anywhere" { (url) } }
            Some(Detail::Command(command)) => { br; code { (command) } }
            None => {}
        }
    }
}
