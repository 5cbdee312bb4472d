//! batch-registrar: the manifest of a batch → the batch's number in its ledger.
//!
//! EventBridge → **batch-registrar** → machine `stateless`

use ledger::registrar::{BatchRegistrar, Config};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let registrar = BatchRegistrar::new(
        aws_adapters::objects().await,
        aws_adapters::tables().await,
        aws_adapters::workflows().await,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|arrival| registrar.register(arrival)).await
}
