//! An orders service of one's own, with a catalog and a payment provider, and a method for each of its calls.

use std::net::SocketAddr;
use std::time::Duration;

use bootstrap::Shutdown;
use bootstrap::config::Environment;
use proto::orders::v1::cart_service_client::CartServiceClient;
use proto::orders::v1::checkout_service_client::CheckoutServiceClient;
use proto::orders::v1::order_admin_service_client::OrderAdminServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::*;
use sqlx::{AssertSqlSafe, PgConnection};
use testkit::TestDatabase;
use testkit::jwt::TestKeys;
use tokio::task::JoinHandle;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::buying::patiently;
use crate::catalog::Catalog;

/// Longer than any call of a test on a busy machine.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(20);
const NO_NATS: &str = "nats://127.0.0.1:1";
/// What the sandbox knows the shop by, and signs with.
pub(crate) const PAYMENTS_SECRET: &str = "sk_test_orders";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_test_orders";
/// The signing key of order tokens and quotes.
pub(crate) const SECRET_KEY: &str = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    /// By the SHA-256 of the token.
    Guest([u8; 32]),
    User(i64),
    Staff(i64),
    Admin(i64),
    /// A process of the product, by its name.
    Service(&'static str),
}

/// The user of most tests, and one who must not see anything of hers.
pub(crate) const ANA: Who = Who::User(42);
pub(crate) const BIA: Who = Who::User(43);
/// Two guests.
pub(crate) const GUEST: Who = Who::Guest([0xaa; 32]);
pub(crate) const OTHER_GUEST: Who = Who::Guest([0xbb; 32]);
/// An employee.
pub(crate) const STAFF: Who = Who::Staff(7);

