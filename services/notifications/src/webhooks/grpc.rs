//! The generated trait: unwrap the request, call the handler, turn an `Error` into a status.

use idempotency::{Answer, Verdict};
use proto::notifications::v1 as pb;
use proto::notifications::v1::webhooks_service_server::WebhooksService;
use rls::{Assertions, Caller};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::Webhooks;
use super::call::Call;
use super::error::Error;
use super::{deliveries, endpoints};
use crate::grpc::refusal;

/// Metadata of a refused version: the one that is current.
const CURRENT_VERSION: &str = "mc-current-version";

/// Answers `mestres.notifications.v1.WebhooksService`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct WebhooksGrpc {
    pub(crate) webhooks: Webhooks,
    pub(crate) assertions: Assertions,
}

impl WebhooksGrpc {
    /// Who calls, and how long they wait.
    fn call<T>(&self, request: &Request<T>) -> Result<Call, crate::error::Error> {
        let authorization = match request.metadata().get("authorization") {
            Some(value) => Some(value.to_str().map_err(|_not_ascii| rls::Unauthenticated::Malformed)?),
            None => None,
        };
        let caller = self.assertions.caller(authorization)?.caller;
        let request_id = authorization.and_then(rls::stated_request_id);
        Ok(Call {
            caller,
            request_id: request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            repeat: idempotency::Request::from_metadata(request.metadata(), &caller)?,
            within: bootstrap::grpc::remaining(request),
            webhooks: self.webhooks.clone(),
        })
    }
}

/// Every call has the same shape; only the handler differs.
macro_rules! calls {
    ($($module:ident::$name:ident: $request:ident => $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl WebhooksService for WebhooksGrpc {
            $(
                async fn $name(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    let call =
                        self.call(&request).map_err(|error| status(error.into(), Caller::Anonymous))?;
                    let caller = call.caller;
                    let answer = $module::$name(&call, request.into_inner()).await;
                    answer.map(Answer::into_response).map_err(|error| status(error, caller))
                }
            )+
        }
    };
}

calls! {
    endpoints::list_endpoints: ListEndpointsRequest => ListEndpointsResponse,
    endpoints::get_endpoint: GetEndpointRequest => GetEndpointResponse,
    endpoints::create_endpoint: CreateEndpointRequest => CreateEndpointResponse,
    endpoints::update_endpoint: UpdateEndpointRequest => UpdateEndpointResponse,
    endpoints::delete_endpoint: DeleteEndpointRequest => DeleteEndpointResponse,
    endpoints::rotate_secret: RotateSecretRequest => RotateSecretResponse,
    deliveries::test_endpoint: TestEndpointRequest => TestEndpointResponse,
    deliveries::list_deliveries: ListDeliveriesRequest => ListDeliveriesResponse,
    deliveries::redeliver: RedeliverRequest => RedeliverResponse,
}

/// What the admin is told.
fn status(error: Error, caller: Caller) -> Status {
    match error {
        Error::Common(error) => crate::grpc::status(error, caller),
        Error::NoRandomness(_) | Error::Sealed(_) => {
            tracing::error!(caller.role = caller.role(), error = %error, "a call about webhooks failed");
            refusal(Code::Internal, "internal", None, "try again later")
        }
        error => refused(&error),
    }
}

/// Refusals of what the admin did wrong are kept for repeats, see [`idempotency::once`].
impl Verdict for Error {
    fn refusal(&self) -> Option<Status> {
        match self {
            Self::Common(error) => error.refusal(),
            Self::NoRandomness(_) | Self::Sealed(_) => None,
            error => Some(refused(error)),
        }
    }
}

fn refused(error: &Error) -> Status {
    let detail = error.to_string();
    match error {
        Error::NoEndpoint => refusal(Code::NotFound, "endpoint_not_found", None, &detail),
        Error::NoDelivery => refusal(Code::NotFound, "delivery_not_found", None, &detail),
        Error::StaleVersion { current, .. } => {
            let mut status = refusal(Code::Aborted, "version_mismatch", Some("expected_version"), &detail);
            status.metadata_mut().insert(CURRENT_VERSION, MetadataValue::from(*current));
            status
        }
        Error::TooManyEndpoints { .. } => {
            refusal(Code::FailedPrecondition, "too_many_endpoints", None, &detail)
        }
        Error::EndpointDisabled => refusal(Code::FailedPrecondition, "endpoint_disabled", None, &detail),
        // Told by `status`, where they are logged.
        Error::NoRandomness(_) | Error::Sealed(_) | Error::Common(_) => {
            refusal(Code::Internal, "internal", None, "try again later")
        }
    }
}
