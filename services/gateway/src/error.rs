//! What can go wrong with a request, and the one place that turns it, or a gRPC status, into an answer.

mod refusal;

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use prost::Message as _;
use proto::events::v1::PurgeReceipt;
use proto::orders::v1::PayResponse;
use tonic::Code;
use tonic::metadata::MetadataMap;

pub use self::refusal::{LineError, Refusal};
use crate::gate::WriteToken;

/// A sentence in both languages of the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Brazilian Portuguese, the default.
    pub pt: Cow<'static, str>,
    /// English.
    pub en: Cow<'static, str>,
}

impl Text {
    /// A sentence known beforehand.
    pub const fn fixed(pt: &'static str, en: &'static str) -> Self {
        Self { pt: Cow::Borrowed(pt), en: Cow::Borrowed(en) }
    }

    /// The same text whatever the language: values, and what services say.
    pub fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { pt: Cow::Owned(text.clone()), en: Cow::Owned(text) }
    }
}

/// One field of a body that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer into the body (RFC 6901).
    pub pointer: String,
    /// Machine-readable: `required`, `type`, `unknown`, `min`, `max`, `format`, `duplicate`, `invalid`.
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: Text,
}

/// Everything a request can be answered with instead of what it asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A parameter of the path or query is unknown, repeated or out of range.
    #[error("parameter {name} is invalid")]
    InvalidParameter {
        /// As the client wrote it, shortened.
        name: Cow<'static, str>,
        /// What is expected.
        detail: Text,
    },
    /// The page lies beyond what numbered pages reach.
    #[error("the page lies too deep")]
    OffsetTooDeep,
    /// The request breaks HTTP itself.
    #[error("malformed request: {0}")]
    BadRequest(&'static str),
    /// The body is not the JSON that we accept.
    #[error("malformed JSON")]
    MalformedJson(Text),
    /// Who is calling is not known, or the token is no good.
    #[error("unauthenticated")]
    Unauthenticated,
    /// The mail address or the password is wrong, or the account is closed to whoever asks: which, is not said.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The password is right, and a code of the second factor is needed.
    #[error("a second factor is required")]
    TotpRequired,
    /// The caller is known and may not.
    #[error("forbidden")]
    Forbidden,
    /// The caller must first prove once more who they are.
    #[error("a fresh proof of identity is required")]
    StepUpRequired,
    /// The token of a link in a mail is unknown, used or too old.
    #[error("the link's token is no good")]
    InvalidToken,
    /// There is nothing here, or nothing that the caller may see.
    #[error("not found")]
    NotFound,
    /// The path exists, the method does not.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// The methods that do.
        allow: &'static str,
    },
    /// None of our encodings is acceptable to the client.
    #[error("not acceptable")]
    NotAcceptable,
    /// The client was too slow.
    #[error("request timeout")]
    RequestTimeout,
    /// Another resource stands in the way: a slug or SKU that is taken.
    #[error("conflict")]
    Conflict(FieldError),
    /// The version in `If-Match` is not the current one.
    #[error("precondition failed")]
    PreconditionFailed {
        /// The current representation, when it could be had.
        current: Option<Box<Current>>,
    },
    /// The body is larger than accepted.
    #[error("payload too large")]
    PayloadTooLarge,
    /// The request line is longer than accepted.
    #[error("URI too long")]
    UriTooLong,
    /// The body is not JSON, or is compressed.
    #[error("unsupported media type")]
    UnsupportedMediaType(Text),
    /// The body is JSON and says something impossible.
    #[error("validation failed")]
    Validation(Vec<FieldError>),
    /// `If-Match` is missing.
    #[error("precondition required")]
    PreconditionRequired,
    /// `Idempotency-Key` is missing.
    #[error("an idempotency key is required")]
    IdempotencyKeyRequired,
    /// As things stand it cannot be done.
    #[error("refused: {}", .0.kind().1)]
    Refused(Refusal, Vec<LineError>),
    /// The provider of payments says no.
    #[error("the payment was declined")]
    PaymentDeclined {
        /// In the provider's words, machine-readable.
        decline_code: Option<String>,
        /// Whether another attempt with another card may succeed.
        retryable: bool,
        /// What the attempt made stale all the same, to be purged.
        receipts: Vec<PurgeReceipt>,
        /// What the buyer must see from now on, once that is purged.
        token: Option<WriteToken>,
    },
    /// The words of a provider do not carry its signature, or not lately.
    #[error("the signature is not good")]
    InvalidSignature,
    /// The header section is larger than accepted.
    #[error("headers too large")]
    HeadersTooLarge,
    /// The caller has asked too often.
    #[error("rate limited")]
    RateLimited {
        /// Whole seconds until it is worth asking again, at least 1.
        retry_after_s: u32,
    },
    /// Whether a session still holds cannot be known, and the route must not guess.
    #[error("the session cannot be checked")]
    SessionCheckUnavailable,
    /// This process or a service has more work than it can do in time.
    #[error("overloaded")]
    Overloaded,
    /// A service is away.
    #[error("upstream unavailable")]
    UpstreamUnavailable,
    /// A service did not answer in time.
    #[error("timeout")]
    Timeout,
    /// Our fault. What happened was logged where it happened.
    #[error("internal error")]
    Internal,
}

