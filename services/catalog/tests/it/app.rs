//! A catalog of one's own, and a method for each of its calls.

use std::net::SocketAddr;
use std::time::Duration;

use bootstrap::Shutdown;
use proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use proto::catalog::v1::*;
use sqlx::PgConnection;
use testkit::TestDatabase;
use testkit::jwt::TestKeys;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Longer than any call of a test on a busy machine.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(20);
const NO_NATS: &str = "nats://127.0.0.1:1";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Anonymous,
    Customer,
    Staff,
    Admin,
    /// A process of the product, in its own name.
    Service,
}

/// A running catalog; ends with this value.
pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) internal_addr: SocketAddr,
    pub(crate) client: CatalogServiceClient<Channel>,
    pub(crate) keys: TestKeys,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// An empty catalog whose events stay in the outbox.
    pub(crate) async fn start() -> Self {
        Self::start_with_nats(NO_NATS).await
    }

    pub(crate) async fn start_with_nats(nats_url: &str) -> Self {
        let database = testkit::database("catalog", &catalog::MIGRATOR).await;
        let keys = testkit::jwt::key_set();
        let config = catalog::Config {
            database_url: database.url.clone(),
            database_pool_size: 8,
            nats_url: nats_url.to_owned(),
            stream_replicas: 1,
            grpc_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            internal_http_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            assertion_jwks_file: keys.assertions_file.clone(),
            metrics_url: None,
            instance: "test".to_owned(),
            token_key: [7; 32],
            count_sales_every: Duration::from_millis(50),
        };
        let app = catalog::App::build(config).await.expect("the catalog starts");
        let (grpc_addr, internal_addr) = (app.grpc_addr(), app.internal_addr());
        let shutdown = Shutdown::manual();
        let serving = tokio::spawn(app.run(shutdown.clone()));
        let channel = bootstrap::grpc::channel(&format!("http://{grpc_addr}")).unwrap();
        let client = CatalogServiceClient::new(channel);
        Self { database, internal_addr, client, keys, shutdown, serving }
    }

    /// Ends the service as SIGTERM does and returns when it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.serving).await;
        ended.expect("the catalog drains in time").expect("it does not panic").expect("it ends well");
    }

    /// Looks and writes behind the service's back, as superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        let mut admin = self.database.admin().await;
        sqlx::raw_sql("SET search_path = catalog, app, public").execute(&mut admin).await.unwrap();
        admin
    }

    /// Runs SQL as superuser.
    pub(crate) async fn sql(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&mut self.admin().await).await.unwrap();
    }

    /// A connection as the service's login, without a role yet.
    pub(crate) async fn login(&self) -> PgConnection {
        use sqlx::Connection as _;
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    /// The product that staff just made.
    pub(crate) async fn created(&self, request: CreateProductRequest) -> Product {
        self.create_product(Who::Staff, request).await.unwrap().product.unwrap()
    }

    pub(crate) fn bearer(&self, who: Who) -> Option<String> {
        match who {
            Who::Anonymous => None,
            Who::Customer => Some(self.keys.assertion("catalog", "customer", 42)),
            Who::Staff => Some(self.keys.assertion("catalog", "staff", 7)),
            Who::Admin => Some(self.keys.assertion("catalog", "admin", 1)),
            Who::Service => Some(self.keys.service_assertion("gateway", "catalog")),
        }
    }

    /// Asks with any token, or what pretends to be one.
    pub(crate) async fn list_products_with_bearer(
        &self,
        bearer: &str,
    ) -> Result<ListProductsResponse, Status> {
        let request = bootstrap::grpc::request(list(), CALL_DEADLINE, Some(bearer));
        self.client.clone().list_products(request).await.map(tonic::Response::into_inner)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.hard.cancel();
        self.serving.abort();
    }
}

macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty),+ $(,)?) => {
        impl TestApp {
            $(
                pub(crate) async fn $name(&self, who: Who, request: $request) -> Result<$response, Status> {
                    let bearer = self.bearer(who);
                    let request = bootstrap::grpc::request(request, CALL_DEADLINE, bearer.as_deref());
                    self.client.clone().$name(request).await.map(tonic::Response::into_inner)
                }
            )+
        }
    };
}

calls! {
    list_products(ListProductsRequest) -> ListProductsResponse,
    get_product(GetProductRequest) -> GetProductResponse,
    list_featured_products(ListFeaturedProductsRequest) -> ListFeaturedProductsResponse,
    list_new_products(ListNewProductsRequest) -> ListNewProductsResponse,
    list_categories(ListCategoriesRequest) -> ListCategoriesResponse,
    get_category(GetCategoryRequest) -> GetCategoryResponse,
    get_image(GetImageRequest) -> GetImageResponse,
    create_product(CreateProductRequest) -> CreateProductResponse,
    update_product(UpdateProductRequest) -> UpdateProductResponse,
    patch_product(PatchProductRequest) -> PatchProductResponse,
    delete_product(DeleteProductRequest) -> DeleteProductResponse,
    change_prices(ChangePricesRequest) -> ChangePricesResponse,
    quote(QuoteRequest) -> QuoteResponse,
}

/// The first 20 products.
pub(crate) fn list() -> ListProductsRequest {
    ListProductsRequest { page: 1, per_page: 20, ..Default::default() }
}

pub(crate) fn by_id(id: i64) -> GetProductRequest {
    GetProductRequest { by: Some(get_product_request::By::Id(id)) }
}

pub(crate) fn by_slug(slug: &str) -> GetProductRequest {
    GetProductRequest { by: Some(get_product_request::By::Slug(slug.to_owned())) }
}

/// An active product with one variant of 42.90, named as its slug.
pub(crate) fn coffee(slug: &str) -> CreateProductRequest {
    CreateProductRequest { fields: Some(fields(slug)), variants: vec![variant(&format!("{slug}-250"), 4290)] }
}

pub(crate) fn fields(slug: &str) -> ProductFields {
    ProductFields {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        description: "Notas de caramelo".to_owned(),
        attributes_json: "{}".to_owned(),
        is_active: true,
        ..Default::default()
    }
}

/// A variant told apart by its SKU.
pub(crate) fn variant(sku: &str, price_amount: i64) -> NewVariant {
    NewVariant {
        sku: sku.to_owned(),
        name: "250 g".to_owned(),
        options_json: format!(r#"{{"peso":"{sku}"}}"#),
        weight_g: 250,
        price_amount,
        compare_at_amount: None,
    }
}

pub(crate) fn summary(product: &Product) -> &ProductSummary {
    product.summary.as_ref().unwrap()
}

pub(crate) fn ids(products: &[ProductSummary]) -> Vec<i64> {
    products.iter().map(|product| product.id).collect()
}

/// Code, `mc-reason` and `mc-field` of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String, String) {
    let status = answer.expect_err("the call was answered");
    let word =
        |name: &str| status.metadata().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (reason, field) = (word("mc-reason"), word("mc-field"));
    let named = if field.is_empty() { &reason } else { &field };
    assert!(status.message().starts_with(&format!("{named}: ")), "{status:?}");
    (status.code(), reason, field)
}
