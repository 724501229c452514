//! Webhooks out: a service of one's own, a clock to turn, and receivers that answer what the test says.

mod backlog;
mod delivering;
mod endpoints;
mod failing;
mod log;
mod orders;
mod receiver;
mod repeats;
mod replicas;
mod rotation;
mod ssrf;

use std::time::Duration;

use ::events::{Event, Fact};
use notifications::webhooks::{Clock, ManualClock, Reach, Resolver, Script, Settings};
use proto::events::v1::{PriceChanged, ProductUpdated};
use proto::notifications::v1::webhooks_service_client::WebhooksServiceClient;
use proto::notifications::v1::*;
use testkit::{Nats, eventually};
use time::OffsetDateTime;
use tonic::Status;
use tonic::transport::Channel;

use self::receiver::Receiver;
use crate::app::{CALL_DEADLINE, Publisher, Replica, SOON, Setup, Who, World};

pub(crate) const ADMIN: Who = Who::Admin(1);

/// A service with a stream to read from; ends with this value.
pub(crate) struct Hooks {
    pub(crate) replica: Replica,
    pub(crate) world: World,
    pub(crate) clock: ManualClock,
    /// What hosts' names stand for.
    pub(crate) script: Script,
    publisher: Publisher,
    client: WebhooksServiceClient<Channel>,
    nats: Nats,
    reach: Reach,
}

impl Hooks {
    /// One that reaches this machine.
    pub(crate) async fn start() -> Self {
        Self::reaching(Reach::PublicAndLoopback).await
    }

    pub(crate) async fn reaching(reach: Reach) -> Self {
        let nats = Nats::start().await;
        let publisher = Publisher::new(&nats.url()).await;
        let (clock, script) = (ManualClock::new(noon()), Script::default());
        let world = World::new().await;
        let replica = world.replica(setup(&nats.url(), reach, &clock, &script)).await;
        let client = client(&replica);
        Self { replica, world, clock, script, publisher, client, nats, reach }
    }

    /// How one more replica is to be set up.
    pub(crate) fn setup(&self) -> Setup {
        setup(&self.nats.url(), self.reach, &self.clock, &self.script)
    }

    /// The same, after the process died and its runtime with it.
    pub(crate) async fn with_another_process(mut self) -> Self {
        self.replica = self.world.replica(self.setup()).await;
        self.client = client(&self.replica);
        self.publisher = Publisher::new(&self.nats.url()).await;
        self
    }

    /// An endpoint at the receiver, and its secret.
    pub(crate) async fn endpoint(&self, receiver: &Receiver, events: &[&str]) -> (Endpoint, String) {
        let made = self.create_endpoint(ADMIN, new_endpoint(&receiver.url(), events)).await.unwrap();
        (made.endpoint.unwrap(), made.secret)
    }

    /// The endpoint as it is now.
    pub(crate) async fn endpoint_now(&self, id: i64) -> Endpoint {
        self.get_endpoint(ADMIN, GetEndpointRequest { id }).await.unwrap().endpoint.unwrap()
    }

    /// Says that version `version` of a product is there.
    pub(crate) async fn updated(&self, product_id: i64, version: i64) -> Event {
        self.publish(version, product_updated(product_id)).await
    }

