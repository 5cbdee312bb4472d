//! transform-runner: a task → its parts and its report, by the embedded engine.
//!
//! job-starter → job-planner → **transform-runner** → output-checker → job-publisher → job-closer

use jobs::transform::{Config, TransformRunner};
use reconcile_engine::{Limits, Scratch};

#[tokio::main]
async fn main() -> Result<(), lambda_shell::Error> {
    lambda_shell::init();
    let config = Config::from_env()?;
    let scratch = Scratch::begin(&std::env::temp_dir().join("tieout-transform-runner"))?;
    let disk = Some(scratch.folder().to_owned());
    let objects = aws_adapters::objects().await;
    let runner = TransformRunner::new(objects, aws_adapters::tables().await, aws_adapters::clock(), config);
    lambda_shell::run(|request| {
        let disk = disk.clone();
        runner.run(request, |task, objects, room| async move {
            let limits = Limits { disk, time: Some(room.time), ..Limits::new(room.memory_bytes, room.disk_bytes) };
            reconcile_engine::run(&task, objects, &limits).await
        })
    })
    .await
}
