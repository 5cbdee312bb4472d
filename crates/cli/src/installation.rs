//! The installation that is meant: its names follow from stack, account and region, so nothing has to be configured.

use std::{sync::Arc, time::Duration};

use aws_adapters::{Overrides, Session};
use intake::{
    feed::Feeds,
    messages::RunId,
    reference::References,
    rejects::Rejects,
    runs::{RunRecord, Runs},
};
use jobs::{
    book::Jobs,
    starter::{self, JobStarter},
};
use ledger::{
    Rules,
    artifacts::Artifacts,
    backlog::{self, BacklogManager},
    book::Book,
    definitions::Definitions,
    manifest::LedgerId,
    policy::Terms,
    steps::Steps,
};
use storage::{Links, Objects, Tables, cache::NoCache};

use crate::{args::Target, error::Failure, job::inputs::Inputs};

/// A session with one installation, for one tenant.
pub(crate) struct Installation {
    pub(crate) tenant: String,
    pub(crate) names: Names,
    session: Session,
}

/// The names of what the template deploys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    stack: String,
    pub(crate) input_bucket: String,
    pub(crate) data_bucket: String,
    pub(crate) work_bucket: String,
    /// What the ARNs of the stack's machines begin with.
    machines: String,
    /// What the URLs of the stack's queues begin with.
    queues: String,
}

impl Names {
    /// `endpoint` is that of a local stack.
    fn of(stack: &str, account: &str, region: &str, endpoint: Option<&str>) -> Self {
        let bucket = |what: &str| format!("{stack}-{what}-{account}-{region}");
        let partition = match region.split_once('-') {
            Some(("cn", _)) => "aws-cn",
            Some(("us", rest)) if rest.starts_with("gov-") => "aws-us-gov",
            _ => "aws",
        };
        Self {
            stack: stack.to_owned(),
            input_bucket: bucket("input"),
            data_bucket: bucket("data"),
            work_bucket: bucket("work"),
            queues: match endpoint {
                Some(endpoint) => format!("{}/{account}/{stack}", endpoint.trim_end_matches('/')),
                None if partition == "aws-cn" => format!("https://sqs.{region}.amazonaws.com.cn/{account}/{stack}"),
                None => format!("https://sqs.{region}.amazonaws.com/{account}/{stack}"),
            },
            machines: format!("arn:{partition}:states:{region}:{account}:stateMachine:{stack}"),
        }
    }

    fn machine(&self, what: &str) -> String {
        format!("{}-{what}", self.machines)
    }

    fn queue(&self, what: &str) -> String {
        format!("{}-{what}", self.queues)
    }

    fn table(&self, what: &str) -> String {
        format!("{}-{what}", self.stack)
    }
}

impl Installation {
    pub(crate) async fn connect(target: Target) -> Result<Self, Failure> {
        let Target { stack, tenant, profile, region, endpoint_url } = target;
        let overrides = Overrides { profile, region, endpoint: endpoint_url, key: None };
        let session = Session::connect(overrides).await.map_err(Failure::misuse)?;
        let endpoint = session.sdk_config().endpoint_url();
        let names = Names::of(&stack, session.account_id().await?, session.region(), endpoint);
        Ok(Self { tenant, names, session })
    }

    pub(crate) fn objects(&self) -> impl Objects + use<> {
        self.session.objects()
    }

    /// Signs with the caller's own credentials.
    pub(crate) fn links(&self) -> impl Links + use<> {
        self.session.links(None)
    }

    pub(crate) fn feeds(&self) -> Feeds {
        Feeds::new(self.tables(), self.names.table("feeds"))
    }

    pub(crate) fn references(&self) -> References {
        References::new(self.tables(), self.names.table("reference"), Arc::new(NoCache))
    }

    pub(crate) fn runs(&self) -> Runs {
        Runs::new(self.tables(), self.names.table("runs"), aws_adapters::clock())
    }

    pub(crate) fn rejects(&self) -> Rejects {
        Rejects::new(self.tables(), self.names.table("rejects"))
    }

    pub(crate) fn definitions(&self) -> Definitions {
        Definitions::new(self.tables(), &self.names.table("ledgers"), Rules::built_in())
    }

    pub(crate) fn book(&self) -> Book {
        Book::new(self.tables(), self.names.table("ledgers"))
    }

    pub(crate) fn steps(&self) -> Steps {
        Steps::new(self.book())
    }

