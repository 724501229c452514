//! The contract, generated from the handlers.

use std::sync::LazyLock;

use actix_web::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ObjectBuilder, Required};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{
    account, admin_coupons, admin_orders, admin_products, admin_stock, admin_users, admin_webhooks, agenda,
    auth, cart, categories, checkout, health, images, my_addresses, my_data, my_profile, my_sessions,
    notification_stream, notifications, order_stream, orders, password, payments, performance, products,
    shipping, totp,
};
use crate::error::Error;
use crate::negotiation::{Encoding, none_match_names};
use crate::query::Query;
use crate::representation::{Head, Kind};
use crate::routes::{Repeats, Route};

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    r#type: String,
    /// In the language that `Accept-Language` prefers: pt-BR or en.
    title: String,
    status: u16,
    detail: String,
    instance: String,
    /// Machine-readable.
    code: String,
    /// The title once more, for clients of the older form.
    error: String,
    request_id: String,
    errors: Option<Vec<ProblemField>>,
    /// Of `payment_declined`: in the provider's words.
    decline_code: Option<String>,
    /// Of `payment_declined`: whether another attempt may succeed.
    retryable: Option<bool>,
}

/// One field of a body that cannot be accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// JSON pointer (RFC 6901).
    pointer: String,
    code: String,
    detail: String,
    /// Of `out_of_stock`: how many are left.
    available: Option<i64>,
    /// Of `price_changed`: the price now.
    price: Option<crate::views::Money>,
}

/// The description of every route.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Mestres Café",
        description = "Catálogo, carrinho, compra, pedidos, conta, agenda, administração e métricas da loja. Valores em centavos, horários em UTC."
    ),
    paths(
        products::list,
        products::featured,
        products::new,
        products::get,
        products::get_by_slug,
        categories::list,
        categories::get,
        images::get,
        account::profile,
        account::addresses,
        my_profile::patch,
        my_addresses::create,
        my_addresses::patch,
        my_addresses::delete,
        my_sessions::list,
        my_sessions::revoke,
        my_data::export,
        my_data::erase,
        my_data::job,
        admin_users::list,
        admin_users::get,
        admin_users::patch,
        admin_users::lock,
        agenda::events::list,
        agenda::events::create,
        agenda::events::get,
        agenda::events::replace,
        agenda::events::delete,
        agenda::calendar::get,
        agenda::professionals::list,
        agenda::professionals::create,
        agenda::professionals::get,
        agenda::professionals::replace,
        agenda::professionals::delete,
        agenda::reports::list,
        agenda::reports::create,
        agenda::reports::get,
        agenda::reports::replace,
        agenda::reports::delete,
        agenda::enveloped::calendar,
        agenda::enveloped::list_events,
        agenda::enveloped::create_event,
        agenda::enveloped::get_event,
        agenda::enveloped::replace_event,
        agenda::enveloped::delete_event,
        agenda::enveloped::list_professionals,
        agenda::enveloped::create_professional,
        agenda::enveloped::get_professional,
        agenda::enveloped::replace_professional,
        agenda::enveloped::delete_professional,
        agenda::enveloped::list_reports,
        agenda::enveloped::create_report,
        agenda::enveloped::get_report,
        agenda::enveloped::replace_report,
        agenda::enveloped::delete_report,
        auth::register,
        auth::login,
        auth::refresh,
        auth::logout,
        auth::logout_all,
        auth::forgot_password,
        auth::reset_password,
        auth::verify_email,
        auth::step_up,
        password::change,
        totp::enrol,
        totp::confirm,
        totp::disable,
        admin_products::list,
        admin_products::create,
        admin_products::get,
        admin_products::replace,
        admin_products::patch,
        admin_products::delete,
        admin_products::change_prices,
        admin_webhooks::list,
        admin_webhooks::create,
        admin_webhooks::get,
        admin_webhooks::patch,
        admin_webhooks::delete,
        admin_webhooks::test,
        admin_webhooks::rotate_secret,
        admin_webhooks::deliveries,
        admin_webhooks::redeliver,
        admin_orders::list,
        admin_orders::get,
        admin_orders::patch,
        admin_orders::refund,
        admin_orders::ship,
        admin_orders::note,
        admin_stock::list,
        admin_stock::adjust,
        admin_coupons::list,
        admin_coupons::create,
        admin_coupons::get,
        admin_coupons::replace,
        cart::get,
        cart::clear,
        cart::add,
        cart::set_quantity,
        cart::remove,
        cart::put_coupon,
        cart::remove_coupon,
        cart::merge,
        shipping::quotes,
        shipping::cep,
        shipping::availability,
        checkout::place,
        checkout::get,
        checkout::cancel,
        payments::pay,
        payments::get,
        payments::webhook,
        orders::list,
        orders::get,
        orders::confirmation,
        orders::cancel,
        orders::request_return,
        orders::reorder,
        order_stream::stream,
        notification_stream::stream,
        notifications::list,
        notifications::list_enveloped,
        notifications::mark,
        notifications::mark_all,
        notifications::delete,
        notifications::preferences,
        notifications::prefer,
        performance::metrics,
        performance::health,
        health::live,
        health::ready,
        document
    ),
    modifiers(&Tokens, &Keys)
)]
pub struct Contract;

/// The ways to say who is calling.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        let components = contract.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("auth-token"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
        // Guests: browsers send the cart's token in a cookie.
        for (name, header) in [("cart_token", "X-Cart-Token"), ("order_token", "X-Order-Token")] {
            let token = ApiKey::Header(ApiKeyValue::new(header));
            components.add_security_scheme(name, SecurityScheme::ApiKey(token));
        }
    }
}

/// Which requests may be sent again, and which must say that they are the same.
struct Keys;

impl Modify for Keys {
    fn modify(&self, contract: &mut utoipa::openapi::OpenApi) {
        for route in Route::ALL {
            let required = match route.repeats() {
                Repeats::Never => continue,
                Repeats::May => Required::False,
                Repeats::Must => Required::True,
            };
            let Some(path) = contract.paths.paths.get_mut(route.spec().template) else { continue };
            for operation in [&mut path.post, &mut path.patch].into_iter().flatten() {
                let key = ParameterBuilder::new()
                    .name("Idempotency-Key")
                    .parameter_in(ParameterIn::Header)
                    .required(required.clone())
                    .schema(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(255))))
                    .description(Some(
                        "1 to 255 printable ASCII characters without spaces; for 24 hours the same request with the same key is \
                         answered the same (`Idempotent-Replayed: true`) and done once",
                    ));
                operation.parameters.get_or_insert_default().push(key.build().into());
            }
        }
    }
}

static DOCUMENT: LazyLock<(Bytes, Bytes)> = LazyLock::new(|| {
    let json = Contract::openapi().to_json().expect("the description is plain data");
    let body = Bytes::from(json);
    (Head::encode(Kind::Json, &body), body)
});

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "platform",
    responses((status = 200, description = "OpenAPI 3.1"))
)]
pub(crate) async fn document(request: HttpRequest) -> Result<HttpResponse, Error> {
    Query::parse(request.query_string())?.finish()?;
    let (head, body) = &*DOCUMENT;
    let head = Head::decode(head).expect("encoded above");
    // Weak, because the front compresses after this.
    let etag = format!("W/{}", head.etag(Encoding::Identity));
    let etag = HeaderValue::from_str(&etag).expect("hex digits and quotes");
    let named = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if named.is_some_and(|named| none_match_names(named, head.etag(Encoding::Identity))) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    Ok(HttpResponse::Ok().content_type("application/json").insert_header((ETAG, etag)).body(body.clone()))
}
