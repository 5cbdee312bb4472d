//! file-arrival: an object in the input bucket → one run of the `intake` machine.
//!
//! EventBridge → **file-arrival** → splitter → chunk-processor (Map) → merger → emailer

use intake::arrival::{Config, FileArrival};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let arrival = FileArrival::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::workflows().await,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|event| arrival.arrive(event)).await
}
