//! output-checker: the engine's report → proof that its parts tie out with it.
//!
//! job-starter → job-planner → transform-runner → **output-checker** → job-publisher → job-closer

use jobs::checker::{Config, OutputChecker};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let checker =
        OutputChecker::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| checker.handle(request)).await
}
