//! A job as it is handed in: checked at every door in the same way, by whoever takes it.

use std::collections::BTreeMap;

use reconcile::{Job, PlanError, task::TaskJob};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use storage::{
    mail::{RECIPIENTS_MAX, is_address},
    queues::Message,
};

use crate::{
    error::{JobError, Refused},
    layout::{ATTEMPT_MAX, JOB_CHARS_MAX, is_job},
};

/// The longest document: with the rest of its message it fits a queue, and a dead letter with its reason.
pub const DOCUMENT_BYTES_MAX: usize = 200 * 1024;

/// A job that is handed in: the body of a message in the queue, and of `POST /jobs`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Whose job it is; where it is left out, the tenant `default`'s.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// Its id: whoever hands in the same document under the same id, however often, hands in one job.
    pub job: String,
    /// Which attempt at it is meant: one more than that which failed or was cancelled begins it again.
    #[serde(default = "first")]
    pub attempt: u32,
    /// The job document, as it was written.
    pub document: Box<RawValue>,
}

fn default_tenant() -> String {
    storage::names::DEFAULT_TENANT.to_owned()
}

const fn first() -> u32 {
    1
}

impl Submission {
    /// The attempt that it is about.
    pub fn attempt(&self) -> TaskJob {
        TaskJob { tenant: self.tenant.clone(), job: self.job.clone(), attempt: self.attempt }
    }

    /// Reads the body of a message, or of `POST /jobs`.
    pub(crate) fn read(body: &str) -> Result<Self, Refused> {
        serde_json::from_str(body).map_err(|error| Refused::Malformed(error.to_string()))
    }

    /// Checks all that can be said of it without looking at anything else. Returns its document.
    pub fn check(&self) -> Result<Job, Refused> {
        let malformed = |problem: String| Err(Refused::Malformed(problem));
        let Self { tenant, job, attempt, document } = self;
        if !storage::names::is_tenant(tenant) {
            return malformed(format!("{tenant:?} is no tenant"));
        }
        if !is_job(job) {
            let name = "lower-case letters, digits, -, _ and ., at most";
            return malformed(format!("{job:?} is no id of a job: expected {name} {JOB_CHARS_MAX} of them"));
        }
        if !(1..=ATTEMPT_MAX).contains(attempt) {
            return malformed(format!("there is no attempt {attempt}"));
        }
        if document.get().len() > DOCUMENT_BYTES_MAX {
            let bytes = document.get().len();
            return malformed(format!("the document has {bytes} bytes, more than {DOCUMENT_BYTES_MAX}"));
        }
        let read = Job::from_json(document.get())?;
        check_mail(&read.options.mail)?;
        Ok(read)
    }

    /// The message by which it is handed in.
    pub fn message(&self) -> Result<Message, JobError> {
        let body = serde_json::to_string(self);
        let body = body.map_err(|error| JobError::Malformed { what: self.job.clone(), reason: error.to_string() })?;
        Ok(Message { body, attributes: BTreeMap::new() })
    }
}

fn check_mail(to: &[String]) -> Result<(), PlanError> {
    let wrong = |path: String, problem: String| Err(PlanError::Document { path, problem });
    if to.len() > RECIPIENTS_MAX {
        let problem = format!("has {} addresses, and a mail goes to {RECIPIENTS_MAX} at most", to.len());
        return wrong("options.mail".to_owned(), problem);
    }
    match to.iter().enumerate().find(|(_, address)| !is_address(address)) {
        Some((index, address)) => wrong(
            format!("options.mail[{index}]"),
            format!("{address:?} is no mail address: expected one like finance@example.com"),
        ),
        None => Ok(()),
    }
}

/// The SHA-256 of a document, in hexadecimal digits: of what it says, however its spaces and line breaks stand.
pub fn digest(document: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let said = document.bytes().filter(|byte| {
        let counts = in_text || !byte.is_ascii_whitespace();
        match byte {
            b'"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && *byte == b'\\' && !escaped;
        counts
    });
    Sha256::digest(said.collect::<Vec<u8>>()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_same_however_it_is_laid_out() {
        assert_eq!(digest(r#"{"a": 1, "b": [2]}"#), digest("{\"a\":1,\n\"b\":[2]}"));
        for (one, other) in [
            (r#"{"a": 1}"#, r#"{"a": 2}"#),
            (r#"{"a": "b c"}"#, r#"{"a": "bc"}"#),
            (r#"{"a": "\" c"}"#, r#"{"a": "\"c"}"#),
            (r#"{"a": 0.1}"#, r#"{"a": 0.10000000000000000001}"#),
        ] {
            assert_ne!(digest(one), digest(other), "{one}");
        }
        assert_eq!(digest(r#"{"a": "\\" , "b": 1}"#), digest(r#"{"a":"\\","b":1}"#));
    }
}
