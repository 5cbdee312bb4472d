//! Executions are started, and tasks told of their turns.

use serde_json::json;
use sha2::{Digest, Sha256};
use storage::workflows::Answer;

use super::{BacklogManager, Ticked};
use crate::{
    book::View,
    job::{Job, Run},
    manifest::LedgerId,
    messages::RunInput,
    stage::Half,
    turns::TurnError,
};

impl BacklogManager {
    /// Starts what is to be started, and tells who waits. One that cannot be reached does not keep the others waiting.
    /// Whether the book was changed.
    pub(super) async fn tell(&self, ledger: &LedgerId, view: &View, ticked: &mut Ticked) -> Result<bool, TurnError> {
        let (mut changed, mut failure) = (false, None);
        for job in &view.jobs {
            if job.is_live() && job.run == Run::Starting {
                ticked.starts += 1;
                if let Err(error) = self.start(ledger, job).await {
                    failure = Some(error);
                }
            }
            for (token, answer) in job.answers() {
                match self.workflows.answer(token, &json!(answer).to_string()).await {
                    // It goes on, and will claim. Should it die before that, it is told again, and gone.
                    Ok(Answer::Taken) if !job.is_void() => ticked.answers += 1,
                    Ok(_) => changed |= self.forget(ledger, job, token).await?,
                    Err(error) => failure = Some(error.into()),
                }
            }
        }
        failure.map_or(Ok(changed), Err)
    }

    /// Whether this changed the book; if somebody else did meanwhile, the next call looks again.
    async fn forget(&self, ledger: &LedgerId, job: &Job, token: &str) -> Result<bool, TurnError> {
        let mut job = job.clone();
        job.drop_token(token);
        Ok(self.book().write(vec![self.turns.replace_job(ledger, &job)?]).await?)
    }

    async fn start(&self, ledger: &LedgerId, job: &Job) -> Result<(), TurnError> {
        let machine = match job.half() {
            Half::Stateless => &self.config.stateless_machine,
            Half::Stateful => &self.config.stateful_machine,
        };
        let input = json!(RunInput {
            ledger: ledger.clone(),
            job: job.number(),
            batches: job.batches,
            attempt: job.attempt,
            definition: job.definition,
            partition_bits: job.partition_bits,
        });
        self.workflows.start(machine, &execution_name(ledger, job), &input.to_string()).await?;
        Ok(())
    }
}

/// The name of the execution of the job's current attempt, which no other ever has: `<tenant>-<job>-<attempt>-<digits>`,
/// where the digits are of a SHA-256 of the ledger's name, which would make it too long.
pub fn execution_name(ledger: &LedgerId, job: &Job) -> String {
    let digest = Sha256::digest(ledger.ledger.as_bytes());
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{digits}", ledger.tenant, job.number().padded(), job.attempt)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{BatchSequence, JobBatches, policy::Policy};

    #[test]
    fn names_of_executions_fit_and_differ() {
        let ledger = LedgerId { tenant: "t".repeat(32), ledger: "l".repeat(64) };
        let batches = JobBatches::one(BatchSequence::new(999_999_999_999));
        let mut job = Job::new(batches, Timestamp::UNIX_EPOCH, &Policy::default());
        job.attempt = u32::MAX;
        let name = execution_name(&ledger, &job);
        storage::workflows::check_start("machine", &name, "{}").unwrap();
        let other = LedgerId { ledger: "m".repeat(64), ..ledger };
        assert_ne!(execution_name(&other, &job), name);
    }
}
