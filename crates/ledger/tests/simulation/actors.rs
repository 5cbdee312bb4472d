//! Who acts in the simulation: registrars, executions of both machines, an operator.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use bytes::Bytes;
use error_class::{Classified, ErrorClass};
use ledger::{
    JobNumber,
    backlog::BacklogManager,
    book::NumberedBatch,
    job::Failure,
    manage::Manager,
    messages::{ManageAction, ManageRequest, RunInput, StateFailure},
    policy::Terms,
    register::Registrar,
    stage::{Claim, Stage, TurnAnswer},
    steps::Figures,
    turns::{Attempt, StageResult},
};
use money::ControlTotals;
use serde_json::json;
use storage::{
    Location, Objects,
    memory::{MemoryObjects, MemoryWorkflows},
    objects::PutOptions,
};

use crate::ports::{Pause, SharedChance, with};
use crate::reader::Reader;

/// What every actor has at hand.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) terms: Arc<Terms>,
    pub(crate) manager: Arc<Manager>,
    pub(crate) backlog: BacklogManager,
    pub(crate) registrar: Arc<Registrar>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) workflows: Arc<MemoryWorkflows>,
    pub(crate) book: Reader,
    pub(crate) chance: SharedChance,
    /// Batches whose job fails whenever it is tried.
    pub(crate) poison: Arc<BTreeSet<String>>,
    /// Batches whose events do not add up to their manifest.
    pub(crate) untrue: Arc<BTreeSet<String>>,
}

/// A batch as its sender has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) source: &'static str,
    pub(crate) hours: (i64, i64),
    pub(crate) records: u64,
    pub(crate) correction: bool,
    pub(crate) replaces: Option<String>,
}

impl Scene {
    fn once_in(&self, times: usize) -> bool {
        with(&self.chance, |chance| chance.random.once_in(times))
    }

    async fn work(&self) {
        for _ in 0..with(&self.chance, |chance| chance.random.below(12)) {
            Pause::default().await;
        }
    }

    /// Uploads the batch and registers it, until it has its number: the event is delivered again and again.
    pub(crate) async fn register(self, batch: Sent) {
        let hour = |hour: i64| jiff::Timestamp::from_second(hour * 3600).unwrap();
        let object = json!({ "key": "events.csv", "records": batch.records });
        let objects = if batch.records == 0 { vec![] } else { vec![object] };
        let mut manifest = json!({
            "source": batch.source,
            "interval": { "from": hour(batch.hours.0), "to": hour(batch.hours.1) },
            "objects": objects,
            "totals": { "records": batch.records },
        });
        if batch.correction {
            manifest["correction"] = "late events".into();
        }
        if let Some(replaces) = batch.replaces {
            manifest["replaces"] = replaces.into();
        }
        let folder = format!("default/batches/orders/{}", batch.name);
        let at = |file: &str| Location::new("input", format!("{folder}/{file}"));
        for (file, body) in [("events.csv", "events".to_owned()), ("manifest.json", manifest.to_string())] {
            self.objects.put(&at(file), Bytes::from(body), PutOptions::default()).await.unwrap();
        }
        while let Err(error) = self.registrar.register(&at("manifest.json"), None, &self.terms).await {
            let waits = error.to_string().contains("close it first");
            assert!(waits || error.class() != ErrorClass::InvalidInput, "{}: {error}", batch.name);
            Pause::default().await;
        }
        // If this call is lost, the next tick makes up for it.
        let _ = self.backlog.tick(&self.terms).await;
    }

    /// One execution of a machine; dropped, it has died without a word.
    pub(crate) async fn execute(self, machine: String, input: RunInput) {
        let done = match machine.as_str() {
            "stateless" => self.stateless(&input).await,
            _ => self.stateful(&input).await,
        };
        match done {
            Ok(()) => {}
            Err(failure) if failure.class == ErrorClass::Conflict => {}
            Err(failure) => {
                let failure = StateFailure { error: failure.class.to_string(), cause: failure.message };
                let _ = self.tell(ManageAction::Finished { run: input, failure: Some(failure) }).await;
            }
        }
    }

    async fn tell(&self, action: ManageAction) -> Result<(), Failure> {
        self.again(|| self.manager.handle(ManageRequest::Told(action.clone()))).await.map(drop)
    }

