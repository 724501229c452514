//! The generated trait: unwrap the request, call the handler, turn an `Error` into a status.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use idempotency::Answer;
use proto::accounts::v1 as pb;
use proto::accounts::v1::accounts_service_server::AccountsService;
use rls::{Assertions, Caller, DatabaseError};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::error::{Error, Missing};
use crate::handlers::{self, Call, Resources};

/// Metadata of a refusal: a word that programs compare.
const REASON: &str = "mc-reason";
/// Metadata of a refusal: the field that it is about.
const FIELD: &str = "mc-field";
/// Metadata of a refused version: the one that is current.
const CURRENT_VERSION: &str = "mc-current-version";
/// Metadata of a refusal for now: after how many milliseconds another try makes sense.
const RETRY_AFTER_MS: &str = "mc-retry-after-ms";

/// Answers `mestres.accounts.v1.AccountsService`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AccountsGrpc {
    pub(crate) resources: Resources,
    pub(crate) assertions: Assertions,
}

impl AccountsGrpc {
    /// Who calls, and how long they wait.
    fn call<T>(&self, request: &Request<T>) -> Result<Call, Error> {
        let authorization = match request.metadata().get("authorization") {
            Some(value) => Some(value.to_str().map_err(|_not_ascii| rls::Unauthenticated::Malformed)?),
            None => None,
        };
        let asserted = self.assertions.caller(authorization)?;
        let request_id = authorization.and_then(rls::stated_request_id);
        Ok(Call {
            request_id: request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            repeat: idempotency::Request::from_metadata(request.metadata(), &asserted.caller)?,
            asserted,
            within: bootstrap::grpc::remaining(request),
            resources: self.resources.clone(),
        })
    }
}

/// Every call has the same shape; only the handler differs.
macro_rules! calls {
    ($($name:ident: $request:ident => $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl AccountsService for AccountsGrpc {
            $(
                async fn $name(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    let call = self.call(&request).map_err(|error| status(error, Caller::Anonymous))?;
                    let caller = call.asserted.caller;
                    let answer = handlers::$name::$name(&call, request.into_inner()).await;
                    if let Err(Error::Throttled { .. }) = &answer {
                        self.resources.counters.throttled.increment();
                    }
                    answer.map(Answer::into_response).map_err(|error| status(error, caller))
                }
            )+
        }
    };
}

calls! {
    register: RegisterRequest => RegisterResponse,
    verify_email: VerifyEmailRequest => VerifyEmailResponse,
    login: LoginRequest => LoginResponse,
    refresh: RefreshRequest => RefreshResponse,
    logout: LogoutRequest => LogoutResponse,
    logout_all: LogoutAllRequest => LogoutAllResponse,
    forgot_password: ForgotPasswordRequest => ForgotPasswordResponse,
    reset_password: ResetPasswordRequest => ResetPasswordResponse,
    change_password: ChangePasswordRequest => ChangePasswordResponse,
    step_up: StepUpRequest => StepUpResponse,
    list_sessions: ListSessionsRequest => ListSessionsResponse,
    revoke_session: RevokeSessionRequest => RevokeSessionResponse,
    enrol_totp: EnrolTotpRequest => EnrolTotpResponse,
    confirm_totp: ConfirmTotpRequest => ConfirmTotpResponse,
    disable_totp: DisableTotpRequest => DisableTotpResponse,
    get_profile: GetProfileRequest => GetProfileResponse,
    update_profile: UpdateProfileRequest => UpdateProfileResponse,
    list_addresses: ListAddressesRequest => ListAddressesResponse,
    create_address: CreateAddressRequest => CreateAddressResponse,
    update_address: UpdateAddressRequest => UpdateAddressResponse,
    delete_address: DeleteAddressRequest => DeleteAddressResponse,
    request_export: RequestExportRequest => RequestExportResponse,
    request_erasure: RequestErasureRequest => RequestErasureResponse,
    get_data_job: GetDataJobRequest => GetDataJobResponse,
    list_users: ListUsersRequest => ListUsersResponse,
    get_user: GetUserRequest => GetUserResponse,
    update_user: UpdateUserRequest => UpdateUserResponse,
    lock_user: LockUserRequest => LockUserResponse,
    list_revocations: ListRevocationsRequest => ListRevocationsResponse,
    check_session: CheckSessionRequest => CheckSessionResponse,
    get_contact: GetContactRequest => GetContactResponse,
    list_active_users: ListActiveUsersRequest => ListActiveUsersResponse,
}

/// What the caller is told. Our own failures are logged here, once, with all their causes; what a
/// caller did wrong is not.
fn status(error: Error, caller: Caller) -> Status {
    match error {
        Error::Database(failure) => database_status(failure, caller),
        Error::Repeat(refused) => idempotency::status(&refused),
        Error::Internal(what) => {
            tracing::error!(caller.role = caller.role(), error = what, "a call failed");
            refusal(Code::Internal, "internal", None, "try again later")
        }
        error => refused(&error),
    }
}

/// Refusals of what the caller did wrong are kept for repeats, see [`idempotency::once`].
impl idempotency::Verdict for Error {
    fn refusal(&self) -> Option<Status> {
        match self {
            Self::Database(_) | Self::Repeat(_) | Self::Internal(_) => None,
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
        Error::NotFound(missing) => {
            let reason = match missing {
                Missing::User => "user_not_found",
                Missing::Session => "session_not_found",
                Missing::Address => "address_not_found",
                Missing::DataJob => "data_job_not_found",
            };
            refusal(Code::NotFound, reason, None, &detail)
        }
        Error::StaleVersion { current, .. } => {
            let mut status = refusal(Code::Aborted, "version_mismatch", Some("expected_version"), &detail);
            status.metadata_mut().insert(CURRENT_VERSION, MetadataValue::from(*current));
            status
        }
        Error::Unauthenticated(reason) => {
            refusal(Code::Unauthenticated, "unauthenticated", None, &reason.to_string())
        }
        Error::Anonymous => refusal(Code::Unauthenticated, "unauthenticated", None, &detail),
        Error::InvalidCredentials => refusal(Code::Unauthenticated, "invalid_credentials", None, &detail),
        Error::TotpRequired => refusal(Code::Unauthenticated, "totp_required", None, &detail),
        Error::Forbidden => refusal(Code::PermissionDenied, "permission_denied", None, &detail),
        Error::StepUpRequired => refusal(Code::PermissionDenied, "step_up_required", None, &detail),
        Error::OwnAccount => refusal(Code::PermissionDenied, "own_account", None, &detail),
        Error::LastAdmin => refusal(Code::PermissionDenied, "last_admin", None, &detail),
        Error::Throttled { retry_after } => {
            later(refusal(Code::ResourceExhausted, "rate_limited", None, &detail), *retry_after)
        }
        Error::Overloaded { retry_after } => {
            later(refusal(Code::Unavailable, "overloaded", None, &detail), *retry_after)
        }
        // Told by `status`, where they are logged.
        Error::Database(_) | Error::Repeat(_) | Error::Internal(_) => {
            refusal(Code::Internal, "internal", None, "try again later")
        }
    }
}

fn later(mut status: Status, retry_after: Duration) -> Status {
    let milliseconds = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert(RETRY_AFTER_MS, MetadataValue::from(milliseconds));
    status
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