/// The current state of a resource, shown to somebody who meant to change an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its version as an entity tag.
    pub etag: String,
    /// Its JSON.
    pub body: Vec<u8>,
}

impl Error {
    /// A parameter that is not what it should be.
    pub(crate) fn parameter(name: impl Into<Cow<'static, str>>, pt: &'static str, en: &'static str) -> Self {
        Self::InvalidParameter { name: name.into(), detail: Text::fixed(pt, en) }
    }

    /// Asked too often; worth asking again after `wait`.
    pub fn rate_limited(wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Self::RateLimited { retry_after_s: seconds.max(1) }
    }

    /// The machine-readable code.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind().0
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidParameter { .. } => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::OffsetTooDeep => (StatusCode::BAD_REQUEST, "offset_too_deep"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::MalformedJson(_) => (StatusCode::BAD_REQUEST, "malformed_json"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::TotpRequired => (StatusCode::UNAUTHORIZED, "totp_required"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::StepUpRequired => (StatusCode::FORBIDDEN, "step_up_required"),
            Self::InvalidToken => (StatusCode::BAD_REQUEST, "invalid_token"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Validation(_) => (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"),
            Self::PreconditionRequired => (StatusCode::PRECONDITION_REQUIRED, "precondition_required"),
            Self::IdempotencyKeyRequired => (StatusCode::PRECONDITION_REQUIRED, "precondition_required"),
            Self::Refused(refusal, _) => refusal.kind(),
            Self::PaymentDeclined { .. } => (StatusCode::PAYMENT_REQUIRED, "payment_declined"),
            Self::InvalidSignature => (StatusCode::BAD_REQUEST, "invalid_signature"),
            Self::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::SessionCheckUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "session_check_unavailable"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::UpstreamUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "upstream_unavailable"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }
}

/// Whether a call reads with parameters or writes with a body: the same refusal of a service names a query
/// parameter for one and a field of the body for the other (400 or 422).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Parameters.
    Read,
    /// A body.
    Write,
}

/// Machine-readable reason of a refusal, in the metadata of a gRPC status.
const REASON: &str = "mc-reason";
/// The field it is about.
const FIELD: &str = "mc-field";
/// Why a provider declined a payment, and whether another attempt may succeed.
const DECLINE_CODE: &str = "mc-decline-code";
const RETRYABLE: &str = "mc-retryable";
/// What a declined payment made stale: a `PayResponse` that holds nothing but receipts.
const RECEIPTS: &str = "mc-receipts-bin";
/// When it is worth asking again, in milliseconds.
const RETRY_AFTER: &str = "mc-retry-after-ms";

impl Error {
    /// What a service's refusal means to the client. Logs what is our fault, since the client is not told.
    pub fn from_status(status: &tonic::Status, call: Call) -> Self {
        let metadata = |name| status.metadata().get(name).and_then(|value| value.to_str().ok());
        let (reason, field) = (metadata(REASON), metadata(FIELD));
        let detail = || {
            let message = status.message();
            let text = message.split_once(": ").map_or(message, |(_, detail)| detail);
            Text::same(text.chars().take(300).collect::<String>())
        };
        let field_error = |code: &str| FieldError {
            pointer: pointer(field.unwrap_or_default()),
            code: Cow::Owned(code.to_owned()),
            detail: detail(),
        };
        match broken_transport(status) {
            Some(Transport::Late) => return Self::Timeout,
            Some(Transport::Broken) => {
                tracing::warn!(error = %status.message(), "a service was not reached, or did not finish");
                return Self::UpstreamUnavailable;
            }
            None => {}
        }
        if reason == Some("payment_declined") {
            let decline_code = metadata(DECLINE_CODE).or(field).filter(|code| !code.is_empty());
            return Self::PaymentDeclined {
                decline_code: decline_code.map(str::to_owned),
                retryable: metadata(RETRYABLE) == Some("true"),
                receipts: receipts(status.metadata()),
                token: None,
            };
        }
        let lines = refusal::lines(status.metadata());
        if let Some(refusal) = reason.and_then(Refusal::of) {
            return Self::Refused(refusal, lines);
        }
        match (status.code(), call) {
            (Code::InvalidArgument | Code::OutOfRange, _) if reason == Some("offset_too_deep") => {
                Self::OffsetTooDeep
            }
            (Code::InvalidArgument, _) if reason == Some("invalid_token") => Self::InvalidToken,
            (_, Call::Write) if reason == Some("invalid_signature") => Self::InvalidSignature,
            (Code::InvalidArgument | Code::OutOfRange, Call::Read) => Self::InvalidParameter {
                name: Cow::Owned(field.map_or("query", parameter).to_owned()),
                detail: detail(),
            },
            (Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition, Call::Write) => {
                Self::Validation(vec![field_error(reason.unwrap_or("invalid"))])
            }
            (Code::NotFound, _) => Self::NotFound,
            (Code::AlreadyExists, _) => Self::Conflict(field_error(reason.unwrap_or("taken"))),
            (Code::Aborted, _) if !lines.is_empty() => Self::Refused(Refusal::Conflict, lines),
            (Code::Aborted, _) => Self::PreconditionFailed { current: None },
            (Code::PermissionDenied, _) if reason == Some("step_up_required") => Self::StepUpRequired,
            (Code::PermissionDenied, _) => Self::Forbidden,
            (Code::Unauthenticated, _) => match reason {
                Some("invalid_credentials") => Self::InvalidCredentials,
                Some("totp_required") => Self::TotpRequired,
                _ => Self::Unauthenticated,
            },
            // A service that says when to come back has counted this caller; one that does not is busy.
            (Code::ResourceExhausted, _) => match metadata(RETRY_AFTER).and_then(|ms| ms.parse().ok()) {
                Some(ms) => Self::rate_limited(Duration::from_millis(ms)),
                None => Self::Overloaded,
            },
            (Code::Unavailable, _) if reason == Some("overloaded") => Self::Overloaded,
            (Code::Unavailable, _) => {
                tracing::warn!(error = %status.message(), "a service is unavailable");
                Self::UpstreamUnavailable
            }
            (Code::DeadlineExceeded | Code::Cancelled, _) => Self::Timeout,
            // The connection broke during the commit: it may be done or not, and reading again will tell.
            (Code::Unknown, _) if reason == Some("outcome_unknown") => Self::Timeout,
            (
                Code::Ok
                | Code::Unknown
                | Code::FailedPrecondition
                | Code::Unimplemented
                | Code::Internal
                | Code::DataLoss,
                _,
            ) => {
                tracing::error!(rpc.code = ?status.code(), error = %status.message(), "a service failed");
                Self::Internal
            }
        }
    }
}

/// What a refusal made stale; nothing when it does not say.
fn receipts(metadata: &MetadataMap) -> Vec<PurgeReceipt> {
    let Some(bytes) = metadata.get_bin(RECEIPTS).and_then(|value| value.to_bytes().ok()) else {
        return Vec::new();
    };
    match PayResponse::decode(bytes) {
        Ok(stale) => stale.receipts,
        Err(error) => {
            tracing::error!(%error, "a refusal has receipts that cannot be read");
            Vec::new()
        }
    }
}

/// The cache has no answer although the origin did not fail.
impl From<tag_cache::FillFailed> for Error {
    fn from(failed: tag_cache::FillFailed) -> Self {
        match failed {
            tag_cache::FillFailed::Overloaded => Self::Overloaded,
            tag_cache::FillFailed::Deadline => Self::Timeout,
            tag_cache::FillFailed::Aborted => Self::Internal,
        }
    }
}

/// A test asked for it.
impl From<failpoints::Injected> for Error {
    fn from(injected: failpoints::Injected) -> Self {
        tracing::warn!(error = %injected, "stopped where a test asked for it");
        Self::UpstreamUnavailable
    }
}

/// How a call ended without a word of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// The deadline passed.
    Late,
    /// There was no connection, or it broke.
    Broken,
}

/// A status made on our own side has a source; what a service said has none.
fn broken_transport(status: &tonic::Status) -> Option<Transport> {
    let mut cause = Some(std::error::Error::source(status)?);
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return Some(Transport::Late);
        }
        cause = error.source();
    }
    Some(Transport::Broken)
}

