//! The services behind the gateway: one connection each per worker, a deadline on every call.

use std::time::Duration;

use proto::accounts::v1::accounts_service_client::AccountsServiceClient;
use proto::agenda::v1::agenda_service_client::AgendaServiceClient;
use proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use proto::metrics::v1::metrics_service_client::MetricsServiceClient;
use proto::notifications::v1::notifications_service_client::NotificationsServiceClient;
use proto::notifications::v1::webhooks_service_client::WebhooksServiceClient;
use proto::orders::v1::cart_service_client::CartServiceClient;
use proto::orders::v1::checkout_service_client::CheckoutServiceClient;
use proto::orders::v1::order_admin_service_client::OrderAdminServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::config::Config;
use crate::error::{Call, Error, Retry};
use crate::repeat::{Repeat, Step};

/// Reads for a page of the shop.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Changes by staff.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Signing in: a password takes its time, and so does the queue for it.
pub(crate) const LOGIN_DEADLINE: Duration = Duration::from_secs(3);
/// Changes of a cart.
pub(crate) const CART_DEADLINE: Duration = Duration::from_secs(2);
/// From a cart to an order.
pub(crate) const CHECKOUT_DEADLINE: Duration = Duration::from_secs(2);
/// Taking money: the service answers within three seconds, whatever the provider does.
pub(crate) const PAYMENT_DEADLINE: Duration = Duration::from_millis(3_500);
/// Statistics are answered from memory.
pub(crate) const METRICS_DEADLINE: Duration = Duration::from_secs(1);

/// Time that a service has to report its own deadline before ours cuts it off.
const GRACE: Duration = Duration::from_millis(50);
/// A second try, when the first found nobody.
const READ_ATTEMPTS_MAX: u32 = 2;
/// A change waits in this queue rather than in its sender's patience.
const WRITE_ATTEMPTS_MAX: u32 = 4;
/// A retry with less time than this left would only add load.
const RETRY_TIME_MIN: Duration = Duration::from_millis(100);

/// Clients of all services. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// Products, categories, prices, images.
    pub(crate) catalog: CatalogServiceClient<Channel>,
    /// Timings.
    pub(crate) metrics: MetricsServiceClient<Channel>,
    /// People: sign-in, sessions, profiles, addresses.
    pub(crate) accounts: AccountsServiceClient<Channel>,
    /// Events, professionals and reports.
    pub(crate) agenda: AgendaServiceClient<Channel>,
    /// What people are told.
    pub(crate) notifications: NotificationsServiceClient<Channel>,
    /// The same service for feeds that stay open, on a connection of their own: they must not take the place
    /// of questions.
    pub(crate) feeds: NotificationsServiceClient<Channel>,
    /// What other systems are told; the same service and connection as `notifications`.
    pub(crate) webhooks: WebhooksServiceClient<Channel>,
    /// Carts, shipping quotes, what can be bought.
    pub(crate) carts: CartServiceClient<Channel>,
    /// From a cart to a paid order; this and the next two are the same service and connection as `carts`.
    pub(crate) checkout: CheckoutServiceClient<Channel>,
    /// Orders of buyers.
    pub(crate) orders: OrderServiceClient<Channel>,
    /// Orders, stock and coupons for staff.
    pub(crate) order_admin: OrderAdminServiceClient<Channel>,
    /// Timelines that stay open, on a connection of their own.
    pub(crate) timelines: OrderServiceClient<Channel>,
}

impl Upstream {
    /// Connections that open when they are first used, driven by the runtime this is called in.
    ///
    /// # Errors
    /// When an address in the configuration is none.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let notifications = bootstrap::grpc::channel(&config.notifications_url)?;
        let orders = bootstrap::grpc::channel(&config.orders_url)?;
        Ok(Self {
            catalog: CatalogServiceClient::new(bootstrap::grpc::channel(&config.catalog_url)?),
            metrics: MetricsServiceClient::new(bootstrap::grpc::channel(&config.metrics_url)?),
            accounts: AccountsServiceClient::new(bootstrap::grpc::channel(&config.accounts_url)?),
            agenda: AgendaServiceClient::new(bootstrap::grpc::channel(&config.agenda_url)?),
            notifications: NotificationsServiceClient::new(notifications.clone()),
            feeds: NotificationsServiceClient::new(bootstrap::grpc::channel(&config.notifications_url)?),
            webhooks: WebhooksServiceClient::new(notifications),
            carts: CartServiceClient::new(orders.clone()),
            checkout: CheckoutServiceClient::new(orders.clone()),
            orders: OrderServiceClient::new(orders.clone()),
            order_admin: OrderAdminServiceClient::new(orders),
            timelines: OrderServiceClient::new(bootstrap::grpc::channel(&config.orders_url)?),
        })
    }
}

/// Changes something. Tried again only while the service says that it was too busy to begin.
pub(crate) async fn write<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    call: impl FnMut(Request<M>) -> F,
) -> Result<R, Error>
where
    M: Clone,
    F: Future<Output = Result<Response<R>, Status>>,
{
    attempts(message, deadline, bearer, Call::Write, call).await
}

/// Reads something. Tried once more when the service was not reached.
pub(crate) async fn read<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    call: impl FnMut(Request<M>) -> F,
) -> Result<R, Error>
where
    M: Clone,
    F: Future<Output = Result<Response<R>, Status>>,
{
    attempts(message, deadline, bearer, Call::Read, call).await
}

async fn attempts<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    kind: Call,
    mut call: impl FnMut(Request<M>) -> F,
) -> Result<R, Error>
where
    M: Clone,
    F: Future<Output = Result<Response<R>, Status>>,
{
    let started = Instant::now();
    let attempts_max = match kind {
        Call::Read => READ_ATTEMPTS_MAX,
        Call::Write => WRITE_ATTEMPTS_MAX,
    };
    let step = match kind {
        Call::Read => None,
        Call::Write => Repeat::current().map(Repeat::step),
    };
    let mut made = 1;
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        let tried = match kind {
            Call::Read => attempt(message.clone(), left, bearer, None, &mut call).await,
            Call::Write => {
                failpoints::hit("gw.before_upstream").await?;
                let tried = attempt(message.clone(), left, bearer, step.as_ref(), &mut call).await;
                failpoints::hit("gw.after_upstream_before_answer").await?;
                tried
            }
        };
        let status = match tried {
            Ok(reply) => return Ok(reply),
            Err(status) => status,
        };
        let left = deadline.saturating_sub(started.elapsed());
        let again = Retry::of(&status, kind) == Retry::Safe && made < attempts_max && left > RETRY_TIME_MIN;
        if !again {
            return Err(Error::from_status(&status, kind));
        }
        made += 1;
        // At random, so that those who were turned away together do not come back together.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(10..100)).min(left / 2)).await;
    }
}

async fn attempt<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    step: Option<&Step>,
    call: impl FnOnce(Request<M>) -> F,
) -> Result<R, Status>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let mut request = bootstrap::grpc::request(message, deadline, bearer);
    if let Some(step) = step {
        step.attach(request.metadata_mut());
    }
    let reply = tokio::time::timeout(deadline + GRACE, call(request)).await;
    let reply = reply.unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded("no answer in time")));
    if let Some(step) = step {
        step.note(reply.as_ref().map_or_else(Status::metadata, Response::metadata));
    }
    reply.map(Response::into_inner)
}
