//! What can go wrong, and with which exit status the command then ends.

use std::{fmt, io, path::Path, process::ExitCode};

use error_class::{Classified, ErrorClass, chain};
use intake::{IntakeError, feed::FeedError, load::LoadError};
use ledger::{LedgerError, operate::OperateError};
use report::text;
use storage::StorageError;

/// Why the command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It cannot be done as it was given.
    Misuse(String),
    /// The service, the network or this machine failed.
    Service(String),
    /// The service does not answer.
    Unreachable(String),
    /// What the template deploys is not there.
    NotDeployed(String),
    /// The caller has seen enough.
    Interrupted(String),
    /// The run failed, or the batch did not get into its ledger; figures and reason are told already.
    Run,
    /// Whoever read our output has seen enough: `tieout run output … | head`.
    ReaderGone,
}

impl Failure {
    /// What a person is told, who may expect the installation on this machine.
    pub(crate) fn message(&self, local: bool) -> Option<String> {
        match self {
            Self::Unreachable(message) if local => {
                Some(format!("error: {message}\nIs the local stack running? `make up` starts it."))
            }
            Self::NotDeployed(message) if local => {
                Some(format!("error: {message}\nIs the local stack deployed? `make up` deploys it."))
            }
            Self::Misuse(message)
            | Self::Service(message)
            | Self::Unreachable(message)
            | Self::NotDeployed(message) => Some(format!("error: {message}")),
            Self::Interrupted(message) => Some(message.clone()),
            Self::Run | Self::ReaderGone => None,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::ReaderGone => 0,
            Self::Run | Self::Service(_) | Self::Unreachable(_) | Self::NotDeployed(_) => 1,
            Self::Misuse(_) => 2,
            Self::Interrupted(_) => 130,
        })
    }

    pub(crate) fn misuse(message: impl fmt::Display) -> Self {
        Self::Misuse(message.to_string())
    }

    /// A local file that cannot be read or written as asked.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::Misuse(format!("{}: {error}", shown(path)))
    }

    /// Standard output failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Service(format!("standard output: {error}")),
        }
    }
}

/// A path as a terminal can bear it.
pub(crate) fn shown(path: &Path) -> String {
    text::visible(&path.to_string_lossy(), PATH_CHARS_MAX)
}

/// Characters of a path that a terminal is given.
const PATH_CHARS_MAX: usize = 500;

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::NotFound { what } => {
                // An object can be gone from what is deployed; a table cannot.
                let kind = if what.starts_with("s3://") { Self::Service } else { Self::NotDeployed };
                kind(format!("{error}: --stack, --profile, --region and --endpoint-url say where to look"))
            }
            StorageError::Unavailable { .. } => Self::Unreachable(chain(&error)),
            _ => Self::Service(chain(&error)),
        }
    }
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Storage(error) => error.into(),
            IntakeError::Feed(error) => error.into(),
            other => Self::Service(chain(&other)),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Storage(error) => error.into(),
            other => match other.class() {
                ErrorClass::InvalidInput | ErrorClass::Conflict => Self::Misuse(chain(&other)),
                ErrorClass::Unavailable => Self::Unreachable(chain(&other)),
                _ => Self::Service(chain(&other)),
            },
        }
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        LedgerError::from(error).into()
    }
}

impl From<FeedError> for Failure {
    fn from(error: FeedError) -> Self {
        Self::Misuse(chain(&error))
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Intake(error) => error.into(),
            other => Self::Misuse(chain(&other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::{JobNumber, job::JobRefusal, turns::TurnError};

    use super::*;

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let gone = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.message(false), gone.exit_code()), (None, ExitCode::SUCCESS));
        let full = Failure::output(&io::ErrorKind::StorageFull.into());
        assert_eq!((full.message(false).is_some(), full.exit_code()), (true, ExitCode::from(1)));
    }

    #[test]
    fn where_a_local_stack_does_not_answer_its_start_is_told() {
        let silent = StorageError::Unavailable { what: "STS".to_owned(), source: "refused".into() };
        let failure = Failure::from(IntakeError::Storage(silent));
        assert_eq!(failure.exit_code(), ExitCode::from(1));
        assert!(failure.message(true).unwrap().contains("`make up`"));
        assert_eq!(failure.message(false).unwrap(), "error: STS is unavailable: refused");
    }

    #[test]
    fn where_nothing_is_deployed_the_way_to_do_so_is_told() {
        let failure = Failure::from(StorageError::NotFound { what: "table tieout-ledgers".to_owned() });
        assert!(failure.message(true).unwrap().contains("`make up` deploys it"));
        assert!(failure.message(false).unwrap().ends_with("--endpoint-url say where to look"));
        let object = Failure::from(StorageError::NotFound { what: "s3://data/out.csv".to_owned() });
        assert!(!object.message(true).unwrap().contains("make up"));
    }

    #[test]
    fn only_what_the_caller_can_mend_is_misuse() {
        let missing = || StorageError::NotFound { what: "tieout-runs".to_owned() };
        assert_eq!(Failure::from(IntakeError::Storage(missing())).exit_code(), ExitCode::from(1));
        assert_eq!(Failure::from(LoadError::Intake(missing().into())).exit_code(), ExitCode::from(1));
        assert_eq!(Failure::from(LoadError::Name("A".to_owned())).exit_code(), ExitCode::from(2));
        let unavailable = || StorageError::Unavailable { what: "DynamoDB".to_owned(), source: "refused".into() };
        for (error, code) in [
            (LedgerError::from(missing()), 1),
            (LedgerError::from(TurnError::from(unavailable())), 1),
            (LedgerError::from(JobRefusal::NotParked(JobNumber::new(3))), 2),
        ] {
            assert_eq!(Failure::from(error).exit_code(), ExitCode::from(code));
        }
        let wrong = FeedError::Shape("expected value".to_owned());
        assert_eq!(Failure::from(IntakeError::Feed(wrong)).exit_code(), ExitCode::from(2));
    }
}
