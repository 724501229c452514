//! Agenda, notifications and orders as accounts sees them: what they know, or silence.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use bootstrap::{Health, Shutdown};
use proto::notifications::v1::{EnqueueEmailRequest, EnqueueEmailResponse};
use proto::{agenda, notifications, orders};
use rls::{Assertions, Caller};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// What a service does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Answers,
    Away,
    /// Answers once it has another manner.
    Hesitates,
    /// With more than an export may hold.
    Rambles,
}

/// All services; they end with the test.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    agenda: Arc<watch::Sender<Manner>>,
    notifications: Arc<watch::Sender<Manner>>,
    orders: Arc<watch::Sender<Manner>>,
    heard: Arc<Mutex<Heard>>,
    trusted: Arc<OnceLock<(Assertions, Assertions, Assertions)>>,
    pub(crate) addr: SocketAddr,
}

#[derive(Debug, Default)]
struct Heard {
    exports: usize,
    mails: Vec<EnqueueEmailRequest>,
}

impl Peers {
    /// Serves until the end of the test.
    pub(crate) async fn start() -> Self {
        let server = bootstrap::grpc::Server::bind("127.0.0.1:0").await.unwrap();
        let peers = Self {
            agenda: Arc::new(watch::Sender::new(Manner::Answers)),
            notifications: Arc::new(watch::Sender::new(Manner::Answers)),
            orders: Arc::new(watch::Sender::new(Manner::Answers)),
            heard: Arc::default(),
            trusted: Arc::default(),
            addr: server.local_addr(),
        };
        let routes = tonic::service::Routes::new(Agenda(peers.clone()))
            .add_service(Notifications(peers.clone()))
            .add_service(Orders(peers.clone()));
        tokio::spawn(server.serve(routes, Health::new(), proto::FILE_DESCRIPTOR_SET, Shutdown::manual()));
        peers
    }

    /// Believes the services whose keys these are.
    pub(crate) fn trust(&self, assertions_file: &Path) {
        let assertions = |audience| Assertions::from_jwks_file(assertions_file, audience).unwrap();
        assert!(
            self.trusted
                .set((assertions("agenda"), assertions("notifications"), assertions("orders")))
                .is_ok()
        );
    }

    pub(crate) fn agenda(&self, manner: Manner) {
        self.agenda.send_replace(manner);
    }

    pub(crate) fn notifications(&self, manner: Manner) {
        self.notifications.send_replace(manner);
    }

    pub(crate) fn orders(&self, manner: Manner) {
        self.orders.send_replace(manner);
    }

    /// How often agenda was asked for an export.
    pub(crate) fn exports(&self) -> usize {
        self.heard.lock().unwrap().exports
    }

    /// Mails that notifications took, each key once, as the real one does.
    pub(crate) fn mails(&self) -> Vec<EnqueueEmailRequest> {
        let mut mails = self.heard.lock().unwrap().mails.clone();
        let mut keys = std::collections::HashSet::new();
        mails.retain(|mail| keys.insert(mail.dedupe_key.clone()));
        mails
    }
}

async fn manner_of(of: &watch::Sender<Manner>) -> Result<Manner, Status> {
    let mut manner = of.subscribe();
    let settled = *manner.wait_for(|manner| *manner != Manner::Hesitates).await.unwrap();
    if settled == Manner::Away { Err(Status::unavailable("away")) } else { Ok(settled) }
}

fn require_accounts<T>(assertions: &Assertions, request: &Request<T>) {
    let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap());
    let asserted = assertions.caller(authorization).unwrap();
    assert_eq!((asserted.caller, asserted.issuer.as_deref()), (Caller::Service, Some("accounts")));
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[derive(Clone)]
struct Agenda(Peers);
#[derive(Clone)]
struct Notifications(Peers);
#[derive(Clone)]
struct Orders(Peers);
struct ExportOrders(Peers);
struct ExportAgenda(Peers);
struct ExportNotifications(Peers);
struct EnqueueEmail(Peers);

