//! From a cart to an order that waits for payment.

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::ListAddressesRequest;
use proto::orders::v1 as pb;
use proto::orders::v1::{CancelCheckoutRequest, GetCheckoutRequest, PlaceOrderResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::ORDERS;
use super::auth::ACCOUNTS;
use super::openapi::ProblemDocument;
use super::orders::OrderAnswer;
use crate::auth::Authenticated;
use crate::body;
use crate::cache_policy::path_id;
use crate::error::{Error, FieldError, Text};
use crate::gate::Gate;
use crate::guest::ORDER_TOKEN;
use crate::problem::Language;
use crate::query::Query;
use crate::repeat;
use crate::routes::Route;
use crate::shop_bodies::{self, CheckoutBody};
use crate::upstream::{CHECKOUT_DEADLINE, READ_DEADLINE, read, write};
use crate::views::{self, OrderItem, OrderTotals, Payment, rfc3339};

/// Nothing of this may be kept anywhere.
pub(super) const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
/// How orders are paid.
const PAYMENT_METHODS: [&str; 2] = ["card", "pix"];

/// An order that waits for payment.
#[derive(Serialize, ToSchema)]
pub struct Checkout {
    order_id: i64,
    #[schema(example = "MC-2026-000123")]
    order_number: String,
    status: String,
    totals: OrderTotals,
    items: Vec<OrderItem>,
    /// While it waits for payment.
    reserved_until: Option<String>,
    /// `card`, `pix`.
    payment_methods: Vec<&'static str>,
    /// Opens a guest's order: in `X-Order-Token` or `?order_token=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_token: Option<String>,
}

/// No token in logs.
impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout").field("order_id", &self.order_id).finish_non_exhaustive()
    }
}

/// What was just ordered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Placed {
    checkout: Checkout,
}

/// How far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckoutAnswer {
    checkout: CheckoutState,
}

/// An order on its way to being paid.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckoutState {
    #[serde(flatten)]
    checkout: Checkout,
    /// Seconds until the reservation ends, 0 afterwards.
    remaining_s: i64,
    /// The latest attempt.
    payment: Option<Payment>,
}

impl Checkout {
    fn of(order: &pb::Order, order_token: String) -> Self {
        let waits = order.status == "pending_payment" || order.status == "payment_failed";
        let reserved_until = order.reserved_until.and_then(|at| {
            let at = time::OffsetDateTime::from_unix_timestamp(at.seconds).ok()?;
            Some(rfc3339(at))
        });
        Self {
            order_id: order.id,
            order_number: order.number.clone(),
            status: order.status.clone(),
            totals: OrderTotals::of(order),
            items: order.items.iter().map(|item| OrderItem::of(item, &order.currency)).collect(),
            reserved_until,
            payment_methods: if waits { PAYMENT_METHODS.to_vec() } else { Vec::new() },
            order_token: Some(order_token).filter(|token| !token.is_empty()),
        }
    }
}

/// Orders the cart: reserves what is in it and redeems the coupon, all or nothing.
#[utoipa::path(
    post,
    path = "/api/v1/checkout",
    tag = "checkout",
    request_body = CheckoutBody,
    responses(
        (status = 201, description = "The order, which waits for payment", body = views::Data<Placed>),
        (status = 401, description = "Neither a user nor a cart", body = ProblemDocument),
        (
            status = 409,
            description = "price_changed, out_of_stock, cart_locked, checkout_expired, coupon_exhausted, idempotency_in_flight; `errors` names the lines",
            body = ProblemDocument
        ),
        (status = 422, description = "validation_failed or idempotency_key_reused", body = ProblemDocument),
        (status = 428, description = "`Idempotency-Key` is missing", body = ProblemDocument),
        (status = 429, description = "too_many_unpaid_orders", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn place(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.shopper(&request)?.ok_or(Error::Unauthenticated)?;
    Query::parse(request.query_string())?.finish()?;
    repeat::required(request.headers())?;
    let checkout = shop_bodies::checkout(body::json(&request, payload).await?)?;
    let mut message = checkout.message;
    let language = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    message.locale = Language::accepted(language).tag().to_owned();
    let address_id = checkout.address_id;
    if let Some(id) = address_id {
        // Whether the order was placed before the address was deleted is for orders to say, which knows the key.
        message.shipping_address = own_address(&gate, &caller, id).await?;
    }
    let no_address = address_id.is_some() && message.shipping_address.is_none();
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let reply = write(message, CHECKOUT_DEADLINE, assertion.as_deref(), |request| {
            let mut checkout = writer.checkout.clone();
            async move { checkout.place_order(request).await }
        })
        .await?;
        let PlaceOrderResponse { order, order_token, receipts } = reply;
        Ok(((order, order_token), receipts))
    });
    let made = made.await.map_err(stale_cart);
    let ((order, order_token), token) =
        made.map_err(|error| if no_address { no_such_address(error) } else { error })?;
    let order = order.ok_or(Error::Internal)?;
    let location = format!("/api/v1/checkout/{}", order.id);
    let placed = Placed { checkout: Checkout::of(&order, order_token) };
    let mut response = HttpResponse::build(StatusCode::CREATED)
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, PRIVATE))
        .insert_header((LOCATION, location))
        .body(views::envelope(placed));
    token.write(response.headers_mut());
    Ok(response)
}

