//! Files through the deployed template while things break. Apart from the other tests: what breaks here is theirs too.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{sync::Arc, time::Duration};

use aws_sdk_sfn::types::HistoryEventType;
use e2e::{
    Stack,
    command::{ended, submit, tieout},
    large::{FEED, Large, ROWS},
    mail::mails,
    workers,
};
use intake::{
    messages::RunId,
    runs::{RunStatus, Runs, StepStatus},
};
use serde_json::Value;
use tokio::time::sleep;

/// A step may be over before it can be hit: then the experiment is made again, so many times.
const TRIES: usize = 8;

/// Every kind of worker is killed in the middle of its work, each in a run of its own: the output is what it would have
/// been, and there is one mail.
#[tokio::test]
async fn workers_that_are_killed_are_replaced_and_nothing_is_lost() {
    let stack = Stack::connect().await;
    let large = Large::loaded().await;
    for (function, step) in [("splitter", "step#split"), ("chunk-processor", "chunk#"), ("merger", "step#merge")] {
        let run = killed(&stack, large, function, step).await;
        assert_whole(&stack, large, &run).await;
    }
    let run = killed_emailer(&stack, large).await;
    assert_whole(&stack, large, &run).await;
}

/// A run in which a worker of this kind was killed, and replaced.
async fn killed(stack: &Stack, large: &Large, function: &str, step: &str) -> Value {
    let runs = Runs::new(Arc::new(stack.session.tables()), "tieout-runs", aws_adapters::clock());
    for attempt in 0..TRIES {
        let name = submit(FEED, &large.named(&format!("{function}-{attempt}.csv")));
        let run: RunId = name.parse().unwrap();
        loop {
            let steps = runs.steps(&run).await.unwrap();
            if steps.iter().any(|row| row.step.starts_with(step) && row.status == StepStatus::Running) {
                workers::of(stack, function).into_iter().for_each(workers::Worker::kill);
                break;
            }
            if runs.get(&run).await.unwrap().is_some_and(|record| record.status.is_final()) {
                break;
            }
        }
        let ended = ended(&name);
        let again = |row: &Value| row["sk"].as_str().unwrap().starts_with(step) && row["attempts"].as_u64() > Some(1);
        if ended["steps"].as_array().unwrap().iter().any(again) {
            return ended;
        }
    }
    panic!("no {function} was hit in {TRIES} runs");
}

/// A run whose emailer was killed once it had been called.
async fn killed_emailer(stack: &Stack, large: &Large) -> Value {
    let runs = Runs::new(Arc::new(stack.session.tables()), "tieout-runs", aws_adapters::clock());
    for attempt in 0..TRIES {
        // Its work is a moment's: it is held at its beginning, so that it is sure to be hit.
        let held = workers::of(stack, "emailer");
        held.iter().for_each(|worker| worker.freeze());
        let name = submit(FEED, &large.named(&format!("emailer-{attempt}.csv")));
        let run: RunId = name.parse().unwrap();
        while runs.get(&run).await.unwrap().is_none_or(|record| record.status != RunStatus::Published) {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(500)).await;
        held.iter().for_each(|worker| worker.kill());
        let ended = ended(&name);
        if tasks_failed(stack, &run).await > 0 {
            return ended;
        }
    }
    panic!("no emailer was hit in {TRIES} runs");
}

/// How many tasks of the run's own execution failed, and were tried again.
async fn tasks_failed(stack: &Stack, run: &RunId) -> usize {
    let client = aws_sdk_sfn::Client::new(stack.session.sdk_config());
    let execution = format!("arn:aws:states:us-east-1:000000000000:execution:tieout-intake:{run}");
    let history = client.get_execution_history().execution_arn(execution).send().await.unwrap();
    let failed = [HistoryEventType::TaskFailed, HistoryEventType::LambdaFunctionFailed];
    history.events.iter().filter(|event| failed.contains(&event.r#type)).count()
}

async fn assert_whole(stack: &Stack, large: &Large, run: &Value) {
    assert_eq!((&run["status"], run["records_out"].as_u64()), (&"published".into(), Some(ROWS)), "{run}");
    assert_eq!((&run["mail"]["status"], run["archive"].is_string()), (&"sent".into(), true), "{run}");
    let name = run["run_id"].as_str().unwrap();
    let output = tieout(&["run", "output", name]).well().stdout;
    // Not by assert_eq: nobody reads 20 MB.
    assert!(output == large.output, "{name} has another output than it had undisturbed");
    assert_eq!(mails(stack, name).await.len(), 1);
}
