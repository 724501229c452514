//! Webhook endpoints and deliveries as admins read them.

use proto::notifications::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;

use crate::views::{Pagination, timestamp};

/// Where webhooks are sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpoint {
    id: i64,
    url: String,
    events: Vec<String>,
    is_active: bool,
    /// Deliveries in a row that failed for good; five switch the endpoint off.
    consecutive_failures: u32,
    disabled_reason: Option<String>,
    version: i64,
    created_at: String,
}

/// One message to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDelivery {
    /// UUID.
    id: String,
    endpoint_id: i64,
    /// The `webhook-id` header of every attempt.
    event_id: String,
    r#type: String,
    /// `pending`, `delivered`, `failed` (to be tried again) or `dead`.
    status: String,
    attempts: u32,
    next_attempt_at: Option<String>,
    /// HTTP status of the last answer.
    last_status: Option<i32>,
    /// The first 200 characters of the last error.
    last_error: Option<String>,
    last_latency_ms: Option<u32>,
    created_at: String,
    delivered_at: Option<String>,
}

/// All endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpoints {
    pub(super) endpoints: Vec<WebhookEndpoint>,
}

/// One endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpointAnswer {
    pub(super) endpoint: WebhookEndpoint,
}

/// An endpoint that was just made.
#[derive(Serialize, ToSchema)]
pub struct NewWebhookEndpoint {
    pub(super) endpoint: WebhookEndpoint,
    /// `whsec_` and base64; shown this once.
    pub(super) secret: String,
}

/// A new secret.
#[derive(Serialize, ToSchema)]
pub struct WebhookSecret {
    /// `whsec_` and base64; shown this once.
    pub(super) secret: String,
    /// Until then the former secret signs too.
    pub(super) previous_until: String,
}

/// A page of an endpoint's log, latest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDeliveries {
    pub(super) deliveries: Vec<WebhookDelivery>,
    pub(super) pagination: Pagination,
}

/// One delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDeliveryAnswer {
    pub(super) delivery: WebhookDelivery,
}

/// The secret stays out of logs.
impl std::fmt::Debug for NewWebhookEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewWebhookEndpoint").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSecret").finish_non_exhaustive()
    }
}

impl WebhookEndpoint {
    pub(super) fn of(endpoint: pb::Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            events: endpoint.events,
            is_active: endpoint.is_active,
            consecutive_failures: endpoint.consecutive_failures,
            disabled_reason: endpoint.disabled_reason,
            version: endpoint.version,
            created_at: timestamp(endpoint.created_at.as_ref()),
        }
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// `"wh-1-v7"`
    pub(super) fn etag(&self) -> String {
        format!("\"wh-{}-v{}\"", self.id, self.version)
    }

    pub(super) fn version(&self) -> i64 {
        self.version
    }
}

impl WebhookDelivery {
    pub(super) fn of(delivery: pb::Delivery) -> Self {
        let moment = |at: Option<_>| at.map(|at| timestamp(Some(&at)));
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            event_id: delivery.event_id,
            r#type: delivery.r#type,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: moment(delivery.next_attempt_at),
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            last_latency_ms: delivery.last_latency_ms,
            created_at: timestamp(delivery.created_at.as_ref()),
            delivered_at: moment(delivery.delivered_at),
        }
    }
}