    pub(crate) fn artifacts(&self) -> Artifacts {
        let objects = Arc::new(self.session.objects());
        let (table, bucket) = (self.names.table("artifacts"), &self.names.data_bucket);
        Artifacts::new(objects, self.tables(), Arc::new(NoCache), &table, bucket)
    }

    /// The backlog manager, with the caller's own credentials.
    pub(crate) fn backlog(&self) -> BacklogManager {
        let config = backlog::Config {
            stateless_machine: self.names.machine("stateless"),
            stateful_machine: self.names.machine("stateful"),
            ledgers_table: self.names.table("ledgers"),
        };
        BacklogManager::new(self.tables(), Arc::new(self.session.workflows()), aws_adapters::clock(), config)
    }

    /// Where a job finds its inputs, its objects being those of `objects`.
    pub(crate) fn inputs(&self, objects: Arc<dyn Objects>) -> Inputs {
        Inputs {
            objects,
            tables: self.tables(),
            feeds_table: self.names.table("feeds"),
            ledgers_table: self.names.table("ledgers"),
            bucket: self.names.data_bucket.clone(),
            tenant: self.tenant.clone(),
        }
    }

    pub(crate) fn jobs(&self) -> Jobs {
        Jobs::new(self.tables(), self.names.table("jobs"), aws_adapters::clock())
    }

    /// Takes jobs in, with the caller's own credentials; the function of that name starts them.
    pub(crate) fn starter(&self) -> JobStarter {
        let config = starter::Config {
            queue: self.names.queue("jobs"),
            dead_letters: self.names.queue("jobs-dead-letters"),
            jobs_table: self.names.table("jobs"),
            data_bucket: self.names.data_bucket.clone(),
            machine: self.names.machine("reconcile"),
            // Whoever hands in takes no slot.
            slots: 0,
            execution: Duration::ZERO,
        };
        let (objects, queues) = (Arc::new(self.session.objects()), Arc::new(self.session.queues()));
        let workflows = Arc::new(self.session.workflows());
        JobStarter::new(objects, self.tables(), queues, workflows, aws_adapters::clock(), config)
    }

    /// Stops the execution of a job, if there is one.
    pub(crate) async fn stop_job(&self, execution: &str) -> Result<(), Failure> {
        let machine = self.names.machine("reconcile");
        Ok(self.session.workflows().stop(&machine, execution, "cancelled by tieout job cancel").await?)
    }

    /// What coordination of a ledger that must exist goes by.
    pub(crate) async fn terms(&self, ledger: &str) -> Result<Terms, Failure> {
        let ledger = LedgerId { tenant: self.tenant.clone(), ledger: ledger.to_owned() };
        Ok(self.definitions().terms(&ledger).await?)
    }

    /// The row of a run that must exist.
    pub(crate) async fn run(&self, run: &RunId) -> Result<RunRecord, Failure> {
        self.check_tenant(run)?;
        let found = self.runs().get(run).await?;
        found.ok_or_else(|| Failure::misuse(format!("there is no run {run}: `tieout run list` shows the last ones")))
    }

    /// Refuses a run of another tenant than the one that is meant.
    pub(crate) fn check_tenant(&self, run: &RunId) -> Result<(), Failure> {
        let (theirs, ours) = (run.tenant(), &self.tenant);
        if theirs == ours {
            return Ok(());
        }
        Err(Failure::misuse(format!("run {run} is of tenant {theirs}, not {ours}: --tenant {theirs}")))
    }

    fn tables(&self) -> Arc<dyn Tables> {
        Arc::new(self.session.tables())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_template_s() {
        let names = Names::of("tieout", "000000000000", "eu-central-1", None);
        assert_eq!(names.input_bucket, "tieout-input-000000000000-eu-central-1");
        assert_eq!(names.data_bucket, "tieout-data-000000000000-eu-central-1");
        assert_eq!(names.work_bucket, "tieout-work-000000000000-eu-central-1");
        assert_eq!(names.table("runs"), "tieout-runs");
        assert_eq!(names.queue("jobs"), "https://sqs.eu-central-1.amazonaws.com/000000000000/tieout-jobs");
        let local = Names::of("tieout", "000000000000", "us-east-1", Some("http://127.0.0.1:4566/"));
        assert_eq!(local.queue("jobs"), "http://127.0.0.1:4566/000000000000/tieout-jobs");
        let machine = |region| Names::of("tieout", "000000000000", region, None).machine("stateless");
        for (region, partition) in [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
        {
            let arn = format!("arn:{partition}:states:{region}:000000000000:stateMachine:tieout-stateless");
            assert_eq!(machine(region), arn);
        }
    }
}