impl NamedService for Agenda {
    const NAME: &'static str = "mestres.agenda.v1.AgendaService";
}

impl NamedService for Notifications {
    const NAME: &'static str = "mestres.notifications.v1.NotificationsService";
}

impl NamedService for Orders {
    const NAME: &'static str = "mestres.orders.v1.OrderService";
}

impl tower::Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let peers = self.0.clone();
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/mestres.orders.v1.OrderService/ExportUserData");
            Ok(Grpc::new(ProstCodec::default()).unary(ExportOrders(peers), request).await)
        })
    }
}

impl UnaryService<orders::v1::ExportUserDataRequest> for ExportOrders {
    type Response = orders::v1::ExportUserDataResponse;
    type Future = Answer<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<orders::v1::ExportUserDataRequest>) -> Self::Future {
        let peers = self.0.clone();
        require_accounts(&peers.trusted.get().unwrap().2, &request);
        Box::pin(async move {
            manner_of(&peers.orders).await?;
            let json = format!(r#"{{"orders":[{{"of":{}}}]}}"#, request.get_ref().user_id);
            Ok(Response::new(orders::v1::ExportUserDataResponse { json }))
        })
    }
}

impl tower::Service<http::Request<Body>> for Agenda {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let peers = self.0.clone();
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/mestres.agenda.v1.AgendaService/ExportUserData");
            Ok(Grpc::new(ProstCodec::default()).unary(ExportAgenda(peers), request).await)
        })
    }
}

impl tower::Service<http::Request<Body>> for Notifications {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let peers = self.0.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit_once('/').unwrap().1.to_owned();
            Ok(match method.as_str() {
                "EnqueueEmail" => Grpc::new(ProstCodec::default()).unary(EnqueueEmail(peers), request).await,
                "ExportUserData" => {
                    Grpc::new(ProstCodec::default()).unary(ExportNotifications(peers), request).await
                }
                other => panic!("notifications was asked for {other}"),
            })
        })
    }
}

impl UnaryService<agenda::v1::ExportUserDataRequest> for ExportAgenda {
    type Response = agenda::v1::ExportUserDataResponse;
    type Future = Answer<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<agenda::v1::ExportUserDataRequest>) -> Self::Future {
        let peers = self.0.clone();
        require_accounts(&peers.trusted.get().unwrap().0, &request);
        peers.heard.lock().unwrap().exports += 1;
        Box::pin(async move {
            let document_json = match manner_of(&peers.agenda).await? {
                Manner::Rambles => format!(r#"{{"events":"{}"}}"#, "x".repeat(3_600_000)),
                _ => format!(r#"{{"events":[{{"of":{}}}]}}"#, request.get_ref().user_id),
            };
            Ok(Response::new(agenda::v1::ExportUserDataResponse { document_json }))
        })
    }
}

impl UnaryService<notifications::v1::ExportUserDataRequest> for ExportNotifications {
    type Response = notifications::v1::ExportUserDataResponse;
    type Future = Answer<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<notifications::v1::ExportUserDataRequest>) -> Self::Future {
        let peers = self.0.clone();
        require_accounts(&peers.trusted.get().unwrap().1, &request);
        Box::pin(async move {
            manner_of(&peers.notifications).await?;
            let document_json = r#"{"notifications":[]}"#.to_owned();
            Ok(Response::new(notifications::v1::ExportUserDataResponse { document_json }))
        })
    }
}

impl UnaryService<EnqueueEmailRequest> for EnqueueEmail {
    type Response = EnqueueEmailResponse;
    type Future = Answer<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<EnqueueEmailRequest>) -> Self::Future {
        let peers = self.0.clone();
        require_accounts(&peers.trusted.get().unwrap().1, &request);
        Box::pin(async move {
            manner_of(&peers.notifications).await?;
            let email_id = request.get_ref().dedupe_key.clone();
            peers.heard.lock().unwrap().mails.push(request.into_inner());
            Ok(Response::new(EnqueueEmailResponse { email_id }))
        })
    }
}