/// A running orders service; ends with this value.
pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) catalog: Catalog,
    /// Where the payment provider's stand-in answers, `/__sandbox/*` included.
    pub(crate) sandbox: String,
    pub(crate) carts: CartServiceClient<Channel>,
    pub(crate) checkouts: CheckoutServiceClient<Channel>,
    pub(crate) orders: OrderServiceClient<Channel>,
    pub(crate) desk: OrderAdminServiceClient<Channel>,
    pub(crate) keys: TestKeys,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// An empty shop whose events stay in the outbox.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_config| ()).await
    }

    /// The same with so many connections that dozens of writers are at work at once.
    pub(crate) async fn start_with_many_writers() -> Self {
        Self::start_with(|config| config.database_pool_size = 32).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut orders::Config)) -> Self {
        let database = testkit::database("orders", &orders::MIGRATOR).await;
        let keys = testkit::jwt::key_set();
        let shutdown = Shutdown::manual();
        let (catalog, catalog_addr) = Catalog::start(&keys.assertions_file, shutdown.clone()).await;
        let provider = payments_sandbox::Config::in_process(PAYMENTS_SECRET, WEBHOOK_SECRET);
        let provider = payments_sandbox::App::build(provider).await.expect("the sandbox starts");
        let sandbox = format!("http://{}", provider.addr());
        tokio::spawn(provider.run(shutdown.clone()));

        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = orders::Config {
            database_url: database.url.clone(),
            database_pool_size: 12,
            nats_url: NO_NATS.to_owned(),
            stream_replicas: 1,
            grpc_addr: any_port,
            internal_http_addr: any_port,
            assertion_jwks_file: keys.assertions_file.clone(),
            assertion_key_file: keys.assertion_key_file("orders"),
            catalog_url: format!("http://{catalog_addr}"),
            environment: Environment::Development,
            secret_key: orders::SecretKey::parse(SECRET_KEY).unwrap(),
            payments: orders::PaymentsConfig {
                provider: orders::Provider::Sandbox,
                url: sandbox.clone(),
                secret: PAYMENTS_SECRET.to_owned(),
                webhook_secrets: vec![WEBHOOK_SECRET.to_owned()],
                compare_every: Duration::from_secs(3_600),
            },
            metrics_url: None,
            instance: "test".to_owned(),
            sweep_every: Duration::from_millis(200),
        };
        change(&mut config);
        let app = orders::App::build(config).await.expect("the orders service starts");
        let grpc_addr = app.grpc_addr();
        let serving = tokio::spawn(app.run(shutdown.clone()));
        let channel = bootstrap::grpc::channel(&format!("http://{grpc_addr}")).unwrap();
        Self {
            database,
            catalog,
            sandbox,
            carts: CartServiceClient::new(channel.clone()),
            checkouts: CheckoutServiceClient::new(channel.clone()),
            orders: OrderServiceClient::new(channel.clone()),
            desk: OrderAdminServiceClient::new(channel),
            keys,
            shutdown,
            serving,
        }
    }

    /// Ends the service as SIGTERM does and returns when it has.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.serving).await;
        ended.expect("the service drains in time").expect("it does not panic").expect("it ends well");
    }

    /// Looks and writes behind the service's back, as superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        let mut admin = self.database.admin().await;
        sqlx::raw_sql("SET search_path = orders, app, public").execute(&mut admin).await.unwrap();
        admin
    }

    /// Runs SQL as superuser.
    pub(crate) async fn sql(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut self.admin().await).await.unwrap();
    }

    /// The single value of a query, asked as superuser, as text; empty for null.
    pub(crate) async fn value(&self, query: &str) -> String {
        let text: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT ({query})::text")))
            .fetch_one(&mut self.admin().await)
            .await
            .unwrap();
        text.unwrap_or_default()
    }

    /// Puts so many of a variant on the shelf, for sale at this price.
    pub(crate) async fn shelf(&self, variant_id: i64, unit_amount: i64, on_hand: i32) {
        self.catalog.sells(variant_id, unit_amount);
        self.sql(&format!(
            "INSERT INTO stock_levels (variant_id, product_id, on_hand)
             VALUES ({variant_id}, {}, {on_hand})",
            variant_id * 10
        ))
        .await;
    }

    /// Puts goods into a cart.
    pub(crate) async fn put(&self, who: Who, variant_id: i64, quantity: i32) -> Cart {
        let add = async || self.add_item(who, AddItemRequest { variant_id, quantity }).await;
        patiently(add).await.unwrap().cart.unwrap()
    }

    /// The cart as its owner sees it.
    pub(crate) async fn cart(&self, who: Who) -> Cart {
        self.get_cart(who, GetCartRequest {}).await.unwrap().cart.unwrap()
    }

    pub(crate) fn assertion(&self, who: Who) -> Option<String> {
        match who {
            Who::Nobody => None,
            Who::Guest(token) => Some(self.keys.guest_assertion("orders", token)),
            Who::User(id) => Some(self.keys.assertion("orders", "customer", id)),
            Who::Staff(id) => Some(self.keys.assertion("orders", "staff", id)),
            Who::Admin(id) => Some(self.keys.assertion("orders", "admin", id)),
            Who::Service(name) => Some(self.keys.service_assertion(name, "orders")),
        }
    }

    /// A request as `who`, to be sent by one of the clients.
    pub(crate) fn request<T>(&self, who: Who, message: T) -> tonic::Request<T> {
        bootstrap::grpc::request(message, CALL_DEADLINE, self.assertion(who).as_deref())
    }

    /// The same with an idempotency key, as the gateway sends it.
    pub(crate) fn keyed<T: prost::Message>(
        &self,
        who: Who,
        message: T,
        route: &str,
        key: &str,
    ) -> tonic::Request<T> {
        // Any hash that differs when the message does.
        let mut fingerprint = [0_u8; 32];
        for (index, byte) in message.encode_to_vec().into_iter().enumerate() {
            fingerprint[index % 32] = byte.wrapping_add(fingerprint[index % 32].rotate_left(3));
        }
        let mut request = self.request(who, message);
        let metadata: &mut MetadataMap = request.metadata_mut();
        metadata.insert("mc-idempotency-key", key.parse().unwrap());
        metadata.insert("mc-idempotency-route", route.parse().unwrap());
        metadata.insert_bin("mc-idempotency-sha256-bin", MetadataValue::from_bytes(&fingerprint));
        request
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
    ($client:ident: $($name:ident = $method:ident($request:ty) -> $response:ty),+ $(,)?) => {
        impl TestApp {
            $(
                pub(crate) async fn $name(&self, who: Who, message: $request) -> Result<$response, Status> {
                    let request = self.request(who, message);
                    self.$client.clone().$method(request).await.map(tonic::Response::into_inner)
                }
            )+
        }
    };
}

