//! One invocation: payload in, reply or diagnostic and one metrics record out.

use std::{
    any::Any,
    marker::PhantomData,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use error_class::{Classified, ErrorClass, chain};
use futures::FutureExt;
use lambda_runtime::Diagnostic;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::{Instrument, error, info_span};

use crate::metrics::Invocation;

/// The longest `errorMessage`, in bytes. Step Functions keeps a failure's cause in the execution's state, where 256 KiB
/// must do for everything.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// A handler, and what is known of the process around it. `metrics` takes one record per invocation.
pub(crate) struct Shell<H, M, Request> {
    function: String,
    handler: H,
    metrics: M,
    warm: AtomicBool,
    request: PhantomData<fn(Request)>,
}

impl<H, M, Request, Reply, E, F> Shell<H, M, Request>
where
    M: Fn(&str),
    Request: DeserializeOwned,
    Reply: Serialize,
    E: Classified + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Result<Reply, E>>,
{
    pub(crate) fn new(function: String, handler: H, metrics: M) -> Self {
        Self { function, handler, metrics, warm: AtomicBool::new(false), request: PhantomData }
    }

    /// Answers one invocation. Whatever the handler does, there is one answer and one metrics record.
    pub(crate) async fn answer(&self, payload: Value, request_id: String) -> Result<Value, Diagnostic> {
        let span = info_span!("invocation", function = self.function, request_id);
        async {
            let start = Instant::now();
            let answer =
                AssertUnwindSafe(self.call(payload)).catch_unwind().await.unwrap_or_else(|panic| Err(bug(&*panic)));
            if let Err(failure) = &answer {
                error!(error_class = failure.error_type, error = failure.error_message, "invocation failed");
            }
            let record = Invocation {
                function: &self.function,
                request_id: &request_id,
                duration: start.elapsed(),
                cold_start: !self.warm.swap(true, Ordering::Relaxed),
                answer: &answer,
            };
            (self.metrics)(&record.to_string());
            answer
        }
        .instrument(span)
        .await
    }

    async fn call(&self, payload: Value) -> Result<Value, Diagnostic> {
        let request = serde_path_to_error::deserialize(payload).map_err(|error| {
            let message =
                format!("the payload is not what {} takes: at {}: {}", self.function, error.path(), error.inner());
            diagnostic(ErrorClass::InvalidInput, message)
        })?;
        let reply = (self.handler)(request).await.map_err(|error| diagnostic(error.class(), chain(&error)))?;
        serde_json::to_value(reply)
            .map_err(|error| diagnostic(ErrorClass::Bug, format!("the reply is no JSON: {error}")))
    }
}

fn bug(panic: &(dyn Any + Send)) -> Diagnostic {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let reason = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no reason given");
    diagnostic(ErrorClass::Bug, format!("panicked: {reason}"))
}

fn diagnostic(class: ErrorClass, message: String) -> Diagnostic {
    Diagnostic { error_type: class.to_string(), error_message: bounded(message) }
}

fn bounded(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8()));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io};

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct Request {
        lines: Vec<Line>,
    }

    #[derive(Deserialize)]
    struct Line {
        amount: u32,
    }

    #[derive(Serialize)]
    struct Reply {
        records: usize,
        bytes: u64,
        file: &'static str,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("line {line} cannot be read")]
    struct Unreadable {
        line: u32,
        #[source]
        source: io::Error,
    }

    impl Classified for Unreadable {
        fn class(&self) -> ErrorClass {
            ErrorClass::Unavailable
        }
    }

    async fn total(request: Request) -> Result<Reply, Unreadable> {
        match request.lines.iter().map(|line| line.amount).sum() {
            0 => panic!("no {}", "lines"),
            13 => Err(Unreadable { line: 13, source: io::Error::other("disk gone") }),
            14 => Err(Unreadable { line: 14, source: io::Error::other("€".repeat(10_000)) }),
            sum => Ok(Reply { records: request.lines.len(), bytes: u64::from(sum), file: "f.csv" }),
        }
    }

    /// The answers to payloads sent one after the other to one process, and the records written meanwhile.
    async fn answers<const N: usize>(payloads: [Value; N]) -> (Vec<Result<Value, Diagnostic>>, Vec<Value>) {
        let lines = RefCell::new(Vec::new());
        let shell = Shell::new("splitter".to_owned(), total, |line: &str| lines.borrow_mut().push(line.to_owned()));
        let mut answers = Vec::new();
        for (number, payload) in payloads.into_iter().enumerate() {
            answers.push(shell.answer(payload, format!("request-{number}")).await);
        }
        let records = lines.take().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        (answers, records)
    }

    fn payload(amount: u32) -> Value {
        json!({"lines": [{"amount": amount}]})
    }

    async fn failure(payload: Value) -> Diagnostic {
        let (mut answers, records) = answers([payload]).await;
        assert_eq!(records.len(), 1, "{records:?}");
        let failure = answers.pop().unwrap().unwrap_err();
        assert_eq!(records[0]["errors"], 1);
        assert_eq!(records[0]["error_class"], failure.error_type.as_str());
        failure
    }

    #[tokio::test]
    async fn a_reply_is_handed_back_and_counted() {
        let (answers, records) = answers([payload(40), payload(2)]).await;
        assert_eq!(answers[0], Ok(json!({"records": 1, "bytes": 40, "file": "f.csv"})));
        let [first, second] = &records[..] else { panic!("one record per invocation: {records:?}") };
        assert_eq!((&first["function"], &first["request_id"]), (&json!("splitter"), &json!("request-0")));
        assert_eq!((&first["errors"], &first["cold_start"]), (&json!(0), &json!(1)));
        assert_eq!((&first["records"], &first["bytes"]), (&json!(1), &json!(40)));
        assert_eq!((&second["request_id"], &second["cold_start"]), (&json!("request-1"), &json!(0)));
    }

    #[tokio::test]
    async fn an_error_keeps_its_class_and_all_its_causes() {
        let failure = failure(payload(13)).await;
        assert_eq!(failure.error_type, "Unavailable");
        assert_eq!(failure.error_message, "line 13 cannot be read: disk gone");
    }

    #[tokio::test]
    async fn a_payload_that_does_not_fit_names_the_field() {
        let failure = failure(json!({"lines": [{"amount": 1}, {"amount": "12"}]})).await;
        assert_eq!(failure.error_type, "InvalidInput");
        assert_eq!(
            failure.error_message,
            "the payload is not what splitter takes: at lines[1].amount: invalid type: string \"12\", expected u32"
        );
    }

    #[tokio::test]
    async fn a_panic_is_a_bug_and_the_next_invocation_is_answered() {
        let (answers, records) = answers([payload(0), payload(1)]).await;
        let failure = answers[0].as_ref().unwrap_err();
        assert_eq!((failure.error_type.as_str(), failure.error_message.as_str()), ("Bug", "panicked: no lines"));
        assert!(answers[1].is_ok());
        assert_eq!((&records[0]["error_class"], &records[1]["errors"]), (&json!("Bug"), &json!(0)));
    }

    #[tokio::test]
    async fn a_long_message_is_cut_between_characters() {
        let message = failure(payload(14)).await.error_message;
        assert!(message.len() <= MESSAGE_BYTES_MAX && message.len() > MESSAGE_BYTES_MAX - 6, "{}", message.len());
        assert!(message.ends_with("€…"));
    }
}
