//! The classes of failure.
//!
//! A class says what to do about a failure, not what went wrong: Step Functions retries and catches by it. It is the
//! Lambda's `errorType`, so its name stands in the state machines, in alarms and in metrics, and is spelled here once.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

/// What is to be done about a failure. Each class has its own retry policy in `state-machines/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ErrorClass {
    /// A service asked us to slow down: retry slowly, with jitter.
    Throttled,
    /// A service did not answer or answered with a fault of its own: retry soon.
    Unavailable,
    /// The worker died or ran out of time: run again at once.
    WorkerLost,
    /// What was sent in cannot be processed: reject it and tell the sender. Retrying changes nothing.
    InvalidInput,
    /// It is more than this worker can hold: give it to a larger one.
    TooLarge,
    /// Somebody else has done it, or is doing it: stop quietly.
    Conflict,
    /// Two independent counts or sums of the same records differ: nothing may be published.
    ControlTotalMismatch,
    /// A fault in tieout itself: page a developer.
    Bug,
}

impl ErrorClass {
    /// Every class, in the order in which the documentation lists them.
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::Unavailable,
        Self::WorkerLost,
        Self::InvalidInput,
        Self::TooLarge,
        Self::Conflict,
        Self::ControlTotalMismatch,
        Self::Bug,
    ];

    /// The name, as Step Functions sees it in `ErrorEquals`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::WorkerLost => "WorkerLost",
            Self::InvalidInput => "InvalidInput",
            Self::TooLarge => "TooLarge",
            Self::Conflict => "Conflict",
            Self::ControlTotalMismatch => "ControlTotalMismatch",
            Self::Bug => "Bug",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that knows its class.
pub trait Classified: Error {
    /// What is to be done about it.
    fn class(&self) -> ErrorClass;
}

/// The message of `error` and of everything that caused it, joined by `: `, outermost first.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
