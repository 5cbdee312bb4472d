//! combiner: one partition of all ranges → stateless artifacts, sorted by key.
//!
//! job-splitter → reducer (Map) → **combiner** (Map), stage-coordinator behind each Map

use ledger::combine_partition::{Combiner, Config};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let combiner =
        Combiner::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), &config);
    lambda_shell::run(|request| combiner.combine(request)).await
}
