use async_trait::async_trait;
use aws_sdk_sfn::Client;
use storage::{
    StorageError, Workflows,
    workflows::{Answer, Start, check_answer, check_start},
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

    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError> {
        check_answer(token, output)?;
        let sent = self.client.send_task_success().task_token(token).output(output).send().await;
        match sent {
            Ok(_) => Ok(Answer::Taken),
            // `InvalidToken` too: Step Functions says so of tokens whose execution it has forgotten.
            Err(error) if matches!(code(&error), Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken")) => {
                Ok(Answer::Gone)
            }
            // The token stays out of the text: whoever holds it can answer.
            Err(error) => Err(classify("states:SendTaskSuccess", "a waiting task", error)),
        }
    }
}
