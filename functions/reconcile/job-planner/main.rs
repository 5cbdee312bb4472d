//! job-planner: a job → its task, with every input pinned, and the engine that runs it.
//!
//! job-starter → **job-planner** → transform-runner → output-checker → job-publisher → job-closer

use jobs::planner::{Config, JobPlanner};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let planner =
        JobPlanner::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| planner.plan(request)).await
}
