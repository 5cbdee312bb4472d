//! stage-coordinator: all workers of a stage are done → what they made adds up, and is committed.
//!
//! job-splitter → reducer (Map) → combiner (Map), **stage-coordinator** behind each Map
//! prefetcher (Map) → **stage-coordinator** → state-engine (Map) → **stage-coordinator**

use ledger::coordinate::{Config, StageCoordinator};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let coordinator = StageCoordinator::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::clock(),
        &config,
    );
    lambda_shell::run(|request| coordinator.handle(request)).await
}
