//! `tieout batch`.

pub(crate) mod args;
mod count;
mod follow;
mod list;
mod rejects;
mod submit;
mod view;

use ledger::manifest::LedgerId;
use report::text;
use serde::Serialize;

use crate::{
    batch::{
        args::BatchCommand,
        view::{BatchShown, BatchView},
    },
    error::Failure,
    installation::Installation,
    output::Output,
};

pub(crate) async fn perform(command: BatchCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        BatchCommand::Submit(command) => submit::perform(command, at, output).await,
        BatchCommand::List { ledger, prefix, limit } => list::perform(&ledger, &prefix, limit.into(), at, output).await,
        BatchCommand::Show { ledger, batch } => show(&ledger, &batch, at, output).await,
        BatchCommand::Redrive { ledger, batch, afresh } => redrive(&ledger, &batch, afresh, at, output).await,
        BatchCommand::Skip { ledger, batch, reason } => skip(&ledger, &batch, &reason, at, output).await,
    }
}

/// The ledger of that name, though nobody may have described it: what was sent to it all the same has its reasons in the
/// book.
fn named(ledger: &str, at: &Installation) -> LedgerId {
    LedgerId { tenant: at.tenant.clone(), ledger: ledger.to_owned() }
}

/// The batch, which must be known.
async fn look(ledger: &LedgerId, batch: &str, at: &Installation) -> Result<BatchView, Failure> {
    if let Some(found) = follow::look(&at.book(), ledger, batch).await? {
        return Ok(found);
    }
    at.terms(&ledger.ledger).await?;
    Err(unknown(ledger, batch))
}

fn unknown(ledger: &LedgerId, batch: &str) -> Failure {
    let list = text::command(&ledger.tenant, &format!("batch list {}", ledger.ledger));
    Failure::misuse(format!(
        "there is no batch {batch} in ledger {}: `{list}` shows the last ones. One that was just uploaded takes a moment",
        ledger.ledger
    ))
}

async fn show(ledger: &str, batch: &str, at: &Installation, output: Output) -> Result<(), Failure> {
    let (ledger, book) = (named(ledger, at), at.book());
    let batch = look(&ledger, batch, at).await?;
    let numbered = match batch.number {
        Some(number) => book.numbered(&ledger, number, number).await?.pop(),
        None => None,
    };
    let job = match numbered.as_ref().and_then(|numbered| numbered.job) {
        Some(job) => book.job(&ledger, job).await?,
        None => None,
    };
    let steps = match &job {
        Some(job) => at.steps().of_job(&ledger, job.number()).await?,
        None => Vec::new(),
    };
    let (objects, names) = (at.objects(), &at.names);
    let pinned = match &numbered {
        Some(numbered) => rejects::pinned(&objects, &names.data_bucket, &numbered.pinned).await?,
        None => None,
    };
    let rejects = match &job {
        Some(job) => rejects::of_job(&objects, names, &ledger, job).await?,
        None => Some(rejects::Rejected::default()),
    };
    let shown = BatchShown::new(batch, pinned, job.as_ref(), rejects, steps);
    output.tell(&shown, BatchShown::text)
}

#[derive(Serialize)]
struct Moved<'a> {
    ledger: &'a str,
    batch: &'a str,
    job: Option<u64>,
    done: &'static str,
}

async fn redrive(ledger: &str, batch: &str, afresh: bool, at: &Installation, output: Output) -> Result<(), Failure> {
    let terms = at.terms(ledger).await?;
    let found = look(&terms.ledger, batch, at).await?;
    let Some(number) = found.number else {
        return Err(Failure::misuse(format!("batch {batch} is {}: there is nothing to try again", found.status)));
    };
    let numbered = at.book().numbered(&terms.ledger, number, number).await?.pop();
    let Some(job) = numbered.and_then(|numbered| numbered.job) else {
        return Err(Failure::misuse(format!("batch {batch} waits to be grouped into a job: nothing of it has failed")));
    };
    let show = text::command(&at.tenant, &format!("batch show {ledger} {batch}"));
    if afresh {
        at.backlog().redrive_afresh(&terms, job).await?;
        return output.tell(&Moved { ledger, batch, job: Some(job.get()), done: "redriven_afresh" }, |_| {
            format!("job {job} is void, and its batches are let in again behind what waits: {show}\n")
        });
    }
    at.backlog().redrive(&terms, job).await?;
    output.tell(&Moved { ledger, batch, job: Some(job.get()), done: "redriven" }, |_| {
        format!("job {job} is tried again: {show}\n")
    })
}

async fn skip(ledger: &str, batch: &str, reason: &str, at: &Installation, output: Output) -> Result<(), Failure> {
    let id = named(ledger, at);
    let found = look(&id, batch, at).await?;
    if found.status == "not_taken" {
        at.book().drop_fault(&id, batch).await?;
        return output.tell(&Moved { ledger, batch, job: None, done: "forgotten" }, |_| {
            format!("batch {batch} was never taken, and is forgotten\n")
        });
    }
    at.backlog().skip(&at.terms(ledger).await?, batch, reason).await?;
    output.tell(&Moved { ledger, batch, job: None, done: "skipped" }, |_| skipped(&found))
}

fn skipped(batch: &BatchView) -> String {
    // A correction covers none.
    let open = if batch.correction { "" } else { " Its interval stays open until another takes its place." };
    format!("batch {} is out.{open} Another in its place: {}\n", batch.batch, batch.replacement())
}

#[cfg(test)]
mod tests {
    use ledger::{book::View, head::Head};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_correction_that_is_skipped_leaves_no_interval_open() {
        let told = |correction: bool| {
            let record = serde_json::from_value(json!({
                "batch": "b1", "digest": "d", "status": "registered", "source": "shop", "correction": correction,
                "interval": { "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" },
                "registered_at": "2026-01-02T00:00:00Z", "let_in_at": "2026-01-02T00:00:00Z", "version": 1,
            }));
            let ledger = LedgerId::new("acme", "orders").unwrap();
            let view = View { head: Head::default(), jobs: Vec::new() };
            skipped(&BatchView::of(&ledger, &record.unwrap(), None, &view))
        };
        let covers = told(false);
        assert!(
            covers.starts_with("batch b1 is out. Its interval stays open until another takes its place. An"),
            "{covers}"
        );
        assert!(covers.contains("batch submit orders --replaces b1") && !covers.contains("--correction"), "{covers}");
        let corrects = told(true);
        assert!(corrects.starts_with("batch b1 is out. Another in its place: "), "{corrects}");
        assert!(corrects.contains("--replaces b1") && corrects.contains("--correction <why>"), "{corrects}");
    }
}