    pub(crate) async fn publish(&self, version: i64, fact: Fact) -> Event {
        self.publisher.publish(version, fact).await
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The endpoint's log, latest first.
    pub(crate) async fn log(&self, endpoint_id: i64) -> Vec<Delivery> {
        let request = ListDeliveriesRequest { endpoint_id, page: 1, limit: 100, status: None };
        self.list_deliveries(ADMIN, request).await.unwrap().deliveries
    }

    /// The delivery of this event, once it looks so.
    pub(crate) async fn delivery_that(
        &self,
        endpoint_id: i64,
        event: &Event,
        what: &str,
        looks: impl Fn(&Delivery) -> bool,
    ) -> Delivery {
        let event_id = event.id().to_string();
        eventually(SOON, what, async || {
            let log = self.log(endpoint_id).await;
            log.into_iter().find(|delivery| delivery.event_id == event_id && looks(delivery))
        })
        .await
    }

    /// The delivery of this event, once it has this status.
    pub(crate) async fn delivery(&self, endpoint_id: i64, event: &Event, status: &str) -> Delivery {
        self.delivery_that(endpoint_id, event, status, |delivery| delivery.status == status).await
    }

    /// Turns the clock on until a delivery is due.
    pub(crate) fn turn_to(&self, delivery: &Delivery) {
        let due = moment(delivery.next_attempt_at.as_ref());
        self.clock.advance(due - self.clock.now());
    }
}

/// Some time that databases and receivers keep exactly.
fn noon() -> OffsetDateTime {
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
}

fn setup(nats_url: &str, reach: Reach, clock: &ManualClock, script: &Script) -> Setup {
    let webhooks =
        Settings { reach, clock: Clock::Manual(clock.clone()), resolver: Resolver::Scripted(script.clone()) };
    Setup { nats_url: nats_url.to_owned(), webhooks, ..Setup::default() }
}

fn client(replica: &Replica) -> WebhooksServiceClient<Channel> {
    let channel = bootstrap::grpc::channel(&format!("http://{}", replica.grpc_addr)).unwrap();
    WebhooksServiceClient::new(channel)
}

pub(crate) fn new_endpoint(url: &str, events: &[&str]) -> CreateEndpointRequest {
    let events = events.iter().map(|name| (*name).to_owned()).collect();
    CreateEndpointRequest { url: url.to_owned(), events }
}

pub(crate) fn product_updated(product_id: i64) -> Fact {
    Fact::ProductUpdated(ProductUpdated { product_id, ..ProductUpdated::default() })
}

pub(crate) fn price_changed(product_id: i64, variant_id: i64) -> Fact {
    Fact::PriceChanged(PriceChanged { product_id, variant_id, amount: 1, ..PriceChanged::default() })
}

pub(crate) fn moment(at: Option<&prost_types::Timestamp>) -> OffsetDateTime {
    let at = at.expect("there is a time");
    OffsetDateTime::from_unix_timestamp(at.seconds).unwrap() + time::Duration::nanoseconds(at.nanos.into())
}

macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty),+ $(,)?) => {
        impl Hooks {
            $(
                pub(crate) async fn $name(&self, who: Who, request: $request) -> Result<$response, Status> {
                    let bearer = self.world.bearer(who);
                    let request = bootstrap::grpc::request(request, CALL_DEADLINE, bearer.as_deref());
                    self.client.clone().$name(request).await.map(tonic::Response::into_inner)
                }
            )+
        }
    };
}

calls! {
    list_endpoints(ListEndpointsRequest) -> ListEndpointsResponse,
    get_endpoint(GetEndpointRequest) -> GetEndpointResponse,
    create_endpoint(CreateEndpointRequest) -> CreateEndpointResponse,
    update_endpoint(UpdateEndpointRequest) -> UpdateEndpointResponse,
    delete_endpoint(DeleteEndpointRequest) -> DeleteEndpointResponse,
    rotate_secret(RotateSecretRequest) -> RotateSecretResponse,
    test_endpoint(TestEndpointRequest) -> TestEndpointResponse,
    list_deliveries(ListDeliveriesRequest) -> ListDeliveriesResponse,
    redeliver(RedeliverRequest) -> RedeliverResponse,
}

impl Hooks {
    /// Tries an endpoint with no more patience than this.
    pub(crate) async fn test_within(&self, id: i64, patience: Duration) -> Result<Delivery, Status> {
        let bearer = self.world.bearer(ADMIN);
        let request = bootstrap::grpc::request(TestEndpointRequest { id }, patience, bearer.as_deref());
        let reply = self.client.clone().test_endpoint(request).await?.into_inner();
        Ok(reply.delivery.unwrap())
    }
}
