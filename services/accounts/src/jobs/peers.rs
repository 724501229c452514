//! The services that workers ask, as accounts itself.

use std::time::Duration;

use proto::agenda::v1::agenda_service_client::AgendaServiceClient;
use proto::notifications::v1::EnqueueEmailRequest;
use proto::notifications::v1::notifications_service_client::NotificationsServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::{agenda, notifications, orders};
use rls::{Asserter, UserId};
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::config::Config;

/// Gathering everything about a user takes a service longer than an answer to a reader.
const EXPORT_DEADLINE: Duration = Duration::from_secs(10);
const MAIL_DEADLINE: Duration = Duration::from_secs(5);

/// Other services. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    asserter: Asserter,
    agenda: AgendaServiceClient<Channel>,
    notifications: NotificationsServiceClient<Channel>,
    orders: OrderServiceClient<Channel>,
}

impl Peers {
    /// Connects when first used. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When one of the addresses is none.
    pub(crate) fn new(asserter: Asserter, config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            asserter,
            agenda: AgendaServiceClient::new(bootstrap::grpc::channel(&config.agenda_url)?),
            notifications: NotificationsServiceClient::new(bootstrap::grpc::channel(
                &config.notifications_url,
            )?),
            orders: OrderServiceClient::new(bootstrap::grpc::channel(&config.orders_url)?),
        })
    }

    /// What agenda knows about the user, as a JSON object.
    pub(super) async fn export_agenda(&self, user: UserId, job: Uuid) -> Result<String, Status> {
        let bearer = self.asserter.service("agenda", &job.to_string());
        let request = agenda::v1::ExportUserDataRequest { user_id: user.0 };
        let request = bootstrap::grpc::request(request, EXPORT_DEADLINE, Some(&bearer));
        Ok(self.agenda.clone().export_user_data(request).await?.into_inner().document_json)
    }

    /// What notifications knows about the user, as a JSON object.
    pub(super) async fn export_notifications(&self, user: UserId, job: Uuid) -> Result<String, Status> {
        let bearer = self.asserter.service("notifications", &job.to_string());
        let request = notifications::v1::ExportUserDataRequest { user_id: user.0 };
        let request = bootstrap::grpc::request(request, EXPORT_DEADLINE, Some(&bearer));
        Ok(self.notifications.clone().export_user_data(request).await?.into_inner().document_json)
    }

    /// What orders knows about the user, as a JSON object.
    pub(super) async fn export_orders(&self, user: UserId, job: Uuid) -> Result<String, Status> {
        let bearer = self.asserter.service("orders", &job.to_string());
        let request = orders::v1::ExportUserDataRequest { user_id: user.0 };
        let request = bootstrap::grpc::request(request, EXPORT_DEADLINE, Some(&bearer));
        Ok(self.orders.clone().export_user_data(request).await?.into_inner().json)
    }

    /// Puts a mail into the queue of notifications.
    pub(super) async fn enqueue_email(&self, request: EnqueueEmailRequest) -> Result<(), Status> {
        let bearer = self.asserter.service("notifications", &request.dedupe_key);
        let request = bootstrap::grpc::request(request, MAIL_DEADLINE, Some(&bearer));
        self.notifications.clone().enqueue_email(request).await.map(drop)
    }
}
