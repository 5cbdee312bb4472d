use async_trait::async_trait;
use aws_sdk_sfn::Client;
use storage::{
    StorageError, Workflows,
    workflows::{Start, check_start},
};

use crate::error::{classify, code};

/// Executions of Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
}

impl StepFunctions {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Workflows for StepFunctions {
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError> {
        check_start(machine, name, input)?;
        let started = self.client.start_execution().state_machine_arn(machine).name(name).input(input).send().await;
        match started {
            Ok(_) => Ok(Start::Started),
            Err(error) if code(&error) == Some("ExecutionAlreadyExists") => Ok(Start::Exists),
            Err(error) => Err(classify("states:StartExecution", machine, error)),
        }
    }
}
