//! `tieout run` and `tieout watch`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::TryStreamExt;
use indicatif::ProgressBar;
use intake::{
    messages::RunId,
    runs::{RunRecord, RunStatus, StepRecord},
};
use records::{Reject, Violation};
use report::text;
use serde::Serialize;
use storage::{Links, Location, Objects};

use crate::{
    args::{Download, RunCommand, Watch},
    error::Failure,
    follow::{Absent, follow, tell_end},
    installation::Installation,
    output::{Output, byte_bar, json, note},
    progress::Display,
    view::{self, RunView},
};

/// Rejects that are listed with their reasons. The reject file has all.
const REJECTS_LISTED_MAX: usize = 1_000;

pub(crate) async fn perform(command: RunCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    match command {
        RunCommand::List { limit } => {
            let now = at.runs().now();
            let runs = at.runs().recent(&at.tenant, usize::from(limit)).await?;
            let views: Vec<_> = runs.into_iter().map(|run| RunView::of(run, &at.names.data_bucket, now)).collect();
            output.tell(&views, |views| view::list(views))
        }
        RunCommand::Show { run } => show(&run, at, output).await,
        RunCommand::Output(download) => published_file(download, at, output).await,
        RunCommand::Rejects(download) => rejects(download, at, output).await,
        RunCommand::Link { run, minutes } => link(&run, Duration::from_secs(60 * minutes), at, output).await,
    }
}

pub(crate) async fn watch(command: Watch, at: &Installation, output: Output) -> Result<(), Failure> {
    let run = match command.run {
        Some(run) => run,
        None => {
            let latest = at.runs().recent(&at.tenant, 1).await?.pop();
            latest.ok_or_else(|| Failure::misuse("there is no run yet: tieout submit <feed> <file>"))?.run
        }
    };
    let display = if output.json { Display::Objects } else { Display::for_people() };
    let record = follow(at, &run, Absent::GiveUp, Duration::from_secs(command.timeout), &display).await?;
    tell_end(record, at, output)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    run: RunView,
    steps: Vec<StepRecord>,
}

async fn show(run: &RunId, at: &Installation, output: Output) -> Result<(), Failure> {
    let record = at.run(run).await?;
    let mut steps = at.runs().steps(run).await?;
    view::in_order(&mut steps);
    let shown = Shown { run: RunView::of(record, &at.names.data_bucket, at.runs().now()), steps };
    output.tell(&shown, |Shown { run, steps }| format!("{}\n{}", run.text(), view::steps(steps)))
}

async fn published_file(download: Download, at: &Installation, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Published {
        run_id: RunId,
        output: String,
        bytes: u64,
    }
    let record = at.run(&download.run).await?;
    let from = Location::new(&at.names.data_bucket, output_key(&record)?);
    if output.json {
        let bytes = at.objects().head(&from, None).await?.bytes;
        return json(&Published { run_id: record.run, output: from.to_string(), bytes });
    }
    fetch(&at.objects(), &from, download.to).await
}

async fn rejects(download: Download, at: &Installation, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Rejected {
        run_id: RunId,
        records_rejected: u64,
        /// The first of them, as long as the installation keeps them.
        rejects: Vec<Kept>,
    }
    #[derive(Serialize)]
    struct Kept {
        #[serde(flatten)]
        violation: Violation,
        record: String,
    }
    let record = at.run(&download.run).await?;
    output_key(&record)?;
    if output.json {
        let rejects = at.rejects().list(&record.run, REJECTS_LISTED_MAX).await?;
        let rejects = rejects.into_iter().map(|Reject { violation, record }| Kept { violation, record }).collect();
        let records_rejected = record.records_rejected.unwrap_or_default();
        return json(&Rejected { run_id: record.run, records_rejected, rejects });
    }
    match record.rejects {
        Some(key) => fetch(&at.objects(), &Location::new(&at.names.data_bucket, key), download.to).await,
        None => {
            note("no record was rejected");
            Ok(())
        }
    }
}

async fn link(run: &RunId, lifetime: Duration, at: &Installation, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Signed {
        run_id: RunId,
        #[serde(flatten)]
        link: storage::Link,
    }
    let record = at.run(run).await?;
    let to = Location::new(&at.names.data_bucket, output_key(&record)?);
    let link = at.links().sign(&to, lifetime).await?;
    if !output.json {
        note(&format!("works until {}, for whoever has it:", text::time(link.expires_at)));
    }
    output.tell(&Signed { run_id: record.run, link }, |signed| format!("{}\n", signed.link.url))
}

/// The key of what the run published; a run that has published nothing says why.
fn output_key(record: &RunRecord) -> Result<String, Failure> {
    let RunRecord { run, status, .. } = record;
    match (status, &record.output) {
        (_, Some(key)) => Ok(key.clone()),
        (RunStatus::Failed, None) => {
            let reason = record.failure.as_ref().map(|reason| format!(": {}", view::reason(reason)));
            Err(Failure::Service(format!("run {run} failed and published nothing{}", reason.unwrap_or_default())))
        }
        (status, None) => {
            let status = status.as_str();
            Err(Failure::Service(format!("run {run} is {status} and has published nothing yet: tieout watch {run}")))
        }
    }
}

/// Streams an object to standard output, or to a file that appears when it is whole.
async fn fetch(objects: &dyn Objects, from: &Location, to: Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = to else {
        let mut stdout = io::stdout().lock();
        return copy(objects, from, &mut stdout, &ProgressBar::hidden(), |error| Failure::output(&error)).await;
    };
    let partial = partial(&path);
    let bar = byte_bar("download", objects.head(from, None).await?.bytes);
    let fault = |error: io::Error| Failure::file(&path, &error);
    let mut file = File::create(&partial).map_err(fault)?;
    let copied = copy(objects, from, &mut file, &bar, fault).await;
    bar.finish_and_clear();
    let whole = copied.and_then(|()| file.sync_all().and_then(|()| fs::rename(&partial, &path)).map_err(fault));
    if whole.is_err() {
        let _ = fs::remove_file(&partial);
    }
    whole
}

async fn copy(
    objects: &dyn Objects,
    from: &Location,
    to: &mut dyn Write,
    bar: &ProgressBar,
    fault: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut bytes = objects.read(from, None, None).await?;
    while let Some(some) = bytes.try_next().await? {
        to.write_all(&some).map_err(&fault)?;
        bar.inc(some.len() as u64);
    }
    to.flush().map_err(fault)
}

/// Beside the file, so that renaming it stays within one file system.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use storage::{memory::MemoryObjects, objects::PutOptions};

    use super::*;

    #[tokio::test]
    async fn a_download_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let objects = MemoryObjects::default();
        let from = Location::new("data", "out.csv");
        let missing = fetch(&objects, &from, Some(path.clone())).await;
        assert!(matches!(missing, Err(Failure::Service(_))), "{missing:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        objects.put(&from, Bytes::from_static(b"a,b\n1,2\n"), PutOptions::default()).await.unwrap();
        fetch(&objects, &from, Some(path.clone())).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a,b\n1,2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let nowhere = fetch(&objects, &from, Some(folder.path().join("none/out.csv"))).await;
        assert!(matches!(nowhere, Err(Failure::Misuse(_))), "{nowhere:?}");
    }
}
