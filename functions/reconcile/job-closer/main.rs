//! job-closer: how an attempt ended → its row, its mail, its slot, and a dead letter if it failed.
//!
//! job-starter → job-planner → transform-runner → output-checker → job-publisher → **job-closer**

use jobs::closer::{Config, JobCloser};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let closer = JobCloser::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::queues().await,
        aws_adapters::mailer().await,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|notice| closer.close(notice)).await
}
