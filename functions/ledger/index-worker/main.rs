//! index-worker: some part-files → their artifacts in the index, and in the cache.
//!
//! prefetcher (Map) → state-engine (Map) → index-coordinator → **index-worker** (Map)

use ledger::index_worker::{Config, IndexWorker};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let worker = IndexWorker::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::cache()?,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|work| worker.index(work)).await
}
