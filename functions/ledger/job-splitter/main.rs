//! job-splitter: the batches of a job → record-aligned ranges of events.
//!
//! **job-splitter** → reducer (Map) → combiner (Map), stage-coordinator behind each Map

use ledger::split::{Config, JobSplitter};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let splitter =
        JobSplitter::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| splitter.split(request)).await
}
