//! `tieout ledger`.

pub(crate) mod args;
pub(crate) mod view;

use std::{collections::BTreeMap, fmt, fs, path::Path};

use jiff::Timestamp;
use ledger::{
    Definition, Interval, LedgerError,
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
        view::{JobView, LedgerView, REASON_CHARS_MAX},
    },
    output::{Output, columns, json, print},
};

pub(crate) async fn perform(command: LedgerCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        LedgerCommand::Put { file, move_sources } => put(&file, move_sources, at, output).await,
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
    /// How far its sources move its watermark, where they are others than before.
    watermark: Option<WatermarkMove>,
}

/// The watermark by the sources of the definition before, and by those of the new one.
#[derive(Debug, Serialize)]
struct WatermarkMove {
    before: Option<Timestamp>,
    after: Option<Timestamp>,
}

impl WatermarkMove {
    async fn of(
        ledger: &LedgerId,
        standing: &Definition,
        new: &Definition,
        at: &Installation,
    ) -> Result<Self, Failure> {
        let backlog = at.backlog();
        let by = async |definition: &Definition| {
            let completeness = backlog.completeness(&definition.terms(ledger.clone(), 0)).await;
            completeness.map(|completeness| completeness.watermark)
        };
        Ok(Self { before: by(standing).await?, after: by(new).await? })
    }
}

/// `it goes from 2024-05-01 … to …`.
impl fmt::Display for WatermarkMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = [self.before, self.after].map(|time| time.map_or_else(String::new, text::time));
        match self.before == self.after {
            true => write!(f, "stays at {before}"),
            false => write!(f, "goes from {before} to {after}"),
        }
    }
}

async fn put(file: &Path, move_sources: bool, at: &Installation, output: Output) -> Result<(), Failure> {
    let document = fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
    let definition =
        Definition::from_json(&document).map_err(|error| Failure::misuse(format!("{}: {error}", shown(file))))?;
    let (definitions, ledger) =
        (at.definitions(), LedgerId { tenant: at.tenant.clone(), ledger: definition.name.clone() });
    let standing = match definitions.version(&ledger).await? {
        Some(version) => Some(definitions.definition(&ledger, version).await?),
        None => None,
    };
    let put = match move_sources {
        true => definitions.put_moving_sources(&at.tenant, &definition).await,
        false => definitions.put(&at.tenant, &definition).await,
    };
    let watermark = match standing.filter(|standing| standing.sources != definition.sources) {
        Some(standing) => Some(WatermarkMove::of(&ledger, &standing, &definition, at).await?),
        None => None,
    };
    let put = put.map_err(|error| refusal(error, file, watermark.as_ref()))?;
    let (version, changed) = match put {
        PutDefinition::New(version) => (version, true),
        PutDefinition::Unchanged(version) => (version, false),
    };
    let submit =
        text::command(&at.tenant, &format!("batch submit {} --from <time> --to <time> <files>", definition.name));
    output.tell(&InForce { ledger: &definition.name, version, changed, watermark }, |put| {
        let already = if changed { "" } else { ", as before" };
        let moved = put.watermark.as_ref().map(|moved| format!("its sources are others: the watermark {moved}\n"));
        format!(
            "ledger {} is in force, version {version}{already}: {submit}\n{}",
            put.ledger,
            moved.unwrap_or_default()
        )
    })
}

/// Why a definition was not put in force, by its file; and where it would move the watermark, what would.
fn refusal(error: LedgerError, file: &Path, watermark: Option<&WatermarkMove>) -> Failure {
    let confirm = match (&error, watermark) {
        (LedgerError::SourceInUse { .. }, Some(moved)) => {
            format!(". By these sources the watermark {moved}: --move-sources puts them in force all the same")
        }
        _ => String::new(),
    };
    match Failure::from(error) {
        Failure::Misuse(message) => Failure::misuse(format!("{}: {message}{confirm}", shown(file))),
        other => other,
    }
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
    if exception.interval.to() > exception.signed_at {
        let over = text::time(exception.interval.to());
        return Err(Failure::misuse(format!("the interval is over at {over}: what is to come cannot be signed off")));
    }
    let standing = at.backlog().sign(&terms, source, exception).await?;
    let signed = Signed { already: standing.is_some(), exception: standing.as_ref().unwrap_or(exception) };
    output.tell(&signed, |signed| signed.text(source))
}

