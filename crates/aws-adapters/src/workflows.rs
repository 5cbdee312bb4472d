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

impl StepFunctions {
    /// Stops the execution of that name of the machine (by ARN), for a reason. One that has ended, or never began, is no
    /// error.
    pub async fn stop(&self, machine: &str, name: &str, reason: &str) -> Result<(), StorageError> {
        let execution = format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1));
        let stopped = self.client.stop_execution().execution_arn(&execution).cause(reason).send().await;
        match stopped {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("ExecutionDoesNotExist") => Ok(()),
            Err(error) => Err(classify("states:StopExecution", execution, error)),
        }
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
