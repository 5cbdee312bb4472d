//! SDK errors → [`StorageError`]s.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use storage::StorageError;

/// Codes with which services ask to slow down.
const THROTTLED: [&str; 15] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Codes of faults that pass, whatever their HTTP status.
const UNAVAILABLE: [&str; 6] = [
    "ConditionalRequestConflict",
    "InternalError",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
];

/// Codes of calls that the permissions or credentials in force do not allow.
const DENIED: [&str; 8] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes of things that are not there. (Those of HEAD requests have no body, and so no code.)
const NOT_FOUND: [&str; 7] = [
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchVersion",
    "NotFound",
    "ResourceNotFoundException",
    "StateMachineDeleting",
    "StateMachineDoesNotExist",
];

/// The code that a service gave, if it answered at all.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(|error| error.code())
}

/// The HTTP status of the answer, if there was one.
pub(crate) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// What `error` means for the call `action` (as IAM names it) on `what` (a full address).
pub(crate) fn classify<E>(action: &str, what: impl Into<String>, error: SdkError<E>) -> StorageError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let what = what.into();
    let status = status(&error);
    let (code, message) = match error.as_service_error() {
        Some(service) => (service.code().unwrap_or_default(), service.message().unwrap_or_default()),
        None => ("", ""),
    };
    if THROTTLED.contains(&code) || status == Some(429) {
        return StorageError::Throttled { what, source: error.into() };
    }
    if DENIED.contains(&code) {
        return StorageError::Denied { action: action.to_owned(), what };
    }
    if NOT_FOUND.contains(&code) {
        return StorageError::NotFound { what };
    }
    match (&error, status) {
        (SdkError::ConstructionFailure(_), _) => {
            let reason = chain(&error);
            StorageError::Invalid { what, reason }
        }
        (SdkError::ServiceError(_), Some(403)) => StorageError::Denied { action: action.to_owned(), what },
        (SdkError::ServiceError(_), Some(404)) => StorageError::NotFound { what },
        (SdkError::ServiceError(_), Some(412)) => StorageError::Changed { what },
        (SdkError::ServiceError(_), Some(400..=499)) if !UNAVAILABLE.contains(&code) => {
            let reason = if code.is_empty() { chain(&error) } else { format!("{code}: {message}") };
            StorageError::Invalid { what, reason }
        }
        // No answer, a broken one, a fault of the service, or one that passes.
        _ => StorageError::Unavailable { what, source: error.into() },
    }
}

/// An answer of a service that lacks what it must have.
pub(crate) fn unreadable(what: impl Into<String>, reason: impl Into<String>) -> StorageError {
    StorageError::Invalid { what: what.into(), reason: format!("the answer cannot be read: {}", reason.into()) }
}

fn chain(error: &dyn Error) -> String {
    error_class::chain(error)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::{
        config::http::HttpResponse,
        error::{ConnectorError, ErrorMetadata},
        operation::get_object::GetObjectError,
        primitives::SdkBody,
    };
    use error_class::{Classified, ErrorClass};

    use super::*;

    fn answer(status: u16) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::empty())
    }

    fn service(status: u16, code: &str) -> StorageError {
        let meta = ErrorMetadata::builder().code(code).message("told so").build();
        classify("s3:GetObject", "s3://b/k", SdkError::service_error(GetObjectError::generic(meta), answer(status)))
    }

    fn transport(error: SdkError<GetObjectError>) -> StorageError {
        classify("s3:GetObject", "s3://b/k", error)
    }

    #[test]
    fn services_are_believed() {
        for (status, code, class) in [
            (503, "SlowDown", ErrorClass::Throttled),
            (400, "ProvisionedThroughputExceededException", ErrorClass::Throttled),
            (429, "", ErrorClass::Throttled),
            (500, "InternalError", ErrorClass::Unavailable),
            (503, "ServiceUnavailable", ErrorClass::Unavailable),
            (409, "ConditionalRequestConflict", ErrorClass::Unavailable),
            (400, "RequestTimeout", ErrorClass::Unavailable),
            (502, "", ErrorClass::Unavailable),
            (404, "NoSuchKey", ErrorClass::Bug),
            (412, "PreconditionFailed", ErrorClass::Bug),
            (403, "", ErrorClass::Bug),
            (400, "AccessDeniedException", ErrorClass::Bug),
            (400, "ValidationException", ErrorClass::Bug),
        ] {
            assert_eq!(service(status, code).class(), class, "{status} {code}");
        }
    }

    #[test]
    fn kinds_carry_address_action_and_reason() {
        assert_eq!(service(403, "AccessDenied").to_string(), "not allowed to s3:GetObject s3://b/k");
        assert_eq!(service(400, "ResourceNotFoundException").to_string(), "s3://b/k does not exist");
        assert_eq!(service(400, "ValidationException").to_string(), "s3://b/k: ValidationException: told so");
        assert!(matches!(service(412, ""), StorageError::Changed { .. }));
    }

    #[test]
    fn silence_is_unavailable() {
        for error in [
            SdkError::timeout_error("too slow"),
            SdkError::dispatch_failure(ConnectorError::io("reset".into())),
            SdkError::response_error("cut off", answer(200)),
        ] {
            assert_eq!(transport(error).class(), ErrorClass::Unavailable);
        }
        assert_eq!(transport(SdkError::construction_failure("no such header")).class(), ErrorClass::Bug);
    }
}
