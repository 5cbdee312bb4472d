//! `tieout run` and `tieout watch`.

use std::time::Duration;

use intake::{
    messages::RunId,
    runs::{RunRecord, RunStatus, StepRecord},
};
use report::text;
use serde::Serialize;
use storage::{Links, Location, Objects};

use crate::{
    args::{Download, RunCommand, Watch},
    download,
    error::Failure,
    follow::{Absent, follow, tell_end},
    installation::Installation,
    output::{Output, json, note},
    progress::Display,
    rejects,
    view::{self, RunView, command},
};

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
        RunCommand::Rejects(download) => rejects::perform(download, at, output).await,
        RunCommand::Report(download) => report_file(download, at, output).await,
        RunCommand::Link { run, minutes } => link(&run, Duration::from_secs(60 * minutes), at, output).await,
    }
}

pub(crate) async fn watch(command: Watch, at: &Installation, output: Output) -> Result<(), Failure> {
    let run = match command.run {
        Some(run) => {
            at.check_tenant(&run)?;
            run
        }
        None => {
            let latest = at.runs().recent(&at.tenant, 1).await?.pop();
            latest.ok_or_else(|| Failure::misuse("there is no run yet: tieout submit <feed> <file>"))?.run
        }
    };
    let display = if output.json { Display::Objects } else { Display::for_people() };
    let record = follow(at, &run, Absent::GiveUp, Duration::from_secs(command.timeout), &display).await?;
    tell_end(record, at, output).await
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
    let by_rule = rejects::by_rule(&record, at).await;
    let run = RunView::of(record, &at.names.data_bucket, at.runs().now()).with_rejected(by_rule);
    let shown = Shown { run, steps };
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
    download::fetch(&at.objects(), &from, download.to).await
}

async fn report_file(download: Download, at: &Installation, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Reported {
        run_id: RunId,
        report: String,
        bytes: u64,
    }
    let record = at.run(&download.run).await?;
    output_key(&record)?;
    let key = record.report.ok_or_else(|| Failure::Service(format!("run {} has no report", record.run)))?;
    let from = Location::new(&at.names.data_bucket, key);
    if output.json {
        let bytes = at.objects().head(&from, None).await?.bytes;
        return json(&Reported { run_id: record.run, report: from.to_string(), bytes });
    }
    download::fetch(&at.objects(), &from, download.to).await
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
pub(crate) fn output_key(record: &RunRecord) -> Result<String, Failure> {
    let RunRecord { run, status, .. } = record;
    match (status, &record.output) {
        (_, Some(key)) => Ok(key.clone()),
        (RunStatus::Failed, None) => {
            let reason = record.failure.as_ref().map(|reason| format!(": {}", view::reason(reason)));
            Err(Failure::Service(format!("run {run} failed and published nothing{}", reason.unwrap_or_default())))
        }
        (status, None) => {
            let status = status.as_str();
            let watch = command("watch", run);
            Err(Failure::Service(format!("run {run} is {status} and has published nothing yet: {watch}")))
        }
    }
}
