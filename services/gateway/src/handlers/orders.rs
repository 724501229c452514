//! A buyer's orders: a user's own, or a guest's by its token.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use proto::orders::v1 as pb;
use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ReorderRequest, ReorderResponse,
    RequestReturnRequest,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::checkout::{Buyer, PRIVATE};
use super::openapi::ProblemDocument;
use super::{Found, ORDERS, Origin};
use crate::body;
use crate::cache_policy::OrderList;
use crate::error::Error;
use crate::gate::WriteToken;
use crate::listing::Page;
use crate::query::Subset;
use crate::shop_bodies::{self, CancelBody, ReturnBody};
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Cart, Order, OrderSummary, Pagination, Parts};

/// One order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderAnswer {
    pub(crate) order: Order,
}

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderPage {
    orders: Vec<OrderSummary>,
    pagination: Pagination,
}

impl OrderPage {
    pub(super) fn of(orders: Vec<OrderSummary>, pagination: Pagination) -> Self {
        Self { orders, pagination }
    }
}

/// An order, and what comes next.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmationAnswer {
    confirmation: Confirmation,
}

/// An order as its buyer sees it after paying.
#[derive(Debug, Serialize, ToSchema)]
pub struct Confirmation {
    order: Order,
    /// `pay`, `complete_payment`, `await_confirmation`, `await_shipment`, `await_delivery`, `track`, `return`,
    /// `await_refund`, `order_again`.
    next_steps: Vec<&'static str>,
    email: Mail,
}

/// What is written to the buyer about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mail {
    /// `order_placed`, `order_paid`, `order_shipped`, `order_delivered`, `order_cancelled` or `order_refunded`.
    kind: &'static str,
    /// `scheduled`: it is sent as soon as the mail server takes it.
    status: &'static str,
}

/// What can be bought again of an order, and the cart now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reordered {
    cart: Cart,
    /// Variants that cannot be bought any more.
    unavailable: Vec<i64>,
    /// Variants of which there is not as much.
    capped: Vec<i64>,
}

/// A page of the user's orders, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders",
    tag = "orders",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `per_page` reaches 10000"),
        ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer, instead of `page`"),
        ("limit" = Option<u32>, Query, description = "The same as `per_page`"),
        ("status" = Option<String>, Query, description = "Statuses, comma-separated"),
        ("from" = Option<String>, Query, description = "RFC 3339; those placed at or after it"),
        ("to" = Option<String>, Query, description = "RFC 3339; those placed before it")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<OrderPage>),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(origin: Origin, list: &OrderList) -> Result<Found, Error> {
    let (page, cursor) = match &list.page {
        Page::Number(page) => (*page, None),
        Page::Cursor(cursor) => (0, Some(cursor.clone())),
    };
    let message = ListOrdersRequest {
        page,
        per_page: list.per_page,
        statuses: list.statuses.iter().map(|status| (*status).to_owned()).collect(),
        from: list.from.map(views::instant),
        to: list.to.map(views::instant),
        cursor,
    };
    let reply = read(message, READ_DEADLINE, origin.bearer(), |request| {
        let mut orders = origin.upstream.orders.clone();
        async move { orders.list_orders(request).await }
    })
    .await?;
    let mut pagination = Pagination::numbered(page, list.per_page, reply.total);
    pagination.next_cursor = reply.next_cursor;
    pagination.prev_cursor = reply.prev_cursor;
    let orders = reply.orders.iter().map(OrderSummary::of).collect();
    Ok(Found::text(views::envelope(OrderPage { orders, pagination })))
}

