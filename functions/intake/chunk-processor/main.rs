//! chunk-processor: one range of records → a clean part and its rejects.
//!
//! file-arrival → splitter → **chunk-processor** (Map) → merger → emailer

use intake::chunk::{ChunkProcessor, Config};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let processor = ChunkProcessor::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::cache()?,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|request| processor.process(request)).await
}
