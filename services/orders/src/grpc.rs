//! The generated traits: unwrap the request, call the handler, turn an `Error` into a status.
//!
//! One file per service below this one; what they share is here.

mod admin;
mod cart;
mod checkout;
mod orders;

use std::fmt::Write as _;

use prost::Message as _;
use proto::orders::v1 as pb;
use rls::{Assertions, Caller, DatabaseError};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::error::{Conflict, Error, LineProblem, Retry};
use crate::handlers::{Call, Shared};
use crate::wire;

/// Longer ids of requests are not ours.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Metadata of a refusal: a word that programs compare.
const REASON: &str = "mc-reason";
/// Metadata of a refusal: the field that it is about.
const FIELD: &str = "mc-field";
/// Metadata of a refused version: the one that is current.
const CURRENT_VERSION: &str = "mc-current-version";
/// Metadata of a refusal: `LineProblems`, the lines to blame.
const LINES: &str = "mc-lines-bin";
/// Metadata of a declined payment: the provider's word, and whether another card may succeed.
const DECLINE_CODE: &str = "mc-decline-code";
const RETRYABLE: &str = "mc-retryable";
/// The same: a `PayResponse` that holds nothing but the receipts of what the attempt made stale.
const RECEIPTS: &str = "mc-receipts-bin";

/// Answers every service of `mestres.orders.v1`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct OrdersGrpc {
    pub(crate) shared: Shared,
    pub(crate) assertions: Assertions,
}

impl OrdersGrpc {
    /// Who calls, and how long they wait.
    pub(crate) fn call<T>(&self, request: &Request<T>) -> Result<Call, Error> {
        let authorization = match request.metadata().get("authorization") {
            Some(value) => Some(value.to_str().map_err(|_not_ascii| rls::Unauthenticated::Malformed)?),
            None => None,
        };
        let caller = self.assertions.caller(authorization)?.caller;
        let request_id = authorization
            .and_then(rls::stated_request_id)
            .filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()))
            .unwrap_or_else(|| Uuid::now_v7().to_string());
        Ok(Call {
            caller,
            repeat: idempotency::Request::from_metadata(request.metadata(), &caller)?,
            within: bootstrap::grpc::remaining(request),
            request_id,
            shared: self.shared.clone(),
        })
    }
}

/// Every unary call has the same shape; only the handler differs. Items after the calls, such as streams, are taken
/// into the implementation as they are.
macro_rules! calls {
    ($service:ident { $($name:ident: $request:ident => $response:ident = $handler:path),+ $(,)? } $($more:tt)*) => {
        #[tonic::async_trait]
        impl $service for $crate::grpc::OrdersGrpc {
            $(
                async fn $name(
                    &self,
                    request: tonic::Request<proto::orders::v1::$request>,
                ) -> Result<tonic::Response<proto::orders::v1::$response>, tonic::Status> {
                    let call = self
                        .call(&request)
                        .map_err(|error| $crate::grpc::status(error, rls::Caller::Anonymous))?;
                    let answer = $handler(&call, request.into_inner()).await;
                    answer
                        .map(idempotency::Answer::into_response)
                        .map_err(|error| $crate::grpc::status(error, call.caller))
                }
            )+

            $($more)*
        }
    };
}
use calls;

/// What the caller is told. Our own failures are logged here, once, with all their causes; what a
/// caller did wrong is not.
pub(crate) fn status(error: Error, caller: Caller) -> Status {
    match error {
        Error::Database(failure) => database_status(&failure, caller),
        Error::Repeat(refused) => idempotency::status(&refused),
        error => refused(&error),
    }
}

/// Refusals of what the caller did wrong are kept for repeats, see [`idempotency::once`].
impl idempotency::Verdict for Error {
    fn refusal(&self) -> Option<Status> {
        match self {
            Self::Database(_)
            | Self::Repeat(_)
            | Self::Away(_)
            | Self::Overloaded
            | Self::Draining
            | Self::Injected(_) => None,
            error => Some(refused(error)),
        }
    }

    /// Somebody else's first cart in between may be a conflict too: the next try finds it there.
    fn is_conflict(&self) -> bool {
        match self {
            Self::Database(failure) => idempotency::is_conflict(failure),
            Self::Conflict(conflict) => *conflict == Conflict::CartTwice,
            _ => false,
        }
    }
}

