//! Every route of the gateway.
//!
//! One line per path. `GET` of a line marked `Shared` or `Own` is answered from the cache by the front itself,
//! so that a hit passes no router; everything else is an ordinary actix handler (`configure`).

mod tree;

use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};

pub(crate) use self::tree::Segments;
use self::tree::TREE;
use crate::handlers::{
    admin_coupons, admin_orders, admin_products, admin_stock, admin_users, admin_webhooks, agenda, auth,
    cart, checkout, health, my_addresses, my_data, my_profile, my_sessions, notification_stream,
    notifications, openapi, order_stream, orders, password, payments, performance, shipping, totp,
};

/// What answers the `GET` of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The cache, for everybody alike.
    Shared,
    /// The cache, for each signed-in user their own.
    Own,
    /// The cache, for each user or guest who shops their own.
    Shopper,
    /// A handler.
    Handler,
    /// A handler that probes ask: never refused for lack of room, never slowed by other work.
    Probe,
}

/// What an `Idempotency-Key` means to the `POST` and `PATCH` of a route; other methods take none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// Nothing: the answer is a secret, which nobody keeps, or the repetition is somebody else's affair.
    Never,
    /// With it, the same request is done once.
    May,
    /// Without it, the request is refused.
    Must,
}

/// What a route is: path, methods, the time beyond which an answer counts as slow (S20).
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// `{name}` stands for one path segment.
    pub template: &'static str,
    /// In the order of the `Allow` header; `GET` implies `HEAD`.
    pub methods: &'static [&'static str],
    /// For the `Allow` header.
    pub allow: &'static str,
    /// What answers its `GET`.
    pub source: Source,
    /// For the slow-request log and the SLA.
    pub slow: Duration,
}

type Methods = (&'static [&'static str], &'static str);

const GET: Methods = (&["GET"], "GET, HEAD");
const POST: Methods = (&["POST"], "POST");
const PUT: Methods = (&["PUT"], "PUT");
const DELETE: Methods = (&["DELETE"], "DELETE");
const GET_PUT: Methods = (&["GET", "PUT"], "GET, HEAD, PUT");
const GET_POST: Methods = (&["GET", "POST"], "GET, HEAD, POST");
const GET_PATCH: Methods = (&["GET", "PATCH"], "GET, HEAD, PATCH");
const GET_DELETE: Methods = (&["GET", "DELETE"], "GET, HEAD, DELETE");
const PUT_DELETE: Methods = (&["PUT", "DELETE"], "PUT, DELETE");
const PATCH_DELETE: Methods = (&["PATCH", "DELETE"], "PATCH, DELETE");
const GET_PATCH_DELETE: Methods = (&["GET", "PATCH", "DELETE"], "GET, HEAD, PATCH, DELETE");
const GET_PUT_DELETE: Methods = (&["GET", "PUT", "DELETE"], "GET, HEAD, PUT, DELETE");
const GET_PUT_PATCH_DELETE: Methods = (&["GET", "PUT", "PATCH", "DELETE"], "GET, HEAD, PUT, PATCH, DELETE");

const SLA: Duration = Duration::from_millis(500);

const fn spec(template: &'static str, methods: Methods, source: Source) -> Spec {
    Spec { template, methods: methods.0, allow: methods.1, source, slow: SLA }
}

macro_rules! routes {
    ($($route:ident $template:literal $methods:ident $source:ident;)+) => {
        /// A path of the API, the busiest first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Route {
            $($route),+
        }

        const SPECS: &[Spec] = &[$(spec($template, $methods, Source::$source)),+];

        impl Route {
            /// All of them.
            pub const ALL: [Self; SPECS.len()] = [$(Self::$route),+];
        }
    };
}

