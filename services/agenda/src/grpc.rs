//! The generated trait: unwrap the request, call the handler, turn an `Error` into a status.

use std::error::Error as _;
use std::fmt::Write as _;

use idempotency::Answer;
use proto::agenda::v1 as pb;
use proto::agenda::v1::agenda_service_server::AgendaService;
use rls::{Assertions, Caller, Database, DatabaseError};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::error::{Error, Missing};
use crate::handlers::{self, Call};

/// Metadata of a refusal: a word that programs compare.
const REASON: &str = "mc-reason";
/// Metadata of a refusal: the field that it is about.
const FIELD: &str = "mc-field";
/// Metadata of a refused version: the one that is current.
const CURRENT_VERSION: &str = "mc-current-version";

/// Answers `mestres.agenda.v1.AgendaService`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AgendaGrpc {
    pub(crate) db: Database,
    pub(crate) assertions: Assertions,
}

impl AgendaGrpc {
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
        })
    }
}

/// Every call has the same shape; only the handler differs.
macro_rules! calls {
    ($($name:ident: $request:ident => $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl AgendaService for AgendaGrpc {
            $(
                async fn $name(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    let call = self.call(&request).map_err(|error| status(error, Caller::Anonymous))?;
                    let caller = call.caller;
                    let answer = handlers::$name::$name(&call, request.into_inner()).await;
                    answer.map(Answer::into_response).map_err(|error| status(error, caller))
                }
            )+
        }
    };
}

calls! {
    list_events: ListEventsRequest => ListEventsResponse,
    get_event: GetEventRequest => GetEventResponse,
    create_event: CreateEventRequest => CreateEventResponse,
    update_event: UpdateEventRequest => UpdateEventResponse,
    delete_event: DeleteEventRequest => DeleteEventResponse,
    list_professionals: ListProfessionalsRequest => ListProfessionalsResponse,
    get_professional: GetProfessionalRequest => GetProfessionalResponse,
    create_professional: CreateProfessionalRequest => CreateProfessionalResponse,
    update_professional: UpdateProfessionalRequest => UpdateProfessionalResponse,
    delete_professional: DeleteProfessionalRequest => DeleteProfessionalResponse,
    list_reports: ListReportsRequest => ListReportsResponse,
    get_report: GetReportRequest => GetReportResponse,
    create_report: CreateReportRequest => CreateReportResponse,
    update_report: UpdateReportRequest => UpdateReportResponse,
    delete_report: DeleteReportRequest => DeleteReportResponse,
    export_user_data: ExportUserDataRequest => ExportUserDataResponse,
}

/// What the caller is told. Our own failures are logged here, once, with all their causes; what a
/// caller did wrong is not.
fn status(error: Error, caller: Caller) -> Status {
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
    let (code, reason, field) = match error {
        Error::Invalid(invalid) => {
            return refusal(Code::InvalidArgument, invalid.reason, Some(&invalid.field), &invalid.detail);
        }
        Error::StaleVersion { current, .. } => {
            let mut status = refusal(Code::Aborted, "version_mismatch", Some("expected_version"), &detail);
            status.metadata_mut().insert(CURRENT_VERSION, MetadataValue::from(*current));
            return status;
        }
        Error::NotFound(Missing::Event) => (Code::NotFound, "event_not_found", None),
        Error::NotFound(Missing::Professional) => (Code::NotFound, "professional_not_found", None),
        Error::NotFound(Missing::Report) => (Code::NotFound, "report_not_found", None),
        Error::DoubleBooking => (Code::AlreadyExists, "double_booking", Some("starts_at")),
        Error::ProfessionalTaken => (Code::AlreadyExists, "professional_taken", Some("name")),
        Error::ProfessionalBooked => (Code::FailedPrecondition, "professional_booked", None),
        Error::Unauthenticated(reason) => {
            return refusal(Code::Unauthenticated, "unauthenticated", None, &reason.to_string());
        }
        Error::Anonymous => (Code::Unauthenticated, "unauthenticated", None),
        Error::NotTheSender | Error::Forbidden => (Code::PermissionDenied, "permission_denied", None),
        // Told by `status`, where they are logged.
        Error::Database(_) | Error::Repeat(_) => (Code::Internal, "internal", None),
    };
    refusal(code, reason, field, &detail)
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
fn refusal(code: Code, reason: &'static str, field: Option<&str>, detail: &str) -> Status {
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