fn refused(error: &Error) -> Status {
    let detail = error.to_string();
    match error {
        Error::Invalid(invalid) => {
            refusal(Code::InvalidArgument, invalid.reason, Some(&invalid.field), &invalid.detail)
        }
        Error::NotFound(missing) => refusal(Code::NotFound, missing.reason(), None, &detail),
        Error::StaleVersion { current, .. } => {
            let mut status = refusal(Code::Aborted, "version_mismatch", Some("expected_version"), &detail);
            status.metadata_mut().insert(CURRENT_VERSION, MetadataValue::from(*current));
            status
        }
        Error::Conflict(conflict) => refusal(Code::Aborted, conflict.reason(), None, &detail),
        Error::Lines(conflict, lines) => {
            let mut status = refusal(Code::Aborted, conflict.reason(), None, &detail);
            status.metadata_mut().insert_bin(LINES, MetadataValue::from_bytes(&problems(lines)));
            status
        }
        Error::Exhausted(exhausted) => refusal(Code::ResourceExhausted, exhausted.reason(), None, &detail),
        Error::Declined { code, retryable, receipts } => {
            let mut status = refusal(Code::FailedPrecondition, "payment_declined", None, &detail);
            if let Ok(code) = code.parse() {
                status.metadata_mut().insert(DECLINE_CODE, code);
            }
            let retryable = match retryable {
                Retry::Possible => "true",
                Retry::Pointless => "false",
            };
            status.metadata_mut().insert(RETRYABLE, MetadataValue::from_static(retryable));
            if !receipts.is_empty() {
                let receipts = receipts.iter().cloned().map(wire::payment::receipt).collect();
                let stale = pb::PayResponse { receipts, ..pb::PayResponse::default() }.encode_to_vec();
                status.metadata_mut().insert_bin(RECEIPTS, MetadataValue::from_bytes(&stale));
            }
            status
        }
        Error::Away(away) => refusal(Code::Unavailable, away.reason(), None, "try again later"),
        Error::Unauthenticated(_) | Error::Anonymous => {
            refusal(Code::Unauthenticated, "unauthenticated", None, &detail)
        }
        Error::Forbidden => refusal(Code::PermissionDenied, "permission_denied", None, &detail),
        Error::Injected(_) => refusal(Code::Unavailable, "injected", None, &detail),
        Error::Draining => refusal(Code::Unavailable, "draining", None, &detail),
        Error::Overloaded => refusal(Code::Unavailable, "overloaded", None, "try again in a moment"),
        // Told elsewhere, with what only its own crate knows.
        Error::Database(_) | Error::Repeat(_) => refusal(Code::Internal, "internal", None, "try again later"),
    }
}

fn database_status(failure: &DatabaseError, caller: Caller) -> Status {
    let (code, reason) = match failure {
        DatabaseError::Busy => (Code::Unavailable, "database_busy"),
        DatabaseError::Unavailable(_) => (Code::Unavailable, "database_unavailable"),
        DatabaseError::Conflict(_) => (Code::Unavailable, "database_conflict"),
        DatabaseError::Deadline => (Code::DeadlineExceeded, "deadline_exceeded"),
        DatabaseError::CommitUnknown(_) => (Code::Unknown, "outcome_unknown"),
        DatabaseError::Refused(_) | DatabaseError::Aborted(_) | DatabaseError::Statement(_) => {
            (Code::Internal, "internal")
        }
    };
    let causes = causes(failure);
    if matches!(code, Code::Internal | Code::Unknown) {
        tracing::error!(caller.role = caller.role(), error = %causes, "a call failed in the database");
    } else {
        tracing::warn!(caller.role = caller.role(), error = %causes, "the database did not answer a call");
    }
    // The causes are ours alone: they may hold what a row holds.
    refusal(code, reason, None, "try again later")
}

/// `<field or reason>: <detail>`, and both as metadata.
fn refusal(code: Code, reason: &'static str, field: Option<&str>, detail: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(REASON, MetadataValue::from_static(reason));
    if let Some(field) = field.and_then(|field| field.parse().ok()) {
        metadata.insert(FIELD, field);
    }
    Status::with_metadata(code, format!("{}: {detail}", field.unwrap_or(reason)), metadata)
}

fn problems(lines: &[LineProblem]) -> Vec<u8> {
    let lines = lines
        .iter()
        .map(|line| pb::LineProblem {
            index: line.index,
            variant_id: line.variant_id,
            code: line.code.to_owned(),
            available: line.available,
            unit_amount: line.unit_amount,
        })
        .collect();
    pb::LineProblems { lines }.encode_to_vec()
}

/// An error with all its causes, for the log.
pub(crate) fn causes(failure: &dyn std::error::Error) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