// A literal segment wins over an open one whatever the order; the order is that of comparisons.
routes! {
    Products                "/api/v1/products"                        GET                  Shared;
    FeaturedProducts        "/api/v1/products/featured"               GET                  Shared;
    NewProducts             "/api/v1/products/new"                    GET                  Shared;
    Product                 "/api/v1/products/{id}"                   GET                  Shared;
    ProductBySlug           "/api/v1/products/by-slug/{slug}"         GET                  Shared;
    Categories              "/api/v1/categories"                      GET                  Shared;
    Category                "/api/v1/categories/{id}"                 GET                  Shared;
    Image                   "/images/{file}"                          GET                  Shared;

    Events                  "/api/events"                             GET_POST             Own;
    EventCalendar           "/api/events.ics"                         GET                  Own;
    Event                   "/api/events/{id}"                        GET_PUT_DELETE       Own;
    Professionals           "/api/professionals"                      GET_POST             Own;
    Professional            "/api/professionals/{id}"                 GET_PUT_DELETE       Own;
    Reports                 "/api/reports"                            GET_POST             Own;
    Report                  "/api/reports/{id}"                       GET_PUT_DELETE       Own;
    AgendaEvents            "/api/v1/agenda/events"                   GET_POST             Own;
    AgendaEventCalendar     "/api/v1/agenda/events.ics"               GET                  Own;
    AgendaEvent             "/api/v1/agenda/events/{id}"              GET_PUT_DELETE       Own;
    AgendaProfessionals     "/api/v1/agenda/professionals"            GET_POST             Own;
    AgendaProfessional      "/api/v1/agenda/professionals/{id}"       GET_PUT_DELETE       Own;
    AgendaReports           "/api/v1/agenda/reports"                  GET_POST             Own;
    AgendaReport            "/api/v1/agenda/reports/{id}"             GET_PUT_DELETE       Own;

    Notifications           "/api/notifications"                      GET                  Own;
    MyNotifications         "/api/v1/notifications"                   GET                  Own;
    NotificationStream      "/api/v1/notifications/stream"            GET                  Handler;
    NotificationPreferences "/api/v1/notifications/preferences"       GET_PUT              Own;
    Notification            "/api/notifications/{id}"                 PUT_DELETE           Handler;
    NotificationsReadAll    "/api/notifications/read-all"             POST                 Handler;

    Cart                    "/api/v1/cart"                            GET_DELETE           Shopper;
    CartItems               "/api/v1/cart/items"                      POST                 Handler;
    CartItem                "/api/v1/cart/items/{id}"                 PATCH_DELETE         Handler;
    CartCoupon              "/api/v1/cart/coupon"                     PUT_DELETE           Handler;
    CartMerge               "/api/v1/cart/merge"                      POST                 Handler;
    Checkouts               "/api/v1/checkout"                        POST                 Handler;
    Checkout                "/api/v1/checkout/{id}"                   GET                  Handler;
    CheckoutPayments        "/api/v1/checkout/{id}/payments"          POST                 Handler;
    CheckoutCancel          "/api/v1/checkout/{id}/cancel"            POST                 Handler;
    Payment                 "/api/v1/payments/{id}"                   GET                  Handler;
    PaymentWebhook          "/api/v1/payments/webhooks/{provider}"    POST                 Handler;
    Orders                  "/api/v1/orders"                          GET                  Shopper;
    Order                   "/api/v1/orders/{id}"                     GET                  Shopper;
    OrderConfirmation       "/api/v1/orders/{id}/confirmation"        GET                  Shopper;
    OrderCancel             "/api/v1/orders/{id}/cancel"              POST                 Handler;
    OrderReturns            "/api/v1/orders/{id}/returns"             POST                 Handler;
    OrderReorder            "/api/v1/orders/{id}/reorder"             POST                 Handler;
    OrderEvents             "/api/v1/orders/{id}/events"              GET                  Handler;
    Availability            "/api/v1/products/{id}/availability"      GET                  Shared;

    Me                      "/api/v1/me"                              GET_PATCH            Own;
    MyAddresses             "/api/v1/me/addresses"                    GET_POST             Own;
    MyAddress               "/api/v1/me/addresses/{id}"               PATCH_DELETE         Handler;
    MySessions              "/api/v1/me/sessions"                     GET                  Handler;
    MySession               "/api/v1/me/sessions/{id}"                DELETE               Handler;
    MyData                  "/api/v1/me/data"                         GET_DELETE           Handler;
    MyDataJob               "/api/v1/me/data/{id}"                    GET                  Handler;

    Register                "/api/v1/auth/register"                   POST                 Handler;
    Login                   "/api/v1/auth/login"                      POST                 Handler;
    Refresh                 "/api/v1/auth/refresh"                    POST                 Handler;
    Logout                  "/api/v1/auth/logout"                     POST                 Handler;
    LogoutAll               "/api/v1/auth/logout-all"                 POST                 Handler;
    ForgotPassword          "/api/v1/auth/password/forgot"            POST                 Handler;
    ResetPassword           "/api/v1/auth/password/reset"             POST                 Handler;
    VerifyEmail             "/api/v1/auth/email/verify"               POST                 Handler;
    StepUp                  "/api/v1/auth/step-up"                    POST                 Handler;
    MyPassword              "/api/v1/me/password"                     POST                 Handler;
    MyTotp                  "/api/v1/me/totp"                         POST                 Handler;
    MyTotpConfirm           "/api/v1/me/totp/confirm"                 POST                 Handler;
    MyTotpDisable           "/api/v1/me/totp/disable"                 POST                 Handler;

    AdminProducts           "/api/v1/admin/products"                  GET_POST             Handler;
    AdminProduct            "/api/v1/admin/products/{id}"             GET_PUT_PATCH_DELETE Handler;
    AdminProductPrices      "/api/v1/admin/products/{id}/prices"      PUT                  Handler;
    AdminWebhooks           "/api/v1/admin/webhooks"                  GET_POST             Handler;
    AdminWebhook            "/api/v1/admin/webhooks/{id}"             GET_PATCH_DELETE     Handler;
    AdminWebhookTest        "/api/v1/admin/webhooks/{id}/test"        POST                 Handler;
    AdminWebhookSecret      "/api/v1/admin/webhooks/{id}/rotate-secret" POST               Handler;
    AdminWebhookDeliveries  "/api/v1/admin/webhooks/{id}/deliveries"  GET                  Handler;
    AdminWebhookRedelivery  "/api/v1/admin/webhooks/deliveries/{id}/redeliver" POST        Handler;
    AdminOrders             "/api/v1/admin/orders"                    GET                  Handler;
    AdminOrder              "/api/v1/admin/orders/{id}"               GET_PATCH            Handler;
    AdminOrderRefunds       "/api/v1/admin/orders/{id}/refunds"       POST                 Handler;
    AdminOrderShipments     "/api/v1/admin/orders/{id}/shipments"     POST                 Handler;
    AdminOrderNotes         "/api/v1/admin/orders/{id}/notes"         POST                 Handler;
    AdminStock              "/api/v1/admin/stock"                     GET                  Handler;
    AdminStockAdjust        "/api/v1/admin/stock/adjust"              POST                 Handler;
    AdminCoupons            "/api/v1/admin/coupons"                   GET_POST             Handler;
    AdminCoupon             "/api/v1/admin/coupons/{code}"            GET_PUT              Handler;
    AdminUsers              "/api/v1/admin/users"                     GET                  Handler;
    AdminUser               "/api/v1/admin/users/{id}"                GET_PATCH            Handler;
    AdminUserLock           "/api/v1/admin/users/{id}/lock"           POST                 Handler;

    ShippingQuotes          "/api/v1/shipping/quotes"                 POST                 Handler;
    Cep                     "/api/v1/cep/{cep}"                       GET                  Shared;

    PerformanceMetrics      "/api/admin/performance-metrics"          GET                  Handler;
    HealthPerformance       "/health/performance"                     GET                  Handler;
    HealthLive              "/health/live"                            GET                  Probe;
    HealthReady             "/health/ready"                           GET                  Probe;
    OpenApi                 "/api/openapi.json"                       GET                  Handler;
}

