//! The catalog as this service sees it: what variants cost now, or silence.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bootstrap::{Health, Shutdown};
use proto::catalog::v1::{QuoteRequest, QuoteResponse, QuotedVariant};
use rls::{Assertions, Caller};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// A service that quotes prices and knows nothing else.
#[derive(Clone)]
pub(crate) struct Catalog {
    state: Arc<Mutex<State>>,
    assertions: Assertions,
}

#[derive(Default)]
struct State {
    away: bool,
    asked: usize,
    variants: BTreeMap<i64, QuotedVariant>,
}

impl Catalog {
    /// Serves until the end of the test.
    pub(crate) async fn start(assertions_file: &std::path::Path, shutdown: Shutdown) -> (Self, SocketAddr) {
        let assertions = Assertions::from_jwks_file(assertions_file, "catalog").unwrap();
        let catalog = Self { state: Arc::default(), assertions };
        let server = bootstrap::grpc::Server::bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr();
        let routes = tonic::service::Routes::new(catalog.clone());
        tokio::spawn(server.serve(routes, Health::new(), proto::FILE_DESCRIPTOR_SET, shutdown));
        (catalog, addr)
    }

    /// From now on the variant is for sale at this price, in centavos. It weighs 250 g and belongs to the product of ten
    /// times its number.
    pub(crate) fn sells(&self, variant_id: i64, unit_amount: i64) {
        self.knows(QuotedVariant {
            variant_id,
            product_id: variant_id * 10,
            product_slug: format!("cafe-{variant_id}"),
            product_name: format!("Café {variant_id}"),
            variant_name: "250 g".to_owned(),
            sku: format!("MC-{variant_id:05}"),
            unit_amount,
            currency: "BRL".to_owned(),
            weight_g: 250,
            image_url: Some(format!("/img/{variant_id}.webp")),
            is_active: true,
            product_version: 1,
        });
    }

    /// From now on the catalog says exactly this.
    pub(crate) fn knows(&self, variant: QuotedVariant) {
        self.state.lock().unwrap().variants.insert(variant.variant_id, variant);
    }

    /// The variant is not for sale any more.
    pub(crate) fn stops_selling(&self, variant_id: i64) {
        self.state.lock().unwrap().variants.get_mut(&variant_id).unwrap().is_active = false;
    }

    /// No answer from now on.
    pub(crate) fn leaves(&self) {
        self.state.lock().unwrap().away = true;
    }

    /// Answers again.
    pub(crate) fn returns(&self) {
        self.state.lock().unwrap().away = false;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

impl NamedService for Catalog {
    const NAME: &'static str = "mestres.catalog.v1.CatalogService";
}

impl tower::Service<http::Request<Body>> for Catalog {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Quote(self.clone());
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/mestres.catalog.v1.CatalogService/Quote");
            Ok(Grpc::new(ProstCodec::default()).unary(method, request).await)
        })
    }
}

struct Quote(Catalog);

impl UnaryService<QuoteRequest> for Quote {
    type Response = QuoteResponse;
    type Future = std::future::Ready<Result<Response<QuoteResponse>, Status>>;

    fn call(&mut self, request: Request<QuoteRequest>) -> Self::Future {
        let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap());
        let asserted = self.0.assertions.caller(authorization).unwrap();
        assert_eq!((asserted.caller, asserted.issuer.as_deref()), (Caller::Service, Some("orders")));
        let asked = &request.get_ref().variant_ids;
        assert!((1..=200).contains(&asked.len()), "asked for {} variants", asked.len());
        let mut state = self.0.state.lock().unwrap();
        state.asked += 1;
        let known = |(id, variant): (&i64, &QuotedVariant)| asked.contains(id).then(|| variant.clone());
        let answer = if state.away {
            Err(Status::unavailable("away"))
        } else {
            Ok(Response::new(QuoteResponse { variants: state.variants.iter().filter_map(known).collect() }))
        };
        std::future::ready(answer)
    }
}
