//! What every Lambda function is wrapped in: typed requests and replies, JSON logs, one metrics record per
//! invocation, error classes that Step Functions can read, and panics that end in an answer.
//!
//! ```no_run
//! # use error_class::{Classified, ErrorClass};
//! # #[derive(Debug, thiserror::Error)] #[error("")] struct TooLong;
//! # impl Classified for TooLong { fn class(&self) -> ErrorClass { ErrorClass::InvalidInput } }
//! # async fn split(request: String) -> Result<u64, TooLong> { Ok(0) }
//! #[tokio::main]
//! async fn main() -> Result<(), lambda_shell::Error> {
//!     lambda_shell::init();
//!     lambda_shell::run(|request| split(request)).await
//! }
//! ```
//!
//! A failed invocation answers with the error's [class](error_class::ErrorClass) as `errorType` and the whole chain of
//! causes as `errorMessage`. A payload that is not what the handler takes is `InvalidInput`, and its message names
//! the field; a panic is `Bug`.

mod invocation;
mod metrics;

use std::{
    env, fmt,
    io::{self, Write},
    panic,
};

use error_class::{Classified, chain};
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::invocation::Shell;

/// Pipelines free many small pieces at once: the system's allocator takes twice as long over a prefetch.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a function could not start: what its `main` returns.
///
/// Made from any error by `?`. Rust writes it to standard error, and so to the function's log, with the whole chain of
/// causes: a person reads there which variable is wrong.
pub struct Error(String);

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(chain(&error))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sends logs, panics too, to standard output, as one JSON object a line. To be called once, first.
///
/// `RUST_LOG` sets the levels (`info` without it).
pub fn init() {
    // The runtime's own line on a failed invocation repeats ours, without the request id.
    let levels = env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()) + ",lambda_runtime::layers::panic=off";
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(EnvFilter::new(levels))
        .with_writer(io::stdout)
        .init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        error!(place, reason = panic.payload_as_str(), "panicked");
    }));
}

/// Answers invocations, one after the other, until Lambda ends the process.
pub async fn run<Request, Reply, E, H, F>(handler: H) -> Result<(), Error>
where
    Request: DeserializeOwned,
    Reply: Serialize,
    E: Classified + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Result<Reply, E>>,
{
    let function = variable("AWS_LAMBDA_FUNCTION_NAME")?;
    variable("AWS_LAMBDA_RUNTIME_API")?;
    let shell = &Shell::new(function, handler, write_line);
    let service = service_fn(|event: LambdaEvent<Value>| shell.answer(event.payload, event.context.request_id));
    Runtime::new(service).run().await.map_err(|error| Error(chain(&*error)))
}

/// In one write, so that no log line of another thread comes between.
fn write_line(line: &str) {
    if let Err(error) = io::stdout().write_all(format!("{line}\n").as_bytes()) {
        error!(%error, "metrics record lost");
    }
}

fn variable(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error(format!("{name} is not set: this program runs as a Lambda function")))
}