impl Route {
    /// Path, methods, source and threshold.
    pub const fn spec(self) -> Spec {
        SPECS[self as usize]
    }

    /// The route of a path, and the first segment that its template leaves open (empty when there is none).
    pub fn find(path: &str) -> Option<(Self, &str)> {
        Self::locate(path).map(|(route, segments)| (route, segments.at(0, path)))
    }

    /// The same with the places of all open segments in the path.
    pub(crate) fn locate(path: &str) -> Option<(Self, Segments)> {
        TREE.find(path)
    }

    /// What answers this method of it.
    pub(crate) fn source_of(self, method: &Method) -> Source {
        match self.spec().source {
            Source::Shared | Source::Own | Source::Shopper
                if !matches!(*method, Method::GET | Method::HEAD) =>
            {
                Source::Handler
            }
            source => source,
        }
    }

    /// Whether a probe asks it: never refused for lack of room, never slowed by other work.
    pub const fn is_probe(self) -> bool {
        matches!(self.spec().source, Source::Probe)
    }

    /// Whether it is part of the contract, which is why its answers carry a cache token.
    pub const fn is_api(self) -> bool {
        !matches!(self, Self::HealthPerformance | Self::HealthLive | Self::HealthReady | Self::Image)
    }

    /// Whether a principal's rate counts it: the API, and the health page that anybody may ask.
    pub const fn is_limited(self) -> bool {
        self.is_api() || matches!(self, Self::HealthPerformance)
    }

