//! job-starter: a job that is handed in → its execution, once a slot is free.
//!
//! API, queue → **job-starter** → machine `reconcile`

use jobs::starter::{Config, JobStarter};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let starter = JobStarter::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::queues().await,
        aws_adapters::workflows().await,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|request| starter.start(request)).await
}
