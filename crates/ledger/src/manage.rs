//! backlog-manager: a task asks, a step ended, a minute passed → ledgers move on.

use std::sync::Arc;

use error_class::{Classified, ErrorClass, chain};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use storage::{Clock, Tables, Workflows};
use tracing::{info, warn};

pub use crate::backlog::Config;
use crate::{
    LedgerError, Rules,
    backlog::BacklogManager,
    definitions::Definitions,
    job::{Failure, JobStatus},
    manifest::LedgerId,
    messages::{EndedExecution, ExecutionEnded, ManageAction, ManageRequest, Managed, RunInput, StateFailure},
    operate::cut,
    policy::Terms,
    stage::{Stage, TurnAnswer},
};

/// Ledgers that a tick looks at side by side.
const LEDGERS_AT_ONCE: usize = 8;

/// Moves ledgers on whenever something happens to them, and every minute.
///
/// Running it again, late or twice at once is harmless: see [`BacklogManager`]. What was asked or reported is written
/// down first. If looking at the ledger fails after that, the caller is not made to ask or report again: the next minute
/// looks.
pub struct Manager {
    manager: BacklogManager,
    workflows: Arc<dyn Workflows>,
    definitions: Definitions,
}

impl Manager {
    /// A manager that keeps its book in `tables` and starts and answers through `workflows`.
    pub fn new(tables: Arc<dyn Tables>, workflows: Arc<dyn Workflows>, clock: Arc<dyn Clock>, config: Config) -> Self {
        Self {
            definitions: Definitions::new(tables.clone(), &config.ledgers_table, Rules::built_in()),
            manager: BacklogManager::new(tables, workflows.clone(), clock, config),
            workflows,
        }
    }

    /// Handles one request.
    pub async fn handle(&self, request: ManageRequest) -> Result<Managed, LedgerError> {
        match request {
            ManageRequest::Told(ManageAction::Tick {}) => return self.tick().await,
            ManageRequest::Told(ManageAction::Ask { run, stage, token }) => self.ask(&run, stage, &token).await?,
            ManageRequest::Told(ManageAction::Finished { run, failure }) => {
                self.finished(&run, failure.as_ref().map(failure_of)).await?;
            }
            ManageRequest::Ended(ExecutionEnded { detail }) => {
                let source = |source| LedgerError::Event { what: "the input of an execution", source };
                let run = serde_json::from_str(&detail.input).map_err(source)?;
                self.finished(&run, end_of(&detail)).await?;
            }
        }
        Ok(Managed::default())
    }

    /// Answers at once where there is nothing to wait for. An attempt that is not the current one any more, and one of
    /// a job that is parked, will never get a turn: it is told to end.
    async fn ask(&self, run: &RunInput, stage: Stage, token: &str) -> Result<(), LedgerError> {
        let terms = self.definitions.terms(&run.ledger).await?;
        let answer = match self.manager.turns().ask(&run.who(), stage, token, &terms.policy).await {
            Err(refusal) if refusal.class() == ErrorClass::Conflict => {
                info!(ledger = %run.ledger, job = %run.job, reason = %refusal, "task told to end");
                Some(TurnAnswer::Void)
            }
            answer => answer?,
        };
        if let Some(answer) = answer {
            // If this is lost, the state asks again. If nobody waits any more, all is well too.
            self.workflows.answer(token, &json!(answer).to_string()).await?;
        }
        self.move_on(&terms).await;
        Ok(())
    }

    async fn finished(&self, run: &RunInput, failure: Option<Failure>) -> Result<(), LedgerError> {
        let terms = self.definitions.terms(&run.ledger).await?;
        if let Some(failure) = failure {
            self.manager.fail(&run.who(), &failure, &terms).await?;
        }
        self.move_on(&terms).await;
        Ok(())
    }

    async fn move_on(&self, terms: &Terms) {
        if let Err(error) = self.manager.move_on(terms, &self.definitions).await {
            warn!(ledger = %terms.ledger, error = chain(&error), "ledger not moved on");
        }
    }

    /// Looks at every ledger of every tenant. One that fails does not keep the others waiting, and hides the figures of
    /// none; an alarm on how many have failed is raised.
    async fn tick(&self) -> Result<Managed, LedgerError> {
        let ledgers = self.definitions.list(None).await?;
        let count = ledgers.len();
        // Owned, so that this can be sent between threads.
        let mut looks = stream::iter(ledgers)
            .map(|ledger| async move { (self.look(&ledger).await, self.count(&ledger).await, ledger) })
            .buffer_unordered(LEDGERS_AT_ONCE);
        let (mut parked, mut live, mut failed) = (0, 0, 0);
        while let Some((looked, counted, ledger)) = looks.next().await {
            let jobs = counted.as_ref().copied().unwrap_or_default();
            (parked, live) = (parked + jobs.0, live + jobs.1);
            if let Err(error) = looked.and(counted.map(drop)) {
                failed += 1;
                warn!(%ledger, error = chain(&error), "ledger not moved on");
            }
        }
        drop(looks);
        info!(ledgers = count, jobs_parked = parked, jobs_live = live, ledgers_failed = failed, "ledgers looked at");
        Ok(Managed { jobs_parked: Some(parked), jobs_live: Some(live), ledgers_failed: Some(failed) })
    }

    async fn look(&self, ledger: &LedgerId) -> Result<(), LedgerError> {
        let terms = self.definitions.terms(ledger).await?;
        self.manager.move_on(&terms, &self.definitions).await
    }

