//! state-engine: one partition of versions and of new events → new versions, in part-files.
//!
//! prefetcher (Map) → **state-engine** (Map) → index-coordinator → index-worker (Map)

use ledger::apply_partition::{Config, StateEngine};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let engine =
        StateEngine::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| engine.apply(request)).await
}