impl Retry {
    /// Whether the same call may be made again. A service that was not reached has done nothing that a read
    /// could repeat wrongly; for a change only the service's own word counts that it has not begun.
    pub(crate) fn of(status: &tonic::Status, call: Call) -> Self {
        let busy = status.metadata().get(REASON).is_some_and(|reason| reason == "database_busy");
        let unreached =
            status.code() == Code::Unavailable || broken_transport(status) == Some(Transport::Broken);
        match call {
            Call::Read if unreached => Self::Safe,
            Call::Write if busy => Self::Safe,
            Call::Read | Call::Write => Self::Unsafe,
        }
    }
}

/// Whether a call that failed may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Safe,
    Unsafe,
}

/// A field of the contract as a JSON pointer into our bodies: `variants[0].options_json` is
/// `/variants/0/options`.
fn pointer(field: &str) -> String {
    let mut pointer = String::with_capacity(field.len() + 1);
    for part in field.split(['.', '[', '/']).filter(|part| !part.is_empty()) {
        pointer.push('/');
        pointer.push_str(part.trim_end_matches(']').trim_end_matches("_json"));
    }
    pointer
}

/// A field of the contract as a parameter of our queries.
fn parameter(field: &str) -> &str {
    match field {
        "category_slug" => "category",
        _ => field.strip_suffix("_amount").unwrap_or(field),
    }
}

/// Lets handlers use `?`. The front renders the problem document, because only it knows the request's id,
/// language and path.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status());
        response.extensions_mut().insert(self.clone());
        response
    }
}
