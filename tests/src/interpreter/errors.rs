//! Retriers and catchers.

use std::time::Duration;

use serde_json::Value;

use super::{Failure, Services, text};

/// How often each retrier of a state has tried again.
pub(super) struct Retries<'a> {
    retriers: &'a [Value],
    tried: Vec<u64>,
}

impl<'a> Retries<'a> {
    pub(super) fn new(retriers: &'a Value) -> Self {
        let retriers = retriers.as_array().map_or(&[][..], Vec::as_slice);
        Self { retriers, tried: vec![0; retriers.len()] }
    }

    /// How long to wait before the next try; nothing if there is none.
    pub(super) fn delay(&mut self, failure: &Failure, services: &dyn Services) -> Option<Duration> {
        let (retrier, tried) =
            self.retriers.iter().zip(&mut self.tried).find(|(retrier, _)| takes(retrier, failure))?;
        let attempts_max = retrier["MaxAttempts"].as_u64().unwrap_or(3);
        if *tried >= attempts_max {
            return None;
        }
        let first = Duration::from_secs(retrier["IntervalSeconds"].as_u64().unwrap_or(1));
        let rate = retrier["BackoffRate"].as_f64().unwrap_or(2.0);
        let longest = retrier["MaxDelaySeconds"].as_u64().map_or(Duration::MAX, Duration::from_secs);
        let exponent = i32::try_from(*tried).unwrap_or(i32::MAX);
        *tried += 1;
        #[expect(clippy::float_arithmetic, reason = "a rate is a float in the language, and no amount")]
        let delay = Duration::try_from_secs_f64(first.as_secs_f64() * rate.powi(exponent)).unwrap_or(longest);
        let delay = delay.min(longest);
        Some(if retrier["JitterStrategy"] == "FULL" { services.jitter(delay) } else { delay })
    }
}

/// The catcher for an error, if there is one.
pub(super) fn catcher<'a>(catchers: &'a Value, failure: &Failure) -> Option<&'a Value> {
    catchers.as_array()?.iter().find(|catcher| takes(catcher, failure))
}

/// Whether a clause is about an error. No wildcard takes what would fail for ever.
fn takes(clause: &Value, failure: &Failure) -> bool {
    let error = failure.error.as_str();
    let for_ever = matches!(error, "States.DataLimitExceeded" | "States.Runtime");
    clause["ErrorEquals"].as_array().into_iter().flatten().any(|name| match text(name) {
        "States.ALL" => !for_ever,
        "States.TaskFailed" => !for_ever && error != "States.Timeout",
        name => name == error,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wildcards_take_what_they_take_on_aws() {
        let takes = |name: &str, error: &str| takes(&json!({"ErrorEquals": [name]}), &Failure::new(error, ""));
        assert!(takes("States.ALL", "Bug") && takes("States.ALL", "States.Timeout"));
        assert!(!takes("States.ALL", "States.DataLimitExceeded"));
        assert!(takes("States.TaskFailed", "Bug") && !takes("States.TaskFailed", "States.Timeout"));
        assert!(takes("Bug", "Bug") && !takes("Bug", "Conflict"));
    }
}
