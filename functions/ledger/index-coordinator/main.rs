//! index-coordinator: the part-files of a job → what is still to be put into the index, and by how many workers.
//!
//! prefetcher (Map) → state-engine (Map) → **index-coordinator** → index-worker (Map)

use ledger::index::{Config, IndexCoordinator};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let coordinator = IndexCoordinator::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|request| coordinator.handle(request)).await
}
