//! merger: parts → one output that ties out, published; the input archived.
//!
//! file-arrival → splitter → chunk-processor (Map) → **merger** → emailer

use intake::merge::{Config, Merger};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let merger =
        Merger::new(aws_adapters::objects().await, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| merger.merge(request)).await
}
