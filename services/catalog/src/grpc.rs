//! The generated trait: unwrap the request, call the handler, turn an `Error` into a status.

use std::error::Error as _;
use std::fmt::Write as _;

use idempotency::Answer;
use proto::catalog::v1 as pb;
use proto::catalog::v1::catalog_service_server::CatalogService;
use rls::{Assertions, Caller, Database, DatabaseError};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::domain::cursor::CursorKey;
use crate::error::{Error, Missing, Unique};
use crate::handlers::{self, Call};

/// Metadata of a refusal: a word that programs compare.
const REASON: &str = "mc-reason";
/// Metadata of a refusal: the field that it is about.
const FIELD: &str = "mc-field";
/// Metadata of a refused version: the one that is current.
const CURRENT_VERSION: &str = "mc-current-version";

/// Answers `mestres.catalog.v1.CatalogService`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CatalogGrpc {
    pub(crate) db: Database,
    pub(crate) assertions: Assertions,
    pub(crate) cursor_key: CursorKey,
}

impl CatalogGrpc {
    /// Who calls, if they are among those for whom it is, and how long they wait.
    fn call<T>(&self, request: &Request<T>, audience: Audience) -> Result<Call, Error> {
        let authorization = match request.metadata().get("authorization") {
            Some(value) => Some(value.to_str().map_err(|_not_ascii| rls::Unauthenticated::Malformed)?),
            None => None,
        };
        let caller = self.assertions.caller(authorization)?.caller;
        // A process has no shelf to look at, and what it may ask is nobody else's business.
        match (audience, caller == Caller::Service) {
            (Audience::People, false) | (Audience::Processes, true) => {}
            (Audience::People, true) | (Audience::Processes, false) => return Err(Error::Forbidden),
        }
        let request_id = authorization.and_then(rls::stated_request_id);
        Ok(Call {
            caller,
            request_id: request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            repeat: idempotency::Request::from_metadata(request.metadata(), &caller)?,
            within: bootstrap::grpc::remaining(request),
            db: self.db.clone(),
            cursor_key: self.cursor_key.clone(),
        })
    }
}

/// Whom a call is for.
#[derive(Clone, Copy, Debug)]
enum Audience {
    /// Whoever sits before a screen, signed in or not.
    People,
    /// Processes of the product, in their own name.
    Processes,
}

/// Every call has the same shape; only the handler and whom it is for differ.
macro_rules! calls {
    ($($audience:ident { $($name:ident: $request:ident => $response:ident),+ $(,)? })+) => {
        #[tonic::async_trait]
        impl CatalogService for CatalogGrpc {
            $($(
                async fn $name(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    let call = self.call(&request, Audience::$audience).map_err(|error| status(error, Caller::Anonymous))?;
                    let caller = call.caller;
                    let answer = handlers::$name::$name(&call, request.into_inner()).await;
                    answer.map(Answer::into_response).map_err(|error| status(error, caller))
                }
            )+)+
        }
    };
}

calls! {
    People {
        list_products: ListProductsRequest => ListProductsResponse,
        get_product: GetProductRequest => GetProductResponse,
        list_featured_products: ListFeaturedProductsRequest => ListFeaturedProductsResponse,
        list_new_products: ListNewProductsRequest => ListNewProductsResponse,
        list_categories: ListCategoriesRequest => ListCategoriesResponse,
        get_category: GetCategoryRequest => GetCategoryResponse,
        get_image: GetImageRequest => GetImageResponse,
        create_product: CreateProductRequest => CreateProductResponse,
        update_product: UpdateProductRequest => UpdateProductResponse,
        patch_product: PatchProductRequest => PatchProductResponse,
        delete_product: DeleteProductRequest => DeleteProductResponse,
        change_prices: ChangePricesRequest => ChangePricesResponse,
    }
    Processes {
        quote: QuoteRequest => QuoteResponse,
    }
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
    match error {
        Error::Invalid(invalid) => {
            refusal(Code::InvalidArgument, invalid.reason, Some(&invalid.field), &invalid.detail)
        }
        Error::NotFound(missing) => {
            let (reason, field) = match missing {
                Missing::Product => ("product_not_found", None),
                Missing::Category => ("category_not_found", Some("category_id")),
                Missing::Image => ("image_not_found", None),
            };
            refusal(Code::NotFound, reason, field, &error.to_string())
        }
        Error::StaleVersion { current, .. } => {
            let detail = error.to_string();
            let mut status = refusal(Code::Aborted, "version_mismatch", Some("expected_version"), &detail);
            status.metadata_mut().insert(CURRENT_VERSION, MetadataValue::from(*current));
            status
        }
        Error::Taken(unique) => {
            let (reason, field) = match unique {
                Unique::Slug => ("slug_taken", "slug"),
                Unique::Sku => ("sku_taken", "sku"),
            };
            refusal(Code::AlreadyExists, reason, Some(field), &error.to_string())
        }
        Error::Unauthenticated(reason) => {
            refusal(Code::Unauthenticated, "unauthenticated", None, &reason.to_string())
        }
        Error::Anonymous => refusal(Code::Unauthenticated, "unauthenticated", None, &error.to_string()),
        Error::Forbidden => refusal(Code::PermissionDenied, "permission_denied", None, &error.to_string()),
        // Told by `status`, where they are logged.
        Error::Database(_) | Error::Repeat(_) => refusal(Code::Internal, "internal", None, "try again later"),
    }
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