    /// Whether somebody tries to prove who they are, or asks for mail: counted per address whoever asks.
    pub const fn is_sign_in(self) -> bool {
        matches!(
            self,
            Self::Login
                | Self::Register
                | Self::ForgotPassword
                | Self::ResetPassword
                | Self::VerifyEmail
                | Self::StepUp
        )
    }

    /// What an `Idempotency-Key` means to its `POST` and `PATCH`.
    pub const fn repeats(self) -> Repeats {
        match self {
            Self::Checkouts | Self::CheckoutPayments | Self::AdminOrderRefunds | Self::AdminStockAdjust => {
                Repeats::Must
            }
            // Passwords, codes and tokens; each of them is safe to repeat by itself.
            Self::Register
            | Self::Login
            | Self::Refresh
            | Self::Logout
            | Self::LogoutAll
            | Self::ForgotPassword
            | Self::ResetPassword
            | Self::VerifyEmail
            | Self::StepUp
            | Self::MyPassword
            | Self::MyTotp
            | Self::MyTotpConfirm
            | Self::MyTotpDisable
            // Each event of a provider has an id of its own, by which it counts once.
            | Self::PaymentWebhook => Repeats::Never,
            _ => Repeats::May,
        }
    }

    /// Whether the token of an order opens it.
    pub const fn takes_order_token(self) -> bool {
        matches!(
            self,
            Self::Checkout
                | Self::CheckoutPayments
                | Self::CheckoutCancel
                | Self::Payment
                | Self::Order
                | Self::OrderConfirmation
                | Self::OrderCancel
                | Self::OrderReturns
                | Self::OrderEvents
        )
    }

    /// The one method a request counts under.
    pub fn method_of(self, method: &Method) -> Option<&'static str> {
        let name = if *method == Method::HEAD { "GET" } else { method.as_str() };
        self.spec().methods.iter().copied().find(|candidate| *candidate == name)
    }
}

