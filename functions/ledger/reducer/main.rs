//! reducer: one range of events → the same, by partition and key.
//!
//! job-splitter → **reducer** (Map) → combiner (Map), stage-coordinator behind each Map

use ledger::reduce_range::{Config, Reducer};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let reducer =
        Reducer::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), &config);
    lambda_shell::run(|request| reducer.reduce(request)).await
}
