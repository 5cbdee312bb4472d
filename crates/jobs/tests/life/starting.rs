//! How jobs come in.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::FutureExt;
use jobs::{
    book::JobStatus,
    messages::{CloseRequest, Notice, StartRequest, Started},
};
use serde_json::json;
use storage::{StorageError, memory::Fault};

use crate::kit::{DEAD, QUEUE, World, again, attempt, body, caught, document, lost};

#[tokio::test]
async fn a_job_is_started_once_however_often_it_is_handed_in() {
    let world = World::new();
    let handlers = world.handlers();
    let body = body("close", &document());
    for started in [1, 0, 0] {
        let taken = world.deliver(&handlers, &body).await;
        assert_eq!((taken.started, taken.repeated, taken.failures.len()), (started, 1 - started, 0));
    }
    let executions = world.workflows.executions();
    assert_eq!(executions.len(), 1);
    assert_eq!(executions[0].name, "acme-close-1");
    assert_eq!(executions[0].input, r#"{"tenant":"acme","job":"close","attempt":1}"#);
    assert_eq!(world.record("close").await.status, JobStatus::Running);
}

#[tokio::test]
async fn of_two_at_once_one_starts() {
    let world = World::new();
    let handlers = world.handlers();
    let body = body("close", &document());
    let (one, other) = tokio::join!(world.deliver(&handlers, &body), world.deliver(&handlers, &body));
    assert_eq!(one.started + other.started, 1);
    assert_eq!(world.workflows.executions().len(), 1);
}

#[tokio::test]
async fn another_document_under_the_same_id_is_refused() {
    let world = World::new();
    let handlers = world.handlers();
    world.deliver(&handlers, &body("close", &document())).await;
    let mut other = document();
    other["outputs"][0]["name"] = json!("dearest");
    assert_eq!(world.deliver(&handlers, &body("close", &other)).await.dead_letters, 1);
    let letter = &world.dead_letters()[0];
    assert!(letter.attributes["reason"].contains("another document"), "{letter:?}");
    assert_eq!((letter.attributes["class"].as_str(), letter.attributes["job"].as_str()), ("conflict", "close"));
    assert_eq!(world.record("close").await.status, JobStatus::Running, "the job that stands goes on");
    assert_eq!(world.post(&handlers, &body("close", &other)).await.status_code, 409);
}

#[tokio::test]
async fn what_is_malformed_ends_in_the_dead_letter_queue_with_its_reason() {
    let world = World::new();
    let handlers = world.handlers();
    let mut unknown = document();
    unknown["steps"][0]["operation"] = json!("filtre");
    let mailing = |to: Vec<&str>| {
        let mut job = document();
        job["options"] = json!({ "mail": to });
        body("a", &job)
    };
    for (body, reason) in [
        ("no JSON".to_owned(), "malformed"),
        (String::new(), "malformed"),
        (json!({"job": "a"}).to_string(), "document"),
        (body("A b", &document()), "is no id of a job"),
        (json!({"tenant": "A", "job": "a", "document": document()}).to_string(), "is no tenant"),
        (again("a", &document(), 0), "there is no attempt 0"),
        (body("a", &unknown), r#"no operation "filtre""#),
        (body("a", &json!({"version": 1})), "inputs"),
        (mailing(vec!["a@example.com", "b@example,com"]), r#"options.mail[1]: "b@example,com" is no mail address"#),
        (mailing(vec!["reader"]), r#"options.mail[0]: "reader" is no mail address: expected one like finance@"#),
        (mailing(vec!["a@example.com"; 51]), "options.mail: has 51 addresses, and a mail goes to 50 at most"),
        (body("a", &json!({"version": 1, "padding": "x".repeat(210 * 1024)})), "bytes, more than"),
        (again("a", &document(), 2), "attempt 2 at job a cannot begin: there is no such job yet"),
    ] {
        let taken = world.deliver(&handlers, &body).await;
        assert_eq!((taken.dead_letters, taken.failures.len()), (1, 0), "{body}");
        let letter = world.queues.take(DEAD).pop().expect("there is a letter");
        assert!(letter.attributes["reason"].contains(reason), "{body}: {letter:?}");
        let posted = world.post(&handlers, &body).await;
        let status = if reason.starts_with("attempt 2") { 409 } else { 400 };
        assert_eq!(posted.status_code, status, "{posted:?}");
    }
    assert!(world.workflows.executions().is_empty());
}

/// Good neighbours of a bad message are not received again.
#[tokio::test]
async fn each_message_of_a_batch_has_its_own_fate() {
    let world = World::new();
    let down = |operation: &storage::memory::Operation| {
        let failing = operation.what.contains("acme#second");
        failing.then(|| Fault::Refused(StorageError::Unavailable { what: "table".into(), source: "down".into() }))
    };
    let handlers = world.faulty_handlers(down);
    let bodies =
        [body("first", &document()), body("second", &document()), "bad".to_owned(), body("third", &document())];
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| {
            json!({"messageId": format!("m{index}"), "receiptHandle": "r", "body": body,
                "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"})
        })
        .collect();
    let event: StartRequest = serde_json::from_value(json!({ "Records": records })).unwrap();
    let Started::Messages(taken) = handlers.starter.start(event).await.unwrap() else { panic!("messages") };
    assert_eq!((taken.started, taken.dead_letters), (2, 1));
    let failures: Vec<&str> = taken.failures.iter().map(|failure| failure.id.as_str()).collect();
    assert_eq!(failures, ["m1"]);
    assert_eq!(serde_json::to_value(&taken).unwrap()["batchItemFailures"][0]["itemIdentifier"], "m1");
}

#[tokio::test]
async fn the_eleventh_waits_and_is_never_lost() {
    let world = World::new();
    let handlers = world.handlers();
    for number in 0..10 {
        assert_eq!(world.deliver(&handlers, &body(&format!("job-{number}"), &document())).await.started, 1);
    }
    let eleventh = body("eleventh", &document());
    for _ in 0..50 {
        let taken = world.deliver(&handlers, &eleventh).await;
        assert_eq!((taken.started, taken.waiting, taken.failures.len()), (0, 1, 1), "it stays in the queue");
    }
    assert!(world.dead_letters().is_empty(), "to wait is not to be poisonous");
    assert_eq!(world.record("eleventh").await.status, JobStatus::Queued);
    assert_eq!(world.queues.hidden().first().map(|(_, time)| time.as_secs()), Some(5));
    assert_eq!(world.queues.hidden().last().map(|(_, time)| time.as_secs()), Some(60));
    let close = CloseRequest { job: attempt("job-3", 1), failure: Some(lost()), only_end: false };
    handlers.closer.close(Notice::State(close)).await.unwrap();
    assert_eq!(world.deliver(&handlers, &eleventh).await.started, 1);
    assert_eq!(world.workflows.executions().len(), 11);
}

#[tokio::test]
async fn a_message_that_is_never_handled_to_its_end_is_poisonous() {
    let mut job = document();
    job["options"] = json!({"mail": ["reader@example.com"]});
    let body = body("close", &job);
    // Before it has its slot, and behind that.
    for (failing, status) in [("query", JobStatus::Queued), ("start", JobStatus::Running)] {
        let world = World::new();
        let down = move |operation: &storage::memory::Operation| {
            let error = || StorageError::Unavailable { what: "port".into(), source: "down".into() };
            (operation.name == failing).then(|| Fault::Refused(error()))
        };
        let handlers = world.faulty_handlers(down);
        for _ in 0..jobs::starter::RECEIPTS_MAX {
            assert_eq!(world.deliver(&handlers, &body).await.failures.len(), 1);
        }
        assert_eq!(world.record("close").await.status, status);
        // Nobody may end it where nothing can be started: its message stays.
        let nothing_starts = world.faulty_handlers(|operation| {
            let error = || StorageError::Unavailable { what: "machine".into(), source: "down".into() };
            (operation.name == "start").then(|| Fault::Refused(error()))
        });
        assert_eq!(world.deliver(&nothing_starts, &body).await.failures.len(), 1);
        assert!(world.dead_letters().is_empty() && world.workflows.executions().is_empty());
        ends_as_poisonous(&world, &body).await;
    }
}

/// It is given up, and ends as all jobs do that fail.
async fn ends_as_poisonous(world: &World, body: &str) {
    let slots_gone = |operation: &storage::memory::Operation| {
        let error = || StorageError::Unavailable { what: "table".into(), source: "down".into() };
        (operation.name == "query").then(|| Fault::Refused(error()))
    };
    let taken = world.deliver(&world.faulty_handlers(slots_gone), body).await;
    assert_eq!((taken.given_up, taken.dead_letters, taken.failures.len()), (1, 0, 0));
    let [execution] = &world.workflows.executions()[..] else { panic!("one execution") };
    assert_eq!(execution.name, "acme-close-1");
    let handlers = world.handlers();
    for (dead_letters, from) in [(1, "the machine"), (0, "the rule")] {
        let close: CloseRequest = serde_json::from_str(&execution.input).unwrap();
        let closed = handlers.closer.close(Notice::State(close)).await.unwrap();
        assert_eq!((closed.status, closed.dead_letters), (JobStatus::Failed, dead_letters), "{from}");
    }
    let [letter] = &world.dead_letters()[..] else { panic!("one letter") };
    assert_eq!(letter.attributes["class"], "poisonous");
    assert!(letter.attributes["reason"].contains("22 times"), "{letter:?}");
    assert_eq!(world.mailer.sent().len(), 1);
    assert!(matches!(world.end(&attempt("close", 1)).await, Some(jobs::manifest::End::Failed(_))));
    let record = world.record("close").await;
    assert_eq!((record.status, record.failure.unwrap().class.as_str()), (JobStatus::Failed, "poisonous"));
    assert_eq!(world.deliver(&handlers, body).await.repeated, 1, "it is over");
    let holders = (0..10).map(|job| format!("other-{job}"));
    for other in holders {
        assert_eq!(
            world.deliver(&world.handlers(), &self::body(&other, &document())).await.started,
            1,
            "its slot is free"
        );
    }
}

/// A neighbour may have brought the same deliveries to nothing again and again: what runs, or is published, is left alone.
#[tokio::test]
async fn a_job_that_has_begun_is_not_ended_by_its_message() {
    let world = World::new();
    let handlers = world.handlers();
    let body = body("close", &document());
    assert_eq!(world.deliver(&handlers, &body).await.started, 1);
    for _ in 0..=jobs::starter::RECEIPTS_MAX {
        let taken = world.deliver(&handlers, &body).await;
        assert_eq!((taken.repeated, taken.dead_letters), (1, 0));
    }
    assert_eq!(world.record("close").await.status, JobStatus::Running);
    assert!(world.dead_letters().is_empty());
}

#[tokio::test]
async fn a_job_begins_with_its_first_attempt() {
    let world = World::new();
    let handlers = world.handlers();
    let third = json!({"tenant": "acme", "job": "close", "attempt": 3, "document": document()}).to_string();
    assert_eq!(world.post(&handlers, &third).await.status_code, 409);
    assert_eq!(world.deliver(&handlers, &third).await.dead_letters, 1);
    assert_eq!(world.deliver(&handlers, &body("close", &document())).await.started, 1, "and left no row behind");
}

#[tokio::test]
async fn an_id_that_no_key_holds_is_malformed() {
    let world = World::new();
    let taken = world.deliver(&world.handlers(), &body(&"x".repeat(5_000), &document())).await;
    assert_eq!((taken.dead_letters, taken.failures.len()), (1, 0));
    assert_eq!(world.dead_letters()[0].attributes["class"], "malformed");
}

/// Whatever call fails, with or without its effect: the next delivery goes on, and one execution comes of it.
#[tokio::test]
async fn every_call_can_fail() {
    for lost_reply in [false, true] {
        for failing in 0..20 {
            let world = World::new();
            let count = Arc::new(AtomicU32::new(0));
            let plan = move |_: &storage::memory::Operation| {
                let error = || StorageError::Unavailable { what: "port".into(), source: "down".into() };
                let now = count.fetch_add(1, Ordering::Relaxed) == failing;
                now.then(|| if lost_reply { Fault::ReplyLost(error()) } else { Fault::Refused(error()) })
            };
            let handlers = world.faulty_handlers(plan);
            let body = body("close", &document());
            for _ in 0..2 {
                let taken = world.deliver(&handlers, &body).await;
                assert_eq!(taken.failed as usize, taken.failures.len(), "call {failing}: a metric, and an alarm");
            }
            assert_eq!(world.workflows.executions().len(), 1, "call {failing}");
            assert_eq!(world.record("close").await.status, JobStatus::Running, "call {failing}");
            assert!(world.dead_letters().is_empty());
        }
    }
}

#[tokio::test]
async fn what_is_posted_goes_by_the_queue() {
    let world = World::new();
    let handlers = world.handlers();
    let response = world.post(&handlers, &body("close", &document())).await;
    assert_eq!((response.status_code, response.headers["content-type"].as_str()), (202, "application/json"));
    assert_eq!(response.body, r#"{"tenant":"acme","job":"close","attempt":1,"status":"queued"}"#);
    assert!(world.workflows.executions().is_empty());
    let message = world.queues.take(QUEUE).pop().expect("it is in the queue");
    assert_eq!(world.deliver(&handlers, &message.body).await.started, 1);
}

/// What is known to be refused later is refused at once.
#[tokio::test]
async fn an_attempt_that_cannot_follow_is_not_taken() {
    let world = World::new();
    let handlers = world.handlers();
    let post = async |number: u32| world.post(&handlers, &again("close", &document(), number)).await;
    assert_eq!(post(2).await.status_code, 409, "there is no such job yet");
    assert_eq!(post(1).await.status_code, 202);
    let refused = post(2).await;
    assert_eq!(refused.status_code, 409);
    assert!(refused.body.contains("attempt 1 is queued"), "{}", refused.body);
    assert!(world.jobs().ask_cancel(&attempt("close", 1)).await.unwrap());
    assert_eq!(post(3).await.status_code, 409);
    let second = post(2).await;
    assert_eq!(second.status_code, 202);
    assert_eq!(second.body, r#"{"tenant":"acme","job":"close","attempt":2,"status":"queued"}"#);
    assert_eq!(world.queues.take(QUEUE).len(), 2);
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_it_waits_never_runs() {
    let world = World::new();
    let handlers = world.handlers();
    world.post(&handlers, &body("close", &document())).await;
    assert!(world.jobs().ask_cancel(&attempt("close", 1)).await.unwrap());
    // It is over whether or not its message ever comes.
    let record = world.record("close").await;
    assert_eq!((record.status, record.ended_at), (JobStatus::Cancelled, Some(world.jobs().now())));
    let message = world.queues.take(QUEUE).pop().unwrap();
    assert_eq!(world.deliver(&handlers, &message.body).await.repeated, 1);
    assert_eq!(world.record("close").await, record);
    assert!(world.workflows.executions().is_empty());
    assert!(!world.jobs().ask_cancel(&attempt("close", 1)).await.unwrap(), "it is over");
}

/// Somebody cancels it just when its message has got it a slot.
#[tokio::test]
async fn a_job_that_is_cancelled_while_it_is_begun_gives_its_slot_back() {
    let world = World::new();
    world.post(&world.handlers(), &body("close", &document())).await;
    let message = world.queues.take(QUEUE).pop().unwrap();
    let jobs = world.jobs();
    let handlers = world.faulty_handlers(move |operation| {
        if operation.name == "update" {
            let _now = jobs.ask_cancel(&attempt("close", 1)).now_or_never().unwrap().unwrap();
        }
        None
    });
    assert_eq!(world.deliver(&handlers, &message.body).await.repeated, 1);
    assert_eq!(world.record("close").await.status, JobStatus::Cancelled);
    assert!(world.workflows.executions().is_empty());
    for number in 0..10 {
        let body = body(&format!("job-{number}"), &document());
        assert_eq!(world.deliver(&world.handlers(), &body).await.started, 1, "its slot is free");
    }
}

#[tokio::test]
async fn a_late_message_takes_no_slot_for_what_is_over() {
    let world = World::new();
    let handlers = world.handlers();
    let body = body("close", &document());
    world.deliver(&handlers, &body).await;
    let error = jobs::JobError::MailClaimed;
    let close = CloseRequest { job: attempt("close", 1), failure: Some(caught(&error)), only_end: false };
    handlers.closer.close(Notice::State(close)).await.unwrap();
    assert_eq!(world.deliver(&handlers, &body).await.repeated, 1);
    for number in 0..10 {
        assert_eq!(world.deliver(&handlers, &crate::kit::body(&format!("job-{number}"), &document())).await.started, 1);
    }
}

/// Its first delivery takes a slot, and comes no further.
#[tokio::test]
async fn a_job_that_is_cancelled_before_it_is_begun_gives_its_slot_back() {
    let world = World::new();
    let body = body("close", &document());
    let down = |operation: &storage::memory::Operation| {
        let gone = || StorageError::Unavailable { what: "table".into(), source: "down".into() };
        (operation.name == "update").then(|| Fault::Refused(gone()))
    };
    assert_eq!(world.deliver(&world.faulty_handlers(down), &body).await.failures.len(), 1);
    assert!(world.jobs().ask_cancel(&attempt("close", 1)).await.unwrap());
    let handlers = world.handlers();
    assert_eq!(world.deliver(&handlers, &body).await.repeated, 1);
    for number in 0..10 {
        assert_eq!(world.deliver(&handlers, &crate::kit::body(&format!("job-{number}"), &document())).await.started, 1);
    }
}
