//! `tieout job`.

pub(crate) mod args;
mod files;
pub(crate) mod inputs;
mod submit;
mod view;

use std::{
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use jobs::{
    JobError, Refused,
    book::{JobRecord, JobStatus},
    layout::{document_key, execution},
    manifest::{End, PublishedOutput},
    submission::Submission,
};
use reconcile::Format;
use serde::Serialize;
use serde_json::value::RawValue;
use storage::{Location, documents};
use tokio::time::sleep;

use crate::{
    download,
    error::Failure,
    installation::Installation,
    job::{
        args::JobCommand,
        files::WithFiles,
        submit::{Document, text_of},
    },
    output::{Output, json, note},
};

pub(crate) async fn perform(command: JobCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        JobCommand::Submit { file, id, wait, timeout } => {
            let job = submit(&file, id, at).await?;
            tell(job, wait.then_some(timeout), at, output).await
        }
        JobCommand::List { limit } => {
            let jobs = at.jobs().recent(&at.tenant, usize::from(limit)).await?;
            output.tell(&jobs, |jobs| view::list(jobs, at.jobs().now()))
        }
        JobCommand::Show { job } => {
            let record = known(&job, at).await?;
            output.tell(&record, |record| view::show(record, at.jobs().now()))
        }
        JobCommand::Output { job, output: name, to } => take(&job, name.as_deref(), to, at, output).await,
        JobCommand::Cancel { job } => cancel(&job, at, output).await,
        JobCommand::Redrive { job, wait, timeout } => {
            let job = redrive(&job, at).await?;
            tell(job, wait.then_some(timeout), at, output).await
        }
    }
}

/// The row of a job that must exist.
async fn known(job: &str, at: &Installation) -> Result<JobRecord, Failure> {
    let found = at.jobs().get(&at.tenant, job).await?;
    found.ok_or_else(|| Failure::misuse(format!("there is no job {job}: `tieout job list` shows the last ones")))
}

async fn submit(path: &Path, id: Option<String>, at: &Installation) -> Result<String, Failure> {
    // As it was written, first: so what is wrong is told with its place in the file, and no key counts twice.
    reconcile::Job::from_json(&text_of(path)?).map_err(|error| refusal(&JobError::from(Refused::from(error))))?;
    let document = Document::read(path)?;
    let id = id.unwrap_or_else(|| document.id(path));
    let submission = Submission { tenant: at.tenant.clone(), job: id.clone(), attempt: 1, document: document.text };
    let job = submission.check().map_err(|refused| refusal(&JobError::from(refused)))?;
    let before = at.jobs().get(&at.tenant, &id).await?;
    // What was handed in before goes by the inputs that there were then.
    if before.is_none() && !document.files.is_empty() {
        let (bucket, objects) = (&at.names.data_bucket, at.objects());
        let files = document.files.iter().map(|file| (file.to(bucket, &at.tenant), file.path.clone())).collect();
        at.inputs(Arc::new(WithFiles { objects, files })).plan(&job).await?;
    }
    for file in &document.files {
        file.upload(&at.objects(), &at.names.data_bucket, &at.tenant).await?;
    }
    at.starter().hand_in(&submission).await.map_err(|error| refusal(&error))?;
    if let Some(before) = before.filter(|before| before.status.is_final()) {
        note(&not_run_again(&before, &at.tenant));
    }
    Ok(id)
}

/// A job's inputs are those that there were when it was planned: whoever hands it in again may mean others.
fn not_run_again(record: &JobRecord, tenant: &str) -> String {
    let JobRecord { job, status, .. } = record;
    let (handed_in, status) = (report::text::time(record.submitted_at), status.as_str());
    let redrive = report::text::command(tenant, &format!("job redrive {job}"));
    let instead = match record.status {
        JobStatus::Published => "for its inputs as they are now, hand it in as another, with --id".to_owned(),
        _ => format!("to begin it anew: {redrive}"),
    };
    format!("job {job} was handed in on {handed_in}, is {status}, and is not run again; {instead}")
}

async fn redrive(job: &str, at: &Installation) -> Result<String, Failure> {
    let record = known(job, at).await?;
    if !matches!(record.status, JobStatus::Failed | JobStatus::Cancelled) {
        let status = record.status.as_str();
        return Err(Failure::misuse(format!("job {job} is {status}: only what failed or was cancelled begins anew")));
    }
    let from = Location::new(&at.names.data_bucket, document_key(&at.tenant, job));
    let document: Option<Box<RawValue>> =
        documents::read(&at.objects(), &from).await.map_err(|error| refusal(&error.into()))?;
    let document = document.ok_or_else(|| Failure::Service(format!("{from} does not exist")))?;
    let submission =
        Submission { tenant: at.tenant.clone(), job: job.to_owned(), attempt: record.attempt + 1, document };
    at.starter().hand_in(&submission).await.map_err(|error| refusal(&error))?;
    await_attempt(job, record.attempt, at).await?;
    Ok(job.to_owned())
}

