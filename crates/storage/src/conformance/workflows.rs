//! The laws of [`Workflows`].

use futures::future::join_all;

use crate::{
    StorageError, Workflows,
    workflows::{Answer, INPUT_BYTES_MAX, NAME_CHARS_MAX, Start, TOKEN_CHARS_MAX},
};

/// So many answers outlast any waking.
const ANSWERS_MAX: usize = 1_000;

/// All laws, on a machine that ends at once, with names that begin with `prefix` (at most 20 characters).
pub async fn workflows(workflows: &dyn Workflows, machine: &str, prefix: &str) {
    a_name_is_taken_once(workflows, machine, prefix).await;
    of_many_starters_with_other_inputs_one_starts(workflows, machine, prefix).await;
    names_up_to_the_bound_are_taken(workflows, machine, prefix).await;
    what_cannot_start_is_refused(workflows, machine, prefix).await;
    a_token_that_nobody_waits_with_is_gone(workflows).await;
    what_is_no_answer_is_refused(workflows).await;
}

/// The laws of a task that waits with `token`: it is told what every answer says, and once it has gone on, it is gone.
///
/// Of answers that come before it has woken, several may be taken: who acts on one goes by what it says (a fence), not by
/// having been the only one to be told.
pub async fn waiting_task(workflows: &dyn Workflows, token: &str) {
    what_is_no_answer_is_refused(workflows).await;
    let answer = async || workflows.answer(token, r#"{"fence": 1}"#).await.unwrap();
    let answers = join_all((0..4).map(|_| answer())).await;
    assert!(answers.contains(&Answer::Taken), "{answers:?}");
    for _ in 0..ANSWERS_MAX {
        if answer().await == Answer::Gone {
            return;
        }
    }
    panic!("a task that was answered still waits");
}

/// A second start under the same name with another input starts nothing.
async fn a_name_is_taken_once(workflows: &dyn Workflows, machine: &str, prefix: &str) {
    let name = format!("{prefix}-once");
    assert_eq!(workflows.start(machine, &name, r#"{"run": 1}"#).await.unwrap(), Start::Started);
    for _ in 0..2 {
        assert_eq!(workflows.start(machine, &name, r#"{"run": 2}"#).await.unwrap(), Start::Exists);
    }
}

/// Of eight concurrent starts under one name, each with its own input, one starts.
async fn of_many_starters_with_other_inputs_one_starts(workflows: &dyn Workflows, machine: &str, prefix: &str) {
    let name = &format!("{prefix}-race");
    let start = async |run: u32| workflows.start(machine, name, &format!(r#"{{"run": {run}}}"#)).await.unwrap();
    let starts = join_all((0..8).map(start)).await;
    assert_eq!(starts.iter().filter(|start| **start == Start::Started).count(), 1, "{starts:?}");
}

/// The longest name is a name.
async fn names_up_to_the_bound_are_taken(workflows: &dyn Workflows, machine: &str, prefix: &str) {
    let name = format!("{prefix}-{}", "x".repeat(NAME_CHARS_MAX - prefix.len() - 1));
    assert_eq!(workflows.start(machine, &name, "{}").await.unwrap(), Start::Started);
}

/// A name or an input that the service would refuse is `Invalid`, and does not use up the name.
async fn what_cannot_start_is_refused(workflows: &dyn Workflows, machine: &str, prefix: &str) {
    let too_long = "x".repeat(NAME_CHARS_MAX + 1);
    let too_large = format!("\"{}\"", "x".repeat(INPUT_BYTES_MAX));
    let good = format!("{prefix}-good");
    let wrong =
        [("", "{}"), (too_long.as_str(), "{}"), ("a/b", "{}"), ("a b", "{}"), (&good, "{"), (&good, &too_large)];
    for (name, input) in wrong {
        let refused = workflows.start(machine, name, input).await;
        assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{name:?} gave {refused:?}");
    }
    assert_eq!(workflows.start(machine, &good, "{}").await.unwrap(), Start::Started);
}

/// An answer to a task that never was, or is no more, is no error.
async fn a_token_that_nobody_waits_with_is_gone(workflows: &dyn Workflows) {
    assert_eq!(workflows.answer("bm9ib2R5IHdhaXRz", "{}").await.unwrap(), Answer::Gone);
}

/// A token or an output that the service would refuse is `Invalid`.
async fn what_is_no_answer_is_refused(workflows: &dyn Workflows) {
    let too_long = "x".repeat(TOKEN_CHARS_MAX + 1);
    let too_large = format!("\"{}\"", "x".repeat(INPUT_BYTES_MAX));
    for (token, output) in [("", "{}"), (&too_long, "{}"), ("token", "{"), ("token", ""), ("token", &too_large)] {
        let refused = workflows.answer(token, output).await;
        assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{token:?} gave {refused:?}");
    }
}
