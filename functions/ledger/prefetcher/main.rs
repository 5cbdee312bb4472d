//! prefetcher: one partition of keys → the latest versions of their artifacts.
//!
//! **prefetcher** (Map) → state-engine (Map) → index-coordinator → index-worker (Map)

use ledger::prefetch::{Config, Prefetcher};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let prefetcher = Prefetcher::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::cache()?,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|request| prefetcher.prefetch(request)).await
}