#[derive(Serialize)]
struct Signed<'a> {
    /// What is signed now.
    #[serde(flatten)]
    exception: &'a Exception,
    /// Whether that was signed before, and what was said this time is not written down.
    already: bool,
}

impl Signed<'_> {
    fn text(&self, source: &str) -> String {
        let Exception { interval, signed_by, reason, signed_at } = self.exception;
        let (from, to) = (text::time(interval.from()), text::time(interval.to()));
        let by = text::visible(signed_by, 100);
        if !self.already {
            return format!("{source} counts as complete from {from} to {to}, signed by {by}\n");
        }
        format!(
            "{source} counts as complete from {from} to {to} already, signed by {by} on {}: {}. That stands, and nothing was \
             added\n",
            text::time(*signed_at),
            text::visible(reason, REASON_CHARS_MAX)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ledger_that_nobody_has_described_is_a_mistake() {
        let tables = std::sync::Arc::new(storage::memory::MemoryTables::default());
        let definitions = Definitions::new(tables, "ledgers", ledger::Rules::built_in());
        let shown = current(&definitions, &LedgerId::new("acme", "orders").unwrap()).await;
        let Err(Failure::Misuse(told)) = shown else { panic!("there is no such ledger") };
        for said in ["there is no ledger orders", "`tieout ledger list`", "`tieout ledger put <definition.json>`"] {
            assert!(told.contains(said), "{said} in: {told}");
        }
    }

    #[test]
    fn what_is_signed_already_is_told_with_its_reason() {
        let exception = Exception {
            interval: serde_json::from_str(r#"{"from": "2024-05-01T00:00:00Z", "to": "2024-05-02T00:00:00Z"}"#)
                .unwrap(),
            signed_by: "ada".to_owned(),
            reason: "the till\u{7} was closed".to_owned(),
            signed_at: "2024-05-03T00:00:00Z".parse().unwrap(),
        };
        let told = |already| Signed { exception: &exception, already }.text("till");
        assert!(told(false).ends_with("signed by ada\n"), "{}", told(false));
        assert!(told(true).contains("already, signed by ada on 3 May 2024"), "{}", told(true));
        assert!(told(true).contains("the till␇ was closed"), "{}", told(true));
        let json = serde_json::to_value(Signed { exception: &exception, already: true }).unwrap();
        assert_eq!((&json["already"], &json["signed_by"]), (&true.into(), &"ada".into()));
    }

    #[test]
    fn a_definition_that_moves_the_watermark_is_told_with_what_confirms_it() {
        let refused = || LedgerError::SourceInUse {
            ledger: LedgerId::new("default", "orders").unwrap(),
            source_name: "shop".to_owned(),
            change: "be none of its sources any more".to_owned(),
        };
        let moved =
            WatermarkMove { before: "2024-05-03T00:00:00Z".parse().ok(), after: "2024-05-01T00:00:00Z".parse().ok() };
        let Failure::Misuse(message) = refusal(refused(), Path::new("l.json"), Some(&moved)) else { panic!("service") };
        assert!(message.starts_with("l.json: source \"shop\" of ledger default/orders has batches"), "{message}");
        assert!(message.contains("goes from 3 May 2024") && message.contains("--move-sources"), "{message}");
        let stays = WatermarkMove { before: moved.before, after: moved.before };
        assert!(stays.to_string().starts_with("stays at 3 May 2024"), "{stays}");
    }
}
