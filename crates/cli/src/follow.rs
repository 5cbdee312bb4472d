//! Following a run to its end.

use std::{future::pending, thread, time::Duration};

use error_class::{Classified, ErrorClass, chain};
use intake::{
    messages::{MailStatus, RunId},
    runs::{RunRecord, RunStatus, Runs},
};
use signal_hook::{consts::SIGINT, iterator::Signals};
use storage::StorageError;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{
    error::Failure,
    installation::Installation,
    output::Output,
    progress::{Display, Progress},
    rejects,
    view::{RunView, command},
};

/// How long the run's row may take to appear before a person is told why that could be.
const ROW_EXPECTED: Duration = Duration::from_secs(15);
/// Looks in a row that may fail before we give up. Each was tried several times by itself.
const FAILED_LOOKS_MAX: u32 = 5;
/// How long an ended run's mail is waited for: it is sent when everything else is done, and may never be.
const MAIL_EXPECTED: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(150);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What to do about a run without a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Its file has just been uploaded: wait for it.
    Wait,
    /// It may have been uploaded a moment ago: wait a little.
    GiveUp,
}

/// Follows the run until it has ended and the fate of its mail is known, for at most `patience`, and until the
/// caller interrupts.
pub(crate) async fn follow(
    at: &Installation,
    run: &RunId,
    absent: Absent,
    patience: Duration,
    display: &Display,
) -> Result<RunRecord, Failure> {
    let runs = at.runs();
    let ended = tokio::select! {
        // The interrupt first: from the first look on, one is heard.
        biased;
        () = interrupt() => Err(Failure::Interrupted(format!("the run goes on: {}", command("watch", run)))),
        ended = until_ended(&runs, run, absent, patience, display) => ended,
    };
    display.end();
    ended
}

/// Ends when the process is interrupted, which from now on does not end it.
pub(crate) async fn interrupt() {
    let Ok(mut signals) = Signals::new([SIGINT]) else { return pending().await };
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = tell.send(());
        }
    });
    if told.await.is_err() {
        pending::<()>().await;
    }
}

