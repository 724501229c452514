//! Accounts as this service sees it: how to reach users, or silence.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bootstrap::{Health, Shutdown};
use proto::accounts::v1::{GetContactRequest, GetContactResponse};
use rls::{Assertions, Caller};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// A service that knows contacts and nothing else.
#[derive(Clone)]
pub(crate) struct Accounts {
    state: Arc<Mutex<State>>,
    assertions: Assertions,
}

#[derive(Default)]
struct State {
    away: bool,
    contacts: HashMap<i64, GetContactResponse>,
}

impl Accounts {
    /// Serves until the end of the test.
    pub(crate) async fn start(assertions_file: &std::path::Path, shutdown: Shutdown) -> (Self, SocketAddr) {
        let assertions = Assertions::from_jwks_file(assertions_file, "accounts").unwrap();
        let accounts = Self { state: Arc::default(), assertions };
        let server = bootstrap::grpc::Server::bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr();
        let routes = tonic::service::Routes::new(accounts.clone());
        tokio::spawn(server.serve(routes, Health::new(), proto::FILE_DESCRIPTOR_SET, shutdown));
        (accounts, addr)
    }

    /// From now on there is such a user, whose address is verified.
    pub(crate) fn knows(&self, user_id: i64, email: &str, locale: &str) {
        self.contact(user_id, email, locale, true);
    }

    pub(crate) fn contact(&self, user_id: i64, email: &str, locale: &str, email_verified: bool) {
        let contact = GetContactResponse {
            email: email.to_owned(),
            name: format!("User {user_id}"),
            locale: locale.to_owned(),
            email_verified,
        };
        self.state.lock().unwrap().contacts.insert(user_id, contact);
    }

    /// No answer from now on.
    pub(crate) fn leaves(&self) {
        self.state.lock().unwrap().away = true;
    }
}

impl NamedService for Accounts {
    const NAME: &'static str = "mestres.accounts.v1.AccountsService";
}

impl tower::Service<http::Request<Body>> for Accounts {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = GetContact(self.clone());
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/mestres.accounts.v1.AccountsService/GetContact");
            Ok(Grpc::new(ProstCodec::default()).unary(method, request).await)
        })
    }
}

struct GetContact(Accounts);

impl UnaryService<GetContactRequest> for GetContact {
    type Response = GetContactResponse;
    type Future = std::future::Ready<Result<Response<GetContactResponse>, Status>>;

    fn call(&mut self, request: Request<GetContactRequest>) -> Self::Future {
        let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap());
        let asserted = self.0.assertions.caller(authorization).unwrap();
        assert_eq!((asserted.caller, asserted.issuer.as_deref()), (Caller::Service, Some("notifications")));
        let state = self.0.state.lock().unwrap();
        let answer = match state.contacts.get(&request.get_ref().user_id) {
            _ if state.away => Err(Status::unavailable("away")),
            Some(contact) => Ok(Response::new(contact.clone())),
            None => Err(Status::not_found("user_not_found: no such user")),
        };
        std::future::ready(answer)
    }
}
