//! `tieout ledger`.

pub(crate) mod args;
pub(crate) mod view;

use std::{collections::BTreeMap, fs, path::Path};

use jiff::Timestamp;
use ledger::{
    Definition, Interval,
    definitions::{Definitions, PutDefinition},
    job::{Job, JobStatus},
    manifest::LedgerId,
    watermark::Exception,
};
use report::text;
use serde::Serialize;

use crate::{
    error::{Failure, shown},
    installation::Installation,
    ledgers::{
        args::LedgerCommand,
        view::{JobView, LedgerView},
    },
    output::{Output, columns, json, print},
};

pub(crate) async fn perform(command: LedgerCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        LedgerCommand::Put { file } => put(&file, at, output).await,
        LedgerCommand::List => list(at, output).await,
        LedgerCommand::Show { ledger, definition: true } => definition(&ledger, at, output).await,
        LedgerCommand::Show { ledger, definition: false } => show(&ledger, at, output).await,
        LedgerCommand::Sign { ledger, source, from, to, by, reason } => {
            let interval = Interval::new(from, to).map_err(Failure::misuse)?;
            let exception = Exception { interval, signed_by: by, reason, signed_at: Timestamp::now() };
            sign(&ledger, &source, &exception, at, output).await
        }
    }
}

#[derive(Serialize)]
struct InForce<'a> {
    ledger: &'a str,
    version: u64,
    /// Whether another definition was in force before, or none.
    changed: bool,
}

async fn put(file: &Path, at: &Installation, output: Output) -> Result<(), Failure> {
    let document = fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
    let definition =
        Definition::from_json(&document).map_err(|error| Failure::misuse(format!("{}: {error}", shown(file))))?;
    let put = at.definitions().put(&at.tenant, &definition).await.map_err(|error| match Failure::from(error) {
        Failure::Misuse(message) => Failure::misuse(format!("{}: {message}", shown(file))),
        other => other,
    })?;
    let (version, changed) = match put {
        PutDefinition::New(version) => (version, true),
        PutDefinition::Unchanged(version) => (version, false),
    };
    let submit =
        text::command(&at.tenant, &format!("batch submit {} --from <time> --to <time> <files>", definition.name));
    output.tell(&InForce { ledger: &definition.name, version, changed }, |put| {
        let already = if changed { "" } else { ", as before" };
        format!("ledger {} is in force, version {version}{already}: {submit}\n", put.ledger)
    })
}

#[derive(Serialize)]
struct Listed {
    ledger: String,
    title: Option<String>,
    version: u64,
    sources: Vec<String>,
}

async fn list(at: &Installation, output: Output) -> Result<(), Failure> {
    let definitions = at.definitions();
    let mut listed = Vec::new();
    for ledger in definitions.list(Some(&at.tenant)).await? {
        let (version, definition) = current(&definitions, &ledger).await?;
        let sources = definition.sources.into_keys().collect();
        listed.push(Listed { ledger: ledger.ledger, title: definition.title, version, sources });
    }
    output.tell(&listed, |listed| {
        if listed.is_empty() {
            return "no ledgers yet: tieout ledger put <definition.json>\n".to_owned();
        }
        let header = ["ledger", "version", "sources", "title"].map(str::to_owned).to_vec();
        let rows = listed.iter().map(|one| {
            let title = one.title.as_ref().map(|title| text::visible(title, 80)).unwrap_or_default();
            vec![one.ledger.clone(), one.version.to_string(), one.sources.join(", "), title]
        });
        columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[1])
    })
}

/// The definition in force, and its version.
async fn current(definitions: &Definitions, ledger: &LedgerId) -> Result<(u64, Definition), Failure> {
    let version = definitions.version(ledger).await?.ok_or_else(|| unknown(&ledger.ledger))?;
    Ok((version, definitions.definition(ledger, version).await?))
}

/// There is no such ledger.
pub(crate) fn unknown(ledger: &str) -> Failure {
    Failure::misuse(format!(
        "there is no ledger {ledger}: `tieout ledger list` shows those there are, `tieout ledger put <definition.json>` \
         makes one"
    ))
}

async fn definition(ledger: &str, at: &Installation, output: Output) -> Result<(), Failure> {
    let ledger = LedgerId { tenant: at.tenant.clone(), ledger: ledger.to_owned() };
    let (_, definition) = current(&at.definitions(), &ledger).await?;
    if output.json {
        return json(&definition);
    }
    let pretty = serde_json::to_string_pretty(&definition).map_err(|error| Failure::Service(error.to_string()))?;
    print(&(pretty + "\n"))
}

async fn show(ledger: &str, at: &Installation, output: Output) -> Result<(), Failure> {
    let ledger = LedgerId { tenant: at.tenant.clone(), ledger: ledger.to_owned() };
    let definitions = at.definitions();
    let (version, definition) = current(&definitions, &ledger).await?;
    let (book, terms) = (at.book(), definition.terms(ledger.clone(), version));
    let completeness = at.backlog().completeness(&terms).await?;
    let view = book.view(&ledger).await?;
    let mut jobs = Vec::new();
    for job in &view.jobs {
        let parked = matches!(job.status, JobStatus::Parked(_));
        jobs.push(JobView::of(job, if parked { names(job, &ledger, at).await? } else { Vec::new() }));
    }
    let not_taken: BTreeMap<_, _> =
        book.faults(&ledger, "").await?.into_iter().map(|fault| (fault.batch, fault.reason)).collect();
    let shown = LedgerView::new(&ledger, definition.title, version, &view.head, jobs, completeness, not_taken);
    output.tell(&shown, LedgerView::text)
}

/// The names of a job's batches.
async fn names(job: &Job, ledger: &LedgerId, at: &Installation) -> Result<Vec<String>, Failure> {
    let numbered = at.book().numbered(ledger, job.batches.lo(), job.batches.hi()).await?;
    Ok(numbered.into_iter().map(|batch| batch.batch).collect())
}

async fn sign(
    ledger: &str,
    source: &str,
    exception: &Exception,
    at: &Installation,
    output: Output,
) -> Result<(), Failure> {
    let terms = at.terms(ledger).await?;
    if !terms.sources.contains_key(source) {
        let sources: Vec<_> = terms.sources.keys().map(String::as_str).collect();
        return Err(Failure::misuse(format!(
            "ledger {ledger} has no source {source:?}: it has {}",
            sources.join(", ")
        )));
    }
    at.backlog().sign(&terms, source, exception).await?;
    output.tell(exception, |signed| {
        let (from, to) = (text::time(signed.interval.from()), text::time(signed.interval.to()));
        format!(
            "{source} counts as complete from {from} to {to}, signed by {}\n",
            text::visible(&signed.signed_by, 100)
        )
    })
}
