//! emailer: how a run ended → its row, and a mail with figures and link.
//!
//! file-arrival → splitter → chunk-processor (Map) → merger → **emailer**

use intake::notify::{Config, Emailer};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let emailer = Emailer::new(
        aws_adapters::objects().await,
        aws_adapters::links().await,
        aws_adapters::tables().await,
        aws_adapters::mailer().await,
        aws_adapters::clock(),
        config,
    );
    lambda_shell::run(|request| emailer.notify(request)).await
}