/// One order.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}",
    tag = "orders",
    params(
        ("id" = i64, Path),
        ("include" = Option<String>, Query, description = "history, shipments, payments: comma-separated"),
        ("order_token" = Option<String>, Query, description = "Opens a guest's order")
    ),
    responses(
        (status = 200, description = "The order", body = views::Data<OrderAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter", body = ProblemDocument),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn get(origin: Origin, id: i64, parts: Subset) -> Result<Found, Error> {
    let order = asked(&origin, id).await?;
    let answer = OrderAnswer { order: Order::of(&order, Parts::Asked(parts)) };
    Ok(Found::text(views::envelope(answer)))
}

/// One order as its buyer sees it after paying: what it is, what comes next, what is written about it.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}/confirmation",
    tag = "orders",
    params(("id" = i64, Path), ("order_token" = Option<String>, Query, description = "Opens a guest's order")),
    responses(
        (status = 200, description = "The order and what comes next", body = views::Data<ConfirmationAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn confirmation(origin: Origin, id: i64) -> Result<Found, Error> {
    let order = asked(&origin, id).await?;
    let confirmation = Confirmation {
        next_steps: next_steps(&order),
        email: Mail { kind: mail_kind(&order.status), status: "scheduled" },
        order: Order::of(&order, Parts::Buyers),
    };
    Ok(Found::text(views::envelope(ConfirmationAnswer { confirmation })))
}

async fn asked(origin: &Origin, id: i64) -> Result<pb::Order, Error> {
    let reply = read(GetOrderRequest { order_id: id }, READ_DEADLINE, origin.bearer(), |request| {
        let mut orders = origin.upstream.orders.clone();
        async move { orders.get_order(request).await }
    })
    .await?;
    reply.order.ok_or(Error::Internal)
}

fn next_steps(order: &pb::Order) -> Vec<&'static str> {
    match order.status.as_str() {
        "pending_payment" | "payment_failed" => match order.payments.last() {
            Some(payment) if payment.status == "requires_action" => vec!["complete_payment"],
            Some(payment) if !matches!(payment.status.as_str(), "failed" | "canceled") => {
                vec!["await_confirmation"]
            }
            Some(_) | None => vec!["pay"],
        },
        "paid" | "processing" => vec!["await_shipment"],
        "shipped" => vec!["track", "await_delivery"],
        "delivered" => vec!["return", "order_again"],
        "cancelled" | "return_requested" | "returned" => vec!["await_refund"],
        _ => vec!["order_again"],
    }
}

fn mail_kind(status: &str) -> &'static str {
    match status {
        "paid" | "processing" => "order_paid",
        "shipped" => "order_shipped",
        "delivered" => "order_delivered",
        "cancelled" | "expired" => "order_cancelled",
        "return_requested" | "returned" | "refunded" | "partially_refunded" => "order_refunded",
        _ => "order_placed",
    }
}

/// Cancels an order, or units of it that were not shipped; what was paid for them goes back.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/cancel",
    tag = "orders",
    params(("id" = i64, Path)),
    request_body(content = Option<CancelBody>, description = "Nothing to cancel all of it"),
    responses(
        (status = 200, description = "The order", body = views::Data<OrderAnswer>),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument),
        (status = 409, description = "illegal_transition or payment_in_flight", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn cancel(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let Buyer { gate, caller, id } = Buyer::of(&request)?;
    let (reason, lines) = if body::is_announced(&request) {
        shop_bodies::cancel(body::json(&request, payload).await?)?
    } else {
        (None, Vec::new())
    };
    let message = CancelOrderRequest { order_id: id, reason, lines };
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.orders.clone();
            async move { orders.cancel_order(request).await }
        })
        .await?;
        Ok((reply.order, reply.receipts))
    });
    changed(StatusCode::OK, made.await?)
}

/// Asks to send back what was delivered.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/returns",
    tag = "orders",
    params(("id" = i64, Path)),
    request_body = ReturnBody,
    responses(
        (status = 201, description = "The order", body = views::Data<OrderAnswer>),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument),
        (status = 409, description = "illegal_transition", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn request_return(
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let Buyer { gate, caller, id } = Buyer::of(&request)?;
    let lines = shop_bodies::returns(body::json(&request, payload).await?)?;
    let message = RequestReturnRequest { order_id: id, lines };
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.orders.clone();
            async move { orders.request_return(request).await }
        })
        .await?;
        Ok((reply.order, reply.receipts))
    });
    changed(StatusCode::CREATED, made.await?)
}

/// Puts what was ordered into the user's cart again, as far as it can be bought.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/reorder",
    tag = "orders",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The cart, and what is not in it", body = views::Data<Reordered>),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument),
        (status = 409, description = "cart_locked", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn reorder(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Buyer { gate, caller, id } = Buyer::of(&request)?;
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let message = ReorderRequest { order_id: id };
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.orders.clone();
            async move { orders.reorder(request).await }
        })
        .await?;
        let ReorderResponse { cart, unavailable_variant_ids, capped_variant_ids, receipts } = reply;
        Ok(((cart, unavailable_variant_ids, capped_variant_ids), receipts))
    });
    let ((cart, unavailable, capped), token) = made.await?;
    let cart = Cart::of(&cart.ok_or(Error::Internal)?);
    let mut response = HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, PRIVATE))
        .body(views::envelope(Reordered { cart, unavailable, capped }));
    token.write(response.headers_mut());
    Ok(response)
}

/// The answer to a change of an order by its buyer.
pub(super) fn changed(
    status: StatusCode,
    (order, token): (Option<pb::Order>, WriteToken),
) -> Result<HttpResponse, Error> {
    let order = Order::of(&order.ok_or(Error::Internal)?, Parts::Buyers);
    let mut response = HttpResponse::build(status)
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, PRIVATE))
        .body(views::envelope(OrderAnswer { order }));
    token.write(response.headers_mut());
    Ok(response)
}
