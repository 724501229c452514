//! Orders as this service sees it: what was ordered, and by which guest, or silence.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bootstrap::{Health, Shutdown};
use proto::orders::v1::{GetOrderForNoticeRequest, GetOrderForNoticeResponse};
use rls::{Assertions, Caller};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// A service that knows orders and nothing else.
#[derive(Clone)]
pub(crate) struct Orders {
    state: Arc<Mutex<State>>,
    assertions: Assertions,
}

#[derive(Default)]
struct State {
    away: bool,
    asked: usize,
    notices: HashMap<i64, GetOrderForNoticeResponse>,
}

impl Orders {
    /// Serves until the end of the test.
    pub(crate) async fn start(assertions_file: &std::path::Path, shutdown: Shutdown) -> (Self, SocketAddr) {
        let assertions = Assertions::from_jwks_file(assertions_file, "orders").unwrap();
        let orders = Self { state: Arc::default(), assertions };
        let server = bootstrap::grpc::Server::bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr();
        let routes = tonic::service::Routes::new(orders.clone());
        tokio::spawn(server.serve(routes, Health::new(), proto::FILE_DESCRIPTOR_SET, shutdown));
        (orders, addr)
    }

    /// From now on there is such an order; a guest's when it has an address.
    pub(crate) fn knows(&self, notice: GetOrderForNoticeResponse) {
        let order_id = notice.order.as_ref().unwrap().id;
        self.state.lock().unwrap().notices.insert(order_id, notice);
    }

    /// Answers again.
    pub(crate) fn returns(&self) {
        self.state.lock().unwrap().away = false;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// No answer from now on.
    pub(crate) fn leaves(&self) {
        self.state.lock().unwrap().away = true;
    }
}

impl NamedService for Orders {
    const NAME: &'static str = "mestres.orders.v1.OrderService";
}

impl tower::Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = GetOrderForNotice(self.clone());
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/mestres.orders.v1.OrderService/GetOrderForNotice");
            Ok(Grpc::new(ProstCodec::default()).unary(method, request).await)
        })
    }
}

struct GetOrderForNotice(Orders);

impl UnaryService<GetOrderForNoticeRequest> for GetOrderForNotice {
    type Response = GetOrderForNoticeResponse;
    type Future = std::future::Ready<Result<Response<GetOrderForNoticeResponse>, Status>>;

    fn call(&mut self, request: Request<GetOrderForNoticeRequest>) -> Self::Future {
        let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap());
        let asserted = self.0.assertions.caller(authorization).unwrap();
        assert_eq!((asserted.caller, asserted.issuer.as_deref()), (Caller::Service, Some("notifications")));
        let mut state = self.0.state.lock().unwrap();
        state.asked += 1;
        let answer = match state.notices.get(&request.get_ref().order_id) {
            _ if state.away => Err(Status::unavailable("away")),
            Some(notice) => Ok(Response::new(notice.clone())),
            None => Err(Status::not_found("order_not_found: no such order")),
        };
        std::future::ready(answer)
    }
}