/// How long a new attempt may take to be noticed.
const NOTICE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The row is the old attempt's until its message is received.
async fn await_attempt(job: &str, old: u32, at: &Installation) -> Result<(), Failure> {
    let begin = Instant::now();
    while known(job, at).await?.attempt == old {
        if begin.elapsed() > NOTICE {
            note("the new attempt is in the queue, and nobody has taken it yet");
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn cancel(job: &str, at: &Installation, output: Output) -> Result<(), Failure> {
    let record = known(job, at).await?;
    let attempt = record.current();
    let again = if record.cancel_asked { "is to be cancelled already" } else { "is to be cancelled" };
    if record.status == JobStatus::Cancelled {
        return output.tell(&record, |record| format!("job {} is cancelled\n", record.job));
    }
    if !at.jobs().ask_cancel(&attempt).await? {
        return Err(Failure::misuse(format!("job {job} is over: {}", record.status.as_str())));
    }
    at.stop_job(&execution(&attempt)).await?;
    let record = known(job, at).await?;
    output.tell(&record, |record| match record.status.is_final() {
        true => format!("job {} is {}\n", record.job, record.status.as_str()),
        false => format!("job {} {again}; it is {}\n", record.job, record.status.as_str()),
    })
}

/// Tells of the job as it is, or follows it to its end.
async fn tell(job: String, timeout: Option<u64>, at: &Installation, output: Output) -> Result<(), Failure> {
    let Some(timeout) = timeout else {
        let record = known(&job, at).await?;
        return output.tell(&record, |record| {
            let show = report::text::command(&at.tenant, &format!("job show {}", record.job));
            format!("job {} is {}: {show}\n", record.job, record.status.as_str())
        });
    };
    let begin = Instant::now();
    let mut last = None;
    loop {
        let record = known(&job, at).await?;
        if record.status.is_final() {
            output.tell(&record, |record| view::show(record, at.jobs().now()))?;
            return if record.status == JobStatus::Published { Ok(()) } else { Err(Failure::Run) };
        }
        if last != Some(record.status) {
            note(&format!("job {job}: {}", record.status.as_str()));
            last = Some(record.status);
        }
        if begin.elapsed() > Duration::from_secs(timeout) {
            return Err(Failure::Interrupted(format!("job {job} is {} and goes on", record.status.as_str())));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn take(
    job: &str,
    name: Option<&str>,
    to: Option<PathBuf>,
    at: &Installation,
    output: Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Taken<'a> {
        job: &'a str,
        #[serde(flatten)]
        output: &'a PublishedOutput,
        bucket: &'a str,
    }
    let record = known(job, at).await?;
    let Some(manifest) = &record.manifest else {
        let why = record.failure.as_ref().map(|why| format!(": {}", why.message)).unwrap_or_default();
        return Err(Failure::Service(format!(
            "job {job} is {} and has published nothing{why}",
            record.status.as_str()
        )));
    };
    let bucket = &at.names.data_bucket;
    let end = documents::read(&at.objects(), &Location::new(bucket, manifest)).await;
    let Some(End::Published(publication)) = end.map_err(|error| refusal(&error.into()))? else {
        return Err(Failure::Service(format!("{manifest} does not say what was published")));
    };
    let found = match (name, publication.outputs.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), all) => all.iter().find(|output| output.name == name),
    };
    let Some(found) = found else {
        let names: Vec<&str> = publication.outputs.iter().map(|output| output.name.as_str()).collect();
        return Err(Failure::misuse(format!("job {job} has the outputs {}: name one", names.join(", "))));
    };
    if output.json {
        return json(&Taken { job, output: found, bucket });
    }
    if to.is_none() {
        is_shown(found, stdout().is_terminal())?;
    }
    match (found.objects.as_slice(), to) {
        ([only], to) => download::fetch(&at.objects(), &Location::new(bucket, &only.key), to).await,
        (several, Some(folder)) => {
            std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
            for object in several {
                let name = object.key.rsplit('/').next().unwrap_or(&object.key);
                download::fetch(&at.objects(), &Location::new(bucket, &object.key), Some(folder.join(name))).await?;
            }
            Ok(())
        }
        (several, None) => {
            let many = several.len();
            Err(Failure::misuse(format!("output {} has {many} objects: --to says the folder for them", found.name)))
        }
    }
}

/// What is no text would only confuse a terminal.
fn is_shown(output: &PublishedOutput, on_terminal: bool) -> Result<(), Failure> {
    if !on_terminal || output.format != Format::Parquet {
        return Ok(());
    }
    let advice = "--to says the file for it, and standard output can be redirected";
    Err(Failure::misuse(format!("output {} is Parquet, and no text for a terminal: {advice}", output.name)))
}

/// What was refused is the caller's to mend; all else is the service's.
fn refusal(error: &JobError) -> Failure {
    match error {
        JobError::Refused(_) => Failure::misuse(error_class::chain(error)),
        _ => Failure::Service(error_class::chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hands_a_job_in_again_is_told_what_that_does() {
        let told = |status: &str| {
            let record = serde_json::json!({
                "tenant": "acme", "job": "close", "attempt": 1, "status": status, "digest": "0",
                "submitted_at": "2026-01-31T08:00:00Z",
            });
            not_run_again(&serde_json::from_value(record).unwrap(), "acme")
        };
        let published = told("published");
        assert!(published.contains("handed in on 31 January 2026") && published.contains("--id"), "{published}");
        assert!(told("failed").contains("job redrive close"), "{}", told("failed"));
    }

    #[test]
    fn parquet_is_not_written_to_a_terminal() {
        let output = |format: Format| {
            let output = serde_json::json!({
                "name": "out", "format": format, "rows": 1, "totals": {}, "amounts": [], "objects": [],
            });
            serde_json::from_value::<PublishedOutput>(output).unwrap()
        };
        let Err(Failure::Misuse(told)) = is_shown(&output(Format::Parquet), true) else { panic!("it is written") };
        assert!(told.contains("output out is Parquet") && told.contains("--to"), "{told}");
        for (format, on_terminal) in [(Format::Parquet, false), (Format::Csv, true), (Format::JsonLines, true)] {
            is_shown(&output(format), on_terminal).unwrap();
        }
    }
}