    /// How many of a ledger's jobs are parked, and live.
    async fn count(&self, ledger: &LedgerId) -> Result<(u64, u64), LedgerError> {
        let jobs = self.manager.book().view(ledger).await?.jobs;
        let parked = jobs.iter().filter(|job| matches!(job.status, JobStatus::Parked(_))).count();
        let live = jobs.iter().filter(|job| job.is_live()).count();
        Ok((parked as u64, live as u64))
    }
}

/// The failure as Step Functions tells it.
fn failure_of(told: &StateFailure) -> Failure {
    /// What a Lambda's error looks like in a `Cause`.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cause {
        error_message: String,
    }
    let StateFailure { error, cause } = told;
    let class = class_of(error);
    let message = serde_json::from_str::<Cause>(cause).map_or_else(|_| cause.clone(), |cause| cause.error_message);
    let message = match (message.trim(), error == class.as_str()) {
        ("", _) => error.clone(),
        (said, true) => said.to_owned(),
        (said, false) => format!("{error}: {said}"),
    };
    Failure { class, message: cut(&message) }
}

/// The failure of an execution that has ended without reporting one itself, or besides.
fn end_of(ended: &EndedExecution) -> Option<Failure> {
    let EndedExecution { status, error, cause, .. } = ended;
    let cause = cause.clone().unwrap_or_default();
    match (status.as_str(), error) {
        ("FAILED", Some(error)) => Some(failure_of(&StateFailure { error: error.clone(), cause })),
        ("FAILED", None) => Some(failure_of(&StateFailure { error: "States.Runtime".to_owned(), cause })),
        ("TIMED_OUT" | "ABORTED", _) => {
            let message = cut(format!("the execution ended as {status}. {cause}").trim());
            Some(Failure { class: ErrorClass::WorkerLost, message })
        }
        _ => None,
    }
}

fn class_of(error: &str) -> ErrorClass {
    if let Some(class) = ErrorClass::ALL.into_iter().find(|class| class.as_str() == error) {
        return class;
    }
    match error {
        "States.Timeout" | "States.HeartbeatTimeout" | "Sandbox.Timedout" | "Lambda.Unknown" => ErrorClass::WorkerLost,
        "Lambda.TooManyRequestsException" => ErrorClass::Throttled,
        // Of a map, some child failed and has said why itself; or its items could not be read just then.
        "States.ExceedToleratedFailureThreshold" | "States.ItemReaderFailed" => ErrorClass::Unavailable,
        lost if lost.starts_with("Runtime.") => ErrorClass::WorkerLost,
        service if service.starts_with("Lambda.") => ErrorClass::Unavailable,
        _ => ErrorClass::Bug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &str, cause: &str) -> Failure {
        failure_of(&StateFailure { error: error.to_owned(), cause: cause.to_owned() })
    }

    #[test]
    fn errors_of_step_functions_have_a_class() {
        for (error, class) in [
            ("Throttled", ErrorClass::Throttled),
            ("Conflict", ErrorClass::Conflict),
            ("ControlTotalMismatch", ErrorClass::ControlTotalMismatch),
            ("States.Timeout", ErrorClass::WorkerLost),
            ("Sandbox.Timedout", ErrorClass::WorkerLost),
            ("Runtime.ExitError", ErrorClass::WorkerLost),
            ("Lambda.Unknown", ErrorClass::WorkerLost),
            ("Lambda.ServiceException", ErrorClass::Unavailable),
            ("Lambda.TooManyRequestsException", ErrorClass::Throttled),
            ("States.ItemReaderFailed", ErrorClass::Unavailable),
            ("States.ExceedToleratedFailureThreshold", ErrorClass::Unavailable),
            ("States.DataLimitExceeded", ErrorClass::Bug),
            ("throttled", ErrorClass::Bug),
        ] {
            assert_eq!(told(error, "x").class, class, "{error}");
        }
    }

    #[test]
    fn the_message_is_the_lambda_s_own() {
        let cause = r#"{"errorType": "Bug", "errorMessage": "job 3 of ledger acme/orders", "trace": []}"#;
        assert_eq!(told("Bug", cause).message, "job 3 of ledger acme/orders");
        assert_eq!(told("States.Timeout", "").message, "States.Timeout");
        let foreign = told("States.Runtime", "no field 'x'");
        assert_eq!(foreign.message, "States.Runtime: no field 'x'");
        assert!(told("Bug", &"é".repeat(100_000)).message.chars().count() <= 1_000);
    }

    #[test]
    fn an_execution_that_ended_in_silence_is_lost() {
        let ended = |status: &str, error: Option<&str>| {
            end_of(&EndedExecution {
                status: status.to_owned(),
                input: String::new(),
                error: error.map(str::to_owned),
                cause: Some("by hand".to_owned()),
            })
        };
        let aborted = ended("ABORTED", None).unwrap();
        assert_eq!(
            (aborted.class, &*aborted.message),
            (ErrorClass::WorkerLost, "the execution ended as ABORTED. by hand")
        );
        assert_eq!(ended("TIMED_OUT", Some("States.Timeout")).unwrap().class, ErrorClass::WorkerLost);
        assert_eq!(ended("FAILED", Some("Throttled")).unwrap().class, ErrorClass::Throttled);
        assert_eq!(ended("FAILED", None).unwrap().class, ErrorClass::Bug);
        assert_eq!(ended("SUCCEEDED", None), None);
    }
}
