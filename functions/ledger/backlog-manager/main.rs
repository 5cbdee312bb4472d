//! backlog-manager: a batch, a question, an end, or a minute passed → jobs are started, given their turns, tried again or parked.
//!
//! EventBridge, machines `stateless` and `stateful` → **backlog-manager**

use ledger::manage::{Config, Manager};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let manager =
        Manager::new(aws_adapters::tables().await, aws_adapters::workflows().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| manager.handle(request)).await
}