/// The routes that are not answered from the cache. The front has checked path and method.
pub(crate) fn configure(config: &mut ServiceConfig) {
    let at = |route: Route| web::resource(route.spec().template);
    config
        .service(at(Route::Register).post(auth::register))
        .service(at(Route::Login).post(auth::login))
        .service(at(Route::Refresh).post(auth::refresh))
        .service(at(Route::Logout).post(auth::logout))
        .service(at(Route::LogoutAll).post(auth::logout_all))
        .service(at(Route::ForgotPassword).post(auth::forgot_password))
        .service(at(Route::ResetPassword).post(auth::reset_password))
        .service(at(Route::VerifyEmail).post(auth::verify_email))
        .service(at(Route::StepUp).post(auth::step_up))
        .service(at(Route::MyPassword).post(password::change))
        .service(at(Route::MyTotp).post(totp::enrol))
        .service(at(Route::MyTotpConfirm).post(totp::confirm))
        .service(at(Route::MyTotpDisable).post(totp::disable))
        .service(at(Route::Events).post(agenda::events::create))
        .service(at(Route::Event).put(agenda::events::replace).delete(agenda::events::delete))
        .service(at(Route::AgendaEvents).post(agenda::events::create))
        .service(at(Route::AgendaEvent).put(agenda::events::replace).delete(agenda::events::delete))
        .service(at(Route::Professionals).post(agenda::professionals::create))
        .service(
            at(Route::Professional).put(agenda::professionals::replace).delete(agenda::professionals::delete),
        )
        .service(at(Route::AgendaProfessionals).post(agenda::professionals::create))
        .service(
            at(Route::AgendaProfessional)
                .put(agenda::professionals::replace)
                .delete(agenda::professionals::delete),
        )
        .service(at(Route::Reports).post(agenda::reports::create))
        .service(at(Route::Report).put(agenda::reports::replace).delete(agenda::reports::delete))
        .service(at(Route::AgendaReports).post(agenda::reports::create))
        .service(at(Route::AgendaReport).put(agenda::reports::replace).delete(agenda::reports::delete))
        .service(at(Route::AdminProducts).get(admin_products::list).post(admin_products::create))
        .service(
            at(Route::AdminProduct)
                .get(admin_products::get)
                .put(admin_products::replace)
                .patch(admin_products::patch)
                .delete(admin_products::delete),
        )
        .service(at(Route::AdminProductPrices).put(admin_products::change_prices))
        .service(at(Route::AdminWebhooks).get(admin_webhooks::list).post(admin_webhooks::create))
        .service(
            at(Route::AdminWebhook)
                .get(admin_webhooks::get)
                .patch(admin_webhooks::patch)
                .delete(admin_webhooks::delete),
        )
        .service(at(Route::AdminWebhookTest).post(admin_webhooks::test))
        .service(at(Route::AdminWebhookSecret).post(admin_webhooks::rotate_secret))
        .service(at(Route::AdminWebhookDeliveries).get(admin_webhooks::deliveries))
        .service(at(Route::AdminWebhookRedelivery).post(admin_webhooks::redeliver))
        .service(at(Route::Cart).get(cart::nobodys).delete(cart::clear))
        .service(at(Route::CartItems).post(cart::add))
        .service(at(Route::CartItem).patch(cart::set_quantity).delete(cart::remove))
        .service(at(Route::CartCoupon).put(cart::put_coupon).delete(cart::remove_coupon))
        .service(at(Route::CartMerge).post(cart::merge))
        .service(at(Route::ShippingQuotes).post(shipping::quotes))
        .service(at(Route::Checkouts).post(checkout::place))
        .service(at(Route::Checkout).get(checkout::get))
        .service(at(Route::CheckoutPayments).post(payments::pay))
        .service(at(Route::CheckoutCancel).post(checkout::cancel))
        .service(at(Route::Payment).get(payments::get))
        .service(at(Route::PaymentWebhook).post(payments::webhook))
        .service(at(Route::OrderCancel).post(orders::cancel))
        .service(at(Route::OrderReturns).post(orders::request_return))
        .service(at(Route::OrderReorder).post(orders::reorder))
        .service(at(Route::OrderEvents).get(order_stream::stream))
        .service(at(Route::AdminOrders).get(admin_orders::list))
        .service(at(Route::AdminOrder).get(admin_orders::get).patch(admin_orders::patch))
        .service(at(Route::AdminOrderRefunds).post(admin_orders::refund))
        .service(at(Route::AdminOrderShipments).post(admin_orders::ship))
        .service(at(Route::AdminOrderNotes).post(admin_orders::note))
        .service(at(Route::AdminStock).get(admin_stock::list))
        .service(at(Route::AdminStockAdjust).post(admin_stock::adjust))
        .service(at(Route::AdminCoupons).get(admin_coupons::list).post(admin_coupons::create))
        .service(at(Route::AdminCoupon).get(admin_coupons::get).put(admin_coupons::replace))
        .service(at(Route::AdminUsers).get(admin_users::list))
        .service(at(Route::AdminUser).get(admin_users::get).patch(admin_users::patch))
        .service(at(Route::AdminUserLock).post(admin_users::lock))
        .service(at(Route::Me).patch(my_profile::patch))
        .service(at(Route::MyAddresses).post(my_addresses::create))
        .service(at(Route::MyAddress).patch(my_addresses::patch).delete(my_addresses::delete))
        .service(at(Route::MySessions).get(my_sessions::list))
        .service(at(Route::MySession).delete(my_sessions::revoke))
        .service(at(Route::MyData).get(my_data::export).delete(my_data::erase))
        .service(at(Route::MyDataJob).get(my_data::job))
        .service(at(Route::NotificationStream).get(notification_stream::stream))
        .service(at(Route::NotificationPreferences).put(notifications::prefer))
        .service(at(Route::NotificationsReadAll).post(notifications::mark_all))
        .service(at(Route::Notification).put(notifications::mark).delete(notifications::delete))
        .service(at(Route::PerformanceMetrics).get(performance::metrics))
        .service(at(Route::HealthPerformance).get(performance::health))
        .service(at(Route::HealthLive).get(health::live))
        .service(at(Route::HealthReady).get(health::ready))
        .service(at(Route::OpenApi).get(openapi::document));
}