async fn until_ended(
    runs: &Runs,
    run: &RunId,
    absent: Absent,
    patience: Duration,
    display: &Display,
) -> Result<RunRecord, Failure> {
    let begun = Instant::now();
    let mut seen = Progress::default();
    let mut hinted = false;
    let mut failed_looks = 0;
    let mut ended_since = None;
    while begun.elapsed() < patience {
        match look(runs, run).await {
            Ok(now) => {
                failed_looks = 0;
                display.show(&seen, &now)?;
                seen = now;
            }
            Err(error) if passes(&error) && failed_looks < FAILED_LOOKS_MAX => {
                failed_looks += 1;
                display.note(&chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        if seen.record.as_ref().is_some_and(|record| record.status.is_final()) {
            let waited = ended_since.get_or_insert_with(Instant::now).elapsed();
            if let Some(record) = seen.record.take_if(|record| is_told(record) || waited >= MAIL_EXPECTED) {
                return Ok(record);
            }
        }
        if seen.record.is_none() && !hinted && begun.elapsed() > ROW_EXPECTED {
            if absent == Absent::GiveUp {
                return Err(Failure::misuse(format!("there is no run {run}: `tieout run list` shows the last ones")));
            }
            display.note("the upload's event has not arrived yet; if it was lost, the next sweep takes the file");
            hinted = true;
        }
        sleep(pause(seen.chunk_count())).await;
    }
    if let Some(record) = seen.record.filter(|record| record.status.is_final()) {
        return Ok(record);
    }
    let seconds = patience.as_secs();
    Err(Failure::Service(format!("run {run} has not ended within {seconds} s. It goes on: {}", command("watch", run))))
}

/// Whether it is known what became of the run's mail.
fn is_told(record: &RunRecord) -> bool {
    matches!(record.mail, Some(MailStatus::Sent { .. } | MailStatus::NotWanted | MailStatus::Failed { .. }))
}

async fn look(runs: &Runs, run: &RunId) -> Result<Progress, StorageError> {
    // In this order: a run that is seen to have ended is seen with all of its steps.
    let record = runs.get(run).await?;
    let steps = if record.is_some() { runs.steps(run).await? } else { Vec::new() };
    Ok(Progress { record, steps })
}

pub(crate) fn passes(error: &impl Classified) -> bool {
    matches!(error.class(), ErrorClass::Throttled | ErrorClass::Unavailable)
}

/// Every look reads all rows: the more there are, the less often.
fn pause(chunks: u64) -> Duration {
    (PAUSE_MIN + Duration::from_millis(chunks)).min(PAUSE_MAX)
}

/// Tells the figures of a run that has ended; one that failed is a failure of the command.
pub(crate) async fn tell_end(record: RunRecord, at: &Installation, output: Output) -> Result<(), Failure> {
    let failed = record.status == RunStatus::Failed;
    let by_rule = rejects::by_rule(&record, at).await;
    let view = RunView::of(record, &at.names.data_bucket, at.runs().now()).with_rejected(by_rule);
    output.tell(&view, |view| view.text() + &view.what_next())?;
    if failed { Err(Failure::Run) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use intake::messages::{Input, RunRequest};
    use serde_json::json;
    use storage::memory::{ManualClock, MemoryTables};

    use super::*;

    const SHORT: Duration = Duration::from_millis(400);

    fn runs() -> Runs {
        Runs::new(Arc::new(MemoryTables::default()), "runs", Arc::new(ManualClock::default()))
    }

    fn request() -> RunRequest {
        let input = Input { bucket: "in".into(), key: "default/intake/orders/o.csv".into(), version: None };
        RunRequest { run: RunId::of("default", "in", "k", "v", 1), feed: "orders".into(), input }
    }

    #[tokio::test]
    async fn a_run_is_followed_from_before_its_row_to_its_end() {
        let (runs, request) = (runs(), request());
        let work = async {
            sleep(PAUSE_MIN).await;
            runs.register(&request).await.unwrap();
            sleep(PAUSE_MIN).await;
            runs.set_unless_final(&request.run, json!({"status": "failed"})).await.unwrap();
            sleep(PAUSE_MIN * 2).await;
            runs.set_always(&request.run, json!({"mail": MailStatus::NotWanted})).await.unwrap();
        };
        let patience = Duration::from_secs(60);
        let (ended, ()) = tokio::join!(until_ended(&runs, &request.run, Absent::Wait, patience, &Display::Lines), work);
        let ended = ended.unwrap();
        assert_eq!((ended.status, ended.mail), (RunStatus::Failed, Some(MailStatus::NotWanted)));
    }

    #[tokio::test]
    async fn a_mail_that_never_comes_does_not_keep_an_ended_run() {
        let (runs, request) = (runs(), request());
        runs.register(&request).await.unwrap();
        runs.set_unless_final(&request.run, json!({"status": "published"})).await.unwrap();
        let ended = until_ended(&runs, &request.run, Absent::Wait, SHORT, &Display::Lines).await.unwrap();
        assert_eq!((ended.status, ended.mail), (RunStatus::Published, None));
    }

    #[tokio::test]
    async fn patience_ends_and_the_run_goes_on() {
        let (runs, request) = (runs(), request());
        runs.register(&request).await.unwrap();
        let ended = until_ended(&runs, &request.run, Absent::Wait, SHORT, &Display::Lines).await;
        let Err(Failure::Service(message)) = ended else { panic!("{ended:?}") };
        assert!(message.contains(&format!("tieout watch {}", request.run)), "{message}");
    }

    #[test]
    fn looks_are_rarer_the_more_there_is_to_read() {
        assert_eq!(pause(0), PAUSE_MIN);
        assert!(pause(100) < pause(1_000));
        assert_eq!(pause(1_000_000), PAUSE_MAX);
    }
}