    async fn stateless(&self, input: &RunInput) -> Result<(), Failure> {
        let (turns, who) = (self.backlog.turns(), &input.who());
        self.again(|| turns.begin_stateless(who, &self.terms.policy)).await?;
        self.work().await;
        for batch in self.book.batches(input.batches) {
            if self.poison.contains(&batch.batch) {
                return Err(Failure { class: ErrorClass::Bug, message: format!("{} is poison", batch.batch) });
            }
            if self.untrue.contains(&batch.batch) {
                let reasons = [(batch.number, "it does not add up".to_owned())].into();
                let _ = turns.refuse(who, &reasons).await;
                return Ok(());
            }
        }
        self.perhaps_fail()?;
        let _ = turns.renew(who, &self.terms.policy).await;
        let result = self.result(who, "stateless");
        self.again(|| turns.commit_stateless(who, &result, &self.terms.policy)).await?;
        self.finished(input).await;
        Ok(())
    }

    async fn stateful(&self, input: &RunInput) -> Result<(), Failure> {
        let (turns, who) = (self.backlog.turns(), &input.who());
        for stage in Stage::ALL {
            let (fence, snapshot) = match self.turn(input, stage).await? {
                TurnAnswer::Void => return Ok(()),
                TurnAnswer::Done => continue,
                TurnAnswer::Granted { fence, snapshot, attempt } => {
                    assert_eq!(attempt, who.attempt);
                    (fence, snapshot)
                }
            };
            assert!(snapshot < who.job);
            if let Claim::Done(_) = self.again(|| turns.claim(who, stage, fence, &self.terms.policy)).await? {
                continue;
            }
            self.work().await;
            self.perhaps_fail()?;
            let result = self.result(who, stage.as_str());
            self.again(|| turns.commit(who, stage, fence, &result, &self.terms.policy)).await?;
            self.finished(input).await;
        }
        Ok(())
    }

    /// Asks for a turn and waits for it; sometimes the wait times out, and the machine asks with a new token.
    async fn turn(&self, input: &RunInput, stage: Stage) -> Result<TurnAnswer, Failure> {
        loop {
            let serial = with(&self.chance, |chance| chance.random.next());
            let wait = Wait { token: format!("{}-{stage}-{serial}", input.job), workflows: &self.workflows };
            self.workflows.wait(&wait.token);
            self.tell(ManageAction::Ask { run: input.clone(), stage, token: wait.token.clone() }).await?;
            for _ in 0..with(&self.chance, |chance| 200 + chance.random.below(2000)) {
                if let Some(answer) = self.workflows.answers().iter().find(|answer| answer.token == wait.token) {
                    return Ok(serde_json::from_str(&answer.output).unwrap());
                }
                Pause::default().await;
            }
        }
    }

    async fn finished(&self, input: &RunInput) {
        // If this call is lost, the next tick makes up for it.
        let finished = ManageAction::Finished { run: input.clone(), failure: None };
        let _ = self.manager.handle(ManageRequest::Told(finished)).await;
    }

    fn perhaps_fail(&self) -> Result<(), Failure> {
        let classes = [ErrorClass::Throttled, ErrorClass::Unavailable, ErrorClass::WorkerLost];
        if with(&self.chance, |chance| chance.faults_left) == 0 || !self.once_in(15) {
            return Ok(());
        }
        let class = classes[with(&self.chance, |chance| chance.random.below(classes.len()))];
        Err(Failure { class, message: "the simulation".to_owned() })
    }

    fn result(&self, who: &Attempt, step: &str) -> StageResult {
        let serial = with(&self.chance, |chance| chance.random.next());
        let manifest = format!("jobs/{}/{step}/{serial}", who.job);
        let totals = ControlTotals::default();
        StageResult { manifest, expected: totals.clone(), found: totals, figures: Figures::new() }
    }

    /// A call as Step Functions makes it: what passes is tried again, twice.
    async fn again<T, E, F>(&self, call: impl Fn() -> F) -> Result<T, Failure>
    where
        E: Classified,
        F: Future<Output = Result<T, E>>,
    {
        let mut tries = 3;
        loop {
            tries -= 1;
            let error = match call().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let passes = matches!(error.class(), ErrorClass::Throttled | ErrorClass::Unavailable);
            assert!(error.class() != ErrorClass::Bug, "{error}");
            if tries == 0 || !passes {
                return Err(Failure { class: error.class(), message: error.to_string() });
            }
        }
    }

    /// Skips what is poison and parked, and has the rest tried again. Sends what replaces a batch that is out.
    pub(crate) async fn operate(self, job: JobNumber, batches: Vec<NumberedBatch>) {
        let poisonous = batches.iter().find(|batch| self.poison.contains(&batch.batch));
        let _ = match poisonous {
            Some(batch) => self.backlog.skip(&self.terms, &batch.batch, "poison").await,
            None => self.backlog.redrive(&self.terms, job).await,
        };
    }
}

/// A task that waits; when its execution ends, nobody waits any more.
struct Wait<'a> {
    token: String,
    workflows: &'a MemoryWorkflows,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.workflows.give_up(&self.token);
    }
}
