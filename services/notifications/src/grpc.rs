//! The generated trait: unwrap the request, call the handler, turn an `Error` into a status.

use std::error::Error as _;
use std::fmt::Write as _;

use idempotency::Answer;
use proto::notifications::v1 as pb;
use proto::notifications::v1::notifications_service_server::NotificationsService;
use rls::{Assertions, Caller, Database, DatabaseError};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::error::Error;
use crate::follow::{Followers, Following};
use crate::handlers::{self, Call};
use crate::mail::Mails;

/// Metadata of a refusal: a word that programs compare.
const REASON: &str = "mc-reason";
/// Metadata of a refusal: the field that it is about.
const FIELD: &str = "mc-field";
/// Metadata of a refusal: after so many milliseconds it may be another answer.
const RETRY_AFTER: &str = "mc-retry-after-ms";
/// How soon it may be worth asking for another stream: one whose reader has left is noticed by then.
const STREAM_RETRY_MS: u32 = 10_000;

/// Answers `mestres.notifications.v1.NotificationsService`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct NotificationsGrpc {
    pub(crate) db: Database,
    pub(crate) assertions: Assertions,
    pub(crate) mails: Mails,
    pub(crate) followers: Followers,
}

impl NotificationsGrpc {
    /// Who calls, and how long they wait.
    fn call<T>(&self, request: &Request<T>) -> Result<Call, Error> {
        let authorization = match request.metadata().get("authorization") {
            Some(value) => Some(value.to_str().map_err(|_not_ascii| rls::Unauthenticated::Malformed)?),
            None => None,
        };
        let caller = self.assertions.caller(authorization)?.caller;
        Ok(Call {
            caller,
            repeat: idempotency::Request::from_metadata(request.metadata(), &caller)?,
            within: bootstrap::grpc::remaining(request),
            db: self.db.clone(),
            mails: self.mails.clone(),
            followers: self.followers.clone(),
        })
    }
}

/// Every call has the same shape; only the handler differs.
macro_rules! calls {
    ($($name:ident: $request:ident => $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl NotificationsService for NotificationsGrpc {
            $(
                async fn $name(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    let call = self.call(&request).map_err(|error| status(error, Caller::Anonymous))?;
                    let caller = call.caller;
                    let answer = handlers::$name::$name(&call, request.into_inner()).await;
                    answer.map(Answer::into_response).map_err(|error| status(error, caller))
                }
            )+

            type FollowNotificationsStream = Following;

            async fn follow_notifications(
                &self,
                request: Request<pb::FollowNotificationsRequest>,
            ) -> Result<Response<Following>, Status> {
                let call = self.call(&request).map_err(|error| status(error, Caller::Anonymous))?;
                let caller = call.caller;
                let answer =
                    handlers::follow_notifications::follow_notifications(&call, request.into_inner()).await;
                answer.map(Response::new).map_err(|error| status(error, caller))
            }
        }
    };
}

calls! {
    list_notifications: ListNotificationsRequest => ListNotificationsResponse,
    mark_notification: MarkNotificationRequest => MarkNotificationResponse,
    mark_all_read: MarkAllReadRequest => MarkAllReadResponse,
    delete_notification: DeleteNotificationRequest => DeleteNotificationResponse,
    get_preferences: GetPreferencesRequest => GetPreferencesResponse,
    update_preferences: UpdatePreferencesRequest => UpdatePreferencesResponse,
    enqueue_email: EnqueueEmailRequest => EnqueueEmailResponse,
    export_user_data: ExportUserDataRequest => ExportUserDataResponse,
}

/// What the caller is told. Our own failures are logged here, once, with all their causes; what a
/// caller did wrong is not.
pub(crate) fn status(error: Error, caller: Caller) -> Status {
    match error {
        Error::Database(failure) => database_status(failure, caller),
        Error::Repeat(refused) => idempotency::status(&refused),
        error => refused(&error),
    }
}

/// Refusals of what the caller did wrong are kept for repeats, see [`idempotency::once`].
impl idempotency::Verdict for Error {
    fn refusal(&self) -> Option<Status> {
        match self {
            Self::Database(_) | Self::Repeat(_) => None,
            error => Some(refused(error)),
        }
    }
}

fn refused(error: &Error) -> Status {
    let detail = error.to_string();
    match error {
        Error::Invalid(invalid) => {
            refusal(Code::InvalidArgument, invalid.reason, Some(&invalid.field), &invalid.detail)
        }
        Error::NotFound => refusal(Code::NotFound, "notification_not_found", None, &detail),
        Error::Unauthenticated(_) | Error::Anonymous => {
            refusal(Code::Unauthenticated, "unauthenticated", None, &detail)
        }
        Error::Forbidden => refusal(Code::PermissionDenied, "permission_denied", None, &detail),
        Error::TooManyStreams => {
            let mut status = refusal(Code::ResourceExhausted, "too_many_streams", None, &detail);
            status.metadata_mut().insert(RETRY_AFTER, MetadataValue::from(STREAM_RETRY_MS));
            status
        }
        Error::StreamsFull => refusal(Code::Unavailable, "streams_full", None, &detail),
        Error::Draining => refusal(Code::Unavailable, "draining", None, &detail),
        // Told by `status`, where they are logged.
        Error::Database(_) | Error::Repeat(_) => refusal(Code::Internal, "internal", None, "try again later"),
    }
}

/// The last word to a follower that did not keep up.
pub(crate) fn slow_reader() -> Status {
    refusal(Code::ResourceExhausted, "slow_reader", None, "follow again from the last position")
}

fn database_status(failure: DatabaseError, caller: Caller) -> Status {
    let (code, reason) = match &failure {
        DatabaseError::Busy => (Code::Unavailable, "database_busy"),
        DatabaseError::Unavailable(_) => (Code::Unavailable, "database_unavailable"),
        DatabaseError::Conflict(_) => (Code::Unavailable, "database_conflict"),
        DatabaseError::Deadline => (Code::DeadlineExceeded, "deadline_exceeded"),
        DatabaseError::CommitUnknown(_) => (Code::Unknown, "outcome_unknown"),
        DatabaseError::Refused(_) | DatabaseError::Aborted(_) | DatabaseError::Statement(_) => {
            (Code::Internal, "internal")
        }
    };
    let causes = causes(&failure);
    if matches!(code, Code::Internal | Code::Unknown) {
        tracing::error!(caller.role = caller.role(), error = %causes, "a call failed in the database");
    } else {
        tracing::warn!(caller.role = caller.role(), error = %causes, "the database did not answer a call");
    }
    // The causes are ours alone: they may hold what a row holds.
    refusal(code, reason, None, "try again later")
}

/// `<field or reason>: <detail>`, and both as metadata.
pub(crate) fn refusal(code: Code, reason: &'static str, field: Option<&str>, detail: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(REASON, MetadataValue::from_static(reason));
    if let Some(field) = field.and_then(|field| field.parse().ok()) {
        metadata.insert(FIELD, field);
    }
    Status::with_metadata(code, format!("{}: {detail}", field.unwrap_or(reason)), metadata)
}

fn causes(failure: &DatabaseError) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