/// The version of the cart is in the body, not in `If-Match`.
fn stale_cart(error: Error) -> Error {
    match error {
        Error::PreconditionFailed { .. } => Error::Conflict(FieldError {
            pointer: "/cart_version".to_owned(),
            code: "version_mismatch".into(),
            detail: Text::fixed("o carrinho mudou; leia-o de novo", "the cart has changed; read it again"),
        }),
        other => other,
    }
}

/// An order without an address is refused for the address that was named.
fn no_such_address(error: Error) -> Error {
    match error {
        Error::Validation(errors) if errors.iter().all(|error| error.pointer == "/shipping_address") => {
            Error::Validation(vec![FieldError {
                pointer: "/address_id".to_owned(),
                code: "invalid".into(),
                detail: Text::fixed("não há este endereço", "there is no such address"),
            }])
        }
        other => other,
    }
}

/// One of the user's own addresses.
async fn own_address(gate: &Gate, caller: &Authenticated, id: i64) -> Result<Option<pb::Address>, Error> {
    if !caller.is_user() {
        return Ok(None);
    }
    let assertion = caller.assertion(gate, ACCOUNTS);
    let reply = read(ListAddressesRequest {}, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.list_addresses(request).await }
    })
    .await?;
    let address = reply.addresses.into_iter().find(|address| address.id == id);
    Ok(address.map(|address| pb::Address {
        recipient: address.recipient,
        line1: address.line1,
        line2: address.line2,
        district: address.district,
        city: address.city,
        state: address.state,
        postal_code: address.postal_code,
        country: address.country,
    }))
}

/// How far an order has come, and how long its reservation lasts.
#[utoipa::path(
    get,
    path = "/api/v1/checkout/{id}",
    tag = "checkout",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The order and its latest payment", body = views::Data<CheckoutAnswer>),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Buyer { gate, caller, id } = Buyer::of(&request)?;
    let assertion = caller.assertion(&gate, ORDERS);
    let reply = read(GetCheckoutRequest { order_id: id }, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut checkout = gate.upstream().checkout.clone();
        async move { checkout.get_checkout(request).await }
    })
    .await?;
    let order = reply.order.ok_or(Error::Internal)?;
    let checkout = CheckoutState {
        checkout: Checkout::of(&order, String::new()),
        remaining_s: reply.remaining_s,
        payment: reply.payment.as_ref().map(Payment::of),
    };
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, PRIVATE))
        .body(views::envelope(CheckoutAnswer { checkout })))
}

/// Gives the reservation back and opens the cart again; for orders that nobody has paid.
#[utoipa::path(
    post,
    path = "/api/v1/checkout/{id}/cancel",
    tag = "checkout",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The order, cancelled", body = views::Data<OrderAnswer>),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument),
        (status = 409, description = "illegal_transition or payment_in_flight", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn cancel(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Buyer { gate, caller, id } = Buyer::of(&request)?;
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let message = CancelCheckoutRequest { order_id: id };
        let reply = write(message, CHECKOUT_DEADLINE, assertion.as_deref(), |request| {
            let mut checkout = writer.checkout.clone();
            async move { checkout.cancel_checkout(request).await }
        })
        .await?;
        Ok((reply.order, reply.receipts))
    });
    super::orders::changed(StatusCode::OK, made.await?)
}

/// Whoever may see one order, as far as the gateway can tell.
pub(super) struct Buyer {
    pub(super) gate: Rc<Gate>,
    pub(super) caller: Authenticated,
    pub(super) id: i64,
}

impl Buyer {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.shopper(request)?.ok_or(Error::Unauthenticated)?;
        let (route, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
        let id = path_id(segment)?;
        let mut query = Query::parse(request.query_string())?;
        if route.takes_order_token() {
            query.take(ORDER_TOKEN);
        }
        query.finish()?;
        Ok(Self { gate, caller, id })
    }
}