calls! { carts:
    get_cart = get_cart(GetCartRequest) -> CartResponse,
    add_item = add_item(AddItemRequest) -> CartResponse,
    set_item_quantity = set_item_quantity(SetItemQuantityRequest) -> CartResponse,
    remove_item = remove_item(RemoveItemRequest) -> CartResponse,
    clear_cart = clear_cart(ClearCartRequest) -> CartResponse,
    set_coupon = set_coupon(SetCouponRequest) -> CartResponse,
    remove_coupon = remove_coupon(RemoveCouponRequest) -> CartResponse,
    merge_carts = merge_carts(MergeCartsRequest) -> MergeCartsResponse,
    quote_shipping = quote_shipping(QuoteShippingRequest) -> QuoteShippingResponse,
    look_up_cep = look_up_cep(LookUpCepRequest) -> LookUpCepResponse,
    get_availability = get_availability(GetAvailabilityRequest) -> GetAvailabilityResponse,
}

calls! { checkouts:
    place_order = place_order(PlaceOrderRequest) -> PlaceOrderResponse,
    get_checkout = get_checkout(GetCheckoutRequest) -> GetCheckoutResponse,
    pay = pay(PayRequest) -> PayResponse,
    get_payment = get_payment(GetPaymentRequest) -> GetPaymentResponse,
    cancel_checkout = cancel_checkout(CancelCheckoutRequest) -> OrderResponse,
    receive_payment_event = receive_payment_event(ReceivePaymentEventRequest) -> ReceivePaymentEventResponse,
}

calls! { orders:
    list_orders = list_orders(ListOrdersRequest) -> ListOrdersResponse,
    get_order = get_order(GetOrderRequest) -> OrderResponse,
    cancel_order = cancel_order(CancelOrderRequest) -> OrderResponse,
    request_return = request_return(RequestReturnRequest) -> OrderResponse,
    reorder = reorder(ReorderRequest) -> ReorderResponse,
    get_order_for_notice = get_order_for_notice(GetOrderForNoticeRequest) -> GetOrderForNoticeResponse,
    export_user_data = export_user_data(ExportUserDataRequest) -> ExportUserDataResponse,
}

calls! { desk:
    desk_list_orders = list_orders(AdminListOrdersRequest) -> AdminListOrdersResponse,
    desk_get_order = get_order(AdminGetOrderRequest) -> OrderResponse,
    change_order_status = change_order_status(ChangeOrderStatusRequest) -> OrderResponse,
    add_note = add_note(AddNoteRequest) -> OrderResponse,
    create_shipment = create_shipment(CreateShipmentRequest) -> OrderResponse,
    refund_order = refund_order(RefundOrderRequest) -> RefundOrderResponse,
    list_stock = list_stock(ListStockRequest) -> ListStockResponse,
    adjust_stock = adjust_stock(AdjustStockRequest) -> AdjustStockResponse,
    list_coupons = list_coupons(ListCouponsRequest) -> ListCouponsResponse,
    get_coupon = get_coupon(GetCouponRequest) -> CouponResponse,
    create_coupon = create_coupon(CreateCouponRequest) -> CouponResponse,
    update_coupon = update_coupon(UpdateCouponRequest) -> CouponResponse,
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

/// The lines to blame that a refusal names.
#[track_caller]
pub(crate) fn blamed<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<LineProblem> {
    let status = answer.expect_err("the call was answered");
    let lines = status.metadata().get_bin("mc-lines-bin").expect("lines are named").to_bytes().unwrap();
    <LineProblems as prost::Message>::decode(lines).unwrap().lines
}
