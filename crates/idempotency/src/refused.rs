//! Why a request was not done, or not again.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Metadata of an answer that was given before: `true`.
pub const REPLAYED: &str = "mc-idempotent-replayed";
/// Metadata of a refusal that was given before: the id of the request that got it first.
pub const REQUEST_ID: &str = "mc-idempotent-request-id";

/// Metadata of a refusal: a word that programs compare.
pub(crate) const REASON: &str = "mc-reason";
/// Metadata of a refusal: the field that it is about.
const FIELD: &str = "mc-field";

/// Why a request with an idempotency key was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// The key is none, or the caller's gateway left out what belongs to it.
    #[error("an idempotency key is 1 to 255 printable ASCII characters without spaces")]
    Malformed,
    /// The same request is being worked on. Worth another try in a second.
    #[error("the same request is being worked on")]
    InFlight,
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    OtherRequest,
    /// It was done before, and its reply was too long to be kept.
    #[error("the request was done before; its reply was too long to be kept")]
    NotKept,
    /// What the first request was told.
    #[error("{}", .0.message())]
    Replayed(Box<Status>),
    /// A bug: what was kept cannot be read.
    #[error("the kept reply cannot be read")]
    Unreadable,
}

/// The status of a refusal, with a machine-readable reason; a replayed one is as it was, marked as replayed.
pub fn status(refused: &Refused) -> Status {
    let (code, reason) = match refused {
        Refused::Malformed => (Code::InvalidArgument, "idempotency_key_invalid"),
        Refused::InFlight => (Code::Aborted, "idempotency_in_flight"),
        Refused::OtherRequest => (Code::FailedPrecondition, "idempotency_key_reused"),
        Refused::NotKept => (Code::FailedPrecondition, "idempotency_reply_not_kept"),
        Refused::Replayed(status) => return Status::clone(status),
        Refused::Unreadable => {
            tracing::error!("a kept reply cannot be read");
            (Code::Internal, "internal")
        }
    };
    let mut metadata = MetadataMap::new();
    metadata.insert(REASON, MetadataValue::from_static(reason));
    if code == Code::InvalidArgument {
        metadata.insert(FIELD, MetadataValue::from_static("idempotency-key"));
    }
    Status::with_metadata(code, format!("{reason}: {refused}"), metadata)
}

/// Whether a refusal is kept: what the caller did wrong, and what asking again cannot change.
pub(crate) fn is_kept(status: &Status) -> bool {
    let reason = status.metadata().get(REASON).and_then(|reason| reason.to_str().ok()).unwrap_or_default();
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange => true,
        // Asking again is what is asked for.
        Code::Aborted => !reason.ends_with("in_flight"),
        // Whoever proves who they are may repeat the request.
        Code::PermissionDenied => reason != "step_up_required",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_attempt_may_change_is_not_kept() {
        #[track_caller]
        fn check(code: Code, reason: &'static str, kept: bool) {
            let mut status = Status::new(code, "");
            status.metadata_mut().insert(REASON, MetadataValue::from_static(reason));
            assert_eq!(is_kept(&status), kept, "{code:?} {reason}");
        }
        check(Code::InvalidArgument, "invalid", true);
        check(Code::NotFound, "cart_not_found", true);
        check(Code::Aborted, "out_of_stock", true);
        check(Code::Aborted, "idempotency_in_flight", false);
        check(Code::Aborted, "payment_in_flight", false);
        check(Code::PermissionDenied, "permission_denied", true);
        check(Code::PermissionDenied, "step_up_required", false);
        check(Code::Unauthenticated, "unauthenticated", false);
        check(Code::DeadlineExceeded, "deadline_exceeded", false);
        check(Code::ResourceExhausted, "too_many_unpaid_orders", false);
        check(Code::Unavailable, "database_busy", false);
        check(Code::Internal, "internal", false);
        check(Code::Unknown, "outcome_unknown", false);
    }

    #[test]
    fn each_refusal_has_its_status() {
        #[track_caller]
        fn check(refused: &Refused, code: Code, reason: &str) {
            let status = status(refused);
            assert_eq!(status.code(), code);
            assert_eq!(status.metadata().get(REASON).expect("a reason"), reason);
        }
        check(&Refused::Malformed, Code::InvalidArgument, "idempotency_key_invalid");
        check(&Refused::InFlight, Code::Aborted, "idempotency_in_flight");
        check(&Refused::OtherRequest, Code::FailedPrecondition, "idempotency_key_reused");
        check(&Refused::NotKept, Code::FailedPrecondition, "idempotency_reply_not_kept");
        check(&Refused::Unreadable, Code::Internal, "internal");
    }
}
