//! splitter: one input object → a plan with record-aligned byte ranges.
//!
//! file-arrival → **splitter** → chunk-processor (Map) → merger → emailer

use intake::split::{Config, Splitter};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let splitter =
        Splitter::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| splitter.split(request)).await
}
