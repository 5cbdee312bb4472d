//! job-publisher: parts that tie out → outputs, published whole.
//!
//! job-starter → job-planner → transform-runner → output-checker → **job-publisher** → job-closer

use jobs::publisher::{Config, JobPublisher};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let publisher =
        JobPublisher::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| publisher.publish(request)).await
}
