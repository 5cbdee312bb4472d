//! The page: one HTML file that needs nothing else, on a screen or on paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use money::ControlTotals;

use crate::{Outcome, Reject, RunFigures, advice::advice, text};

/// The longest cell value shown, in characters: a cell can be as long as a record.
const VALUE_CHARS_MAX: usize = 120;
/// The longest failure message shown, in characters.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// The whole page.
pub fn page(figures: &RunFigures) -> String {
    let status = match figures.outcome {
        Outcome::Published { .. } => "published",
        Outcome::Failed { .. } => "failed",
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Whatever might slip through an escape: nothing here may run or be fetched.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (figures.file) " " (status) ": run " (figures.run) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                main class=(status) {
                    header {
                        p.status { (status) }
                        h1 { (shown(&figures.file)) }
                        p { "Feed " (figures.feed) ", " (text::time(figures.ended_at)) }
                    }
                    (outcome(figures))
                    (balance(figures))
                    @if let Some(totals) = &figures.totals {
                        (control_totals("Control totals", PUBLISHED, totals))
                    }
                    @if let Some(totals) = &figures.totals_rejected {
                        (control_totals("Totals of the rejected records", REJECTED, totals))
                    }
                    (rejects(figures))
                    (facts(figures))
                    (footer(figures))
                }
            }
        }
    }
    .into_string()
}

fn outcome(figures: &RunFigures) -> Markup {
    html! {
        @if let Outcome::Failed { class, message } = &figures.outcome {
            section.failure aria-label="Why it failed" {
                p.reason { (text::visible(message, MESSAGE_CHARS_MAX)) }
                p { "Nothing was published. The file is where it was: " code { (figures.input) } }
                p { (advice(figures, class)) }
                p { "Error class: " code { (class) } }
            }
        }
    }
}

/// Records in = records published + records rejected.
fn balance(figures: &RunFigures) -> Markup {
    let figure = |label: &str, number: u64| {
        html! { div { dt { (label) } dd { (text::count(number)) } } }
    };
    let sign = |sign: &str| html! { div.sign aria-hidden="true" { (sign) } };
    html! {
        @match (figures.records_in, figures.records_out, figures.records_rejected) {
            (Some(read), Some(published), Some(rejected)) => {
                dl.balance {
                    (figure("records read", read)) (sign("="))
                    (figure("published", published)) (sign("+"))
                    (figure("rejected", rejected))
                }
                @if matches!(figures.outcome, Outcome::Published { .. }) {
                    p.proof {
                        @if published == 0 && rejected > 0 { "Every record was rejected: the output is empty. " }
                        "Ties out: every record is accounted for."
                    }
                }
            }
            (Some(read), _, _) => dl.balance { (figure("records read", read)) },
            _ => {}
        }
    }
}

const PUBLISHED: &str = "Exact sums over the records published, read again from the published file.";
const REJECTED: &str = "What the rejected records hold in the input's own amount columns: added to what is published, what \
                        the input holds.";

fn control_totals(heading: &str, caption: &str, totals: &ControlTotals) -> Markup {
    let entries: Vec<_> = totals.entries().collect();
    html! {
        @if !entries.is_empty() {
            h2 { (heading) }
            table {
                caption { (caption) }
                thead { tr {
                    th scope="col" { "Column" }
                    th scope="col" { "Currency" }
                    th.number scope="col" { "Amounts" }
                    th.number scope="col" { "Not an amount" }
                    th.number scope="col" { "Sum" }
                } }
                tbody {
                    @for entry in &entries {
                        tr {
                            th scope="row" { (shown(&entry.column)) }
                            td { @match entry.currency { Some(currency) => (currency), None => "none declared" } }
                            td.number { (text::count(entry.total.amounts)) }
                            td.number { (text::count(entry.total.unparsed)) }
                            td.number { (text::amount(entry.total.sum)) }
                        }
                    }
                }
            }
        }
    }
}

fn rejects(figures: &RunFigures) -> Markup {
    html! {
        @if !figures.rejects_by_rule.is_empty() {
            h2 { "Rejects by rule" }
            table {
                thead { tr { th scope="col" { "Rule" } th.number scope="col" { "Records" } } }
                tbody {
                    @for (rule, records) in &figures.rejects_by_rule {
                        tr { th scope="row" { (rule) } td.number { (text::count(*records)) } }
                    }
                }
            }
        }
        @if !figures.rejects.is_empty() {
            h2 { "Rejected records" }
            table {
                caption { (first(figures)) " Row 1 is the first record after the header." }
                thead { tr {
                    th.number scope="col" { "Row" }
                    th scope="col" { "Column" }
                    th scope="col" { "Value" }
                    th scope="col" { "Rule" }
                    th scope="col" { "Why" }
                } }
                tbody { @for reject in &figures.rejects { (row(reject)) } }
            }
        }
    }
}

fn first(figures: &RunFigures) -> String {
    let listed = figures.rejects.len() as u64;
    match figures.records_rejected {
        Some(all) if all > listed => format!("The first {} of {}.", text::count(listed), text::count(all)),
        _ => "All of them.".to_owned(),
    }
}

fn row(reject: &Reject) -> Markup {
    html! {
        tr {
            th.number scope="row" { (text::count(reject.row)) }
            td { @if let Some(column) = &reject.column { (shown(column)) } }
            td {
                @match reject.value.as_deref() {
                    Some("") => "(empty)",
                    Some(value) => code { (shown(value)) },
                    None => {}
                }
            }
            td.rule { (reject.rule) }
            td { (shown(&reject.message)) }
        }
    }
}

/// A text from a file: cut, made visible, and kept from turning the direction of the text around it.
fn shown(text: &str) -> Markup {
    html! { bdi { (text::visible(text, VALUE_CHARS_MAX)) } }
}

fn facts(figures: &RunFigures) -> Markup {
    html! {
        h2 { "The run" }
        dl.facts {
            dt { "Run" } dd { code { (figures.run) } }
            @if figures.tenant != "default" { dt { "Tenant" } dd { (figures.tenant) } }
            dt { "Input" } dd { code { (figures.input) } }
            @if let Some(bytes) = figures.bytes { dt { "Length" } dd { (text::bytes(bytes)) } }
            @if let Some(chunks) = figures.chunks { dt { "Chunks" } dd { (text::count(chunks)) } }
            dt { "Started" } dd { (text::time(figures.started_at)) }
            dt { "Ended" } dd { (text::time(figures.ended_at)) }
            dt { "Duration" } dd { (text::duration(figures.started_at, figures.ended_at)) }
        }
    }
}

fn footer(figures: &RunFigures) -> Markup {
    let command = |words: &str| text::command(&figures.tenant, &format!("{words} {}", figures.run));
    html! {
        footer {
            @if let Outcome::Published { output } = &figures.outcome {
                "Output " (shown(output)) ": " code { (command("run output")) } ". "
                "A download link to pass on: " code { (command("run link")) } ". "
                @if !figures.rejects.is_empty() { "All rejects: " code { (command("run rejects")) } "." }
            } @else {
                "What happened step by step: " code { (command("run show")) } "."
            }
        }
    }
}
