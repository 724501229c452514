//! Orders as staff read and change them. Each change is audited by the service.

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::orders::v1 as pb;
use proto::orders::v1::{AddNoteRequest, AdminGetOrderRequest, AdminListOrdersRequest, RefundOrderResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::ORDERS;
use super::openapi::ProblemDocument;
use super::orders::{OrderAnswer, OrderPage};
use crate::auth::Authenticated;
use crate::body;
use crate::cache_policy::{OrderList, path_id};
use crate::error::{Error, Text};
use crate::gate::{Gate, WriteToken};
use crate::listing::Page;
use crate::negotiation::none_match_names;
use crate::precondition::{self, Precondition, version_tag};
use crate::query::Query;
use crate::repeat;
use crate::routes::Route;
use crate::shop_bodies::{self, NoteBody, OrderPatchBody, RefundBody, ShipmentBody};
use crate::upstream::{PAYMENT_DEADLINE, READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Order, OrderSummary, Pagination, Parts, Refund};

/// Letter of their version tags.
const KIND: &str = "o";
const NUMBER_CHARS_MAX: usize = 32;

/// Money that goes back, and the order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refunded {
    refund: Refund,
    order: Order,
}

/// A page of orders, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders",
    tag = "admin",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `per_page` reaches 10000"),
        ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("status" = Option<String>, Query, description = "Statuses, comma-separated"),
        ("user_id" = Option<i64>, Query),
        ("number" = Option<String>, Query, description = "An order's number"),
        ("from" = Option<String>, Query, description = "RFC 3339; those placed at or after it"),
        ("to" = Option<String>, Query, description = "RFC 3339; those placed before it")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<OrderPage>),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 403, description = "forbidden", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    let message = orders_asked(request.query_string())?;
    let (page, per_page) = (message.page, message.per_page);
    let assertion = caller.assertion(&gate, ORDERS);
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut orders = gate.upstream().order_admin.clone();
        async move { orders.list_orders(request).await }
    })
    .await?;
    let orders = reply.orders.iter().map(OrderSummary::of_admin).collect();
    let mut pagination = Pagination::numbered(page, per_page, reply.total);
    pagination.total_exact = Some(reply.total_exact);
    let page = OrderPage::of(orders, pagination);
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(page)))
}

fn orders_asked(query: &str) -> Result<AdminListOrdersRequest, Error> {
    let mut query = Query::parse(query)?;
    let user_id = query.integer("user_id", 1..=i64::MAX.unsigned_abs())?;
    let number = query.take("number").map(|number| number.trim().to_owned());
    let OrderList { page, per_page, statuses, from, to } = OrderList::take(&mut query)?;
    query.finish()?;
    let Page::Number(page) = page else {
        let (pt, en) = ("esta lista tem páginas numeradas", "this list has numbered pages");
        return Err(Error::parameter("cursor", pt, en));
    };
    if number.as_ref().is_some_and(|number| number.chars().count() > NUMBER_CHARS_MAX) {
        let detail = Text::fixed("até 32 caracteres", "up to 32 characters");
        return Err(Error::InvalidParameter { name: "number".into(), detail });
    }
    Ok(AdminListOrdersRequest {
        page,
        per_page,
        statuses: statuses.into_iter().map(str::to_owned).collect(),
        user_id: user_id.map(u64::cast_signed),
        number: number.filter(|number| !number.is_empty()),
        from: from.map(views::instant),
        to: to.map(views::instant),
    })
}

/// One order with its version in `ETag`, history, parcels, payments and notes.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders/{id}",
    tag = "admin",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The order", body = views::Data<OrderAnswer>),
        (status = 304, description = "The version of `If-None-Match` is the current one"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such order", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let order = change.current().await?;
    let etag = version_tag(KIND, order.id, order.version);
    let named = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if named.is_some_and(|named| none_match_names(named, &etag)) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    Ok(answer(StatusCode::OK, &order))
}

/// Takes an order to its next status, where there is such a step.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/orders/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = OrderPatchBody,
    responses(
        (status = 200, description = "The order", body = views::Data<OrderAnswer>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such order", body = ProblemDocument),
        (status = 409, description = "illegal_transition", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn patch(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let expected_version = change.version_named(&request).await?;
    let message = shop_bodies::order_patch(body::json(&request, payload).await?)?;
    let message = pb::ChangeOrderStatusRequest { order_id: change.id, expected_version, ..message };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.change_order_status(request).await }
        })
        .await?;
        Ok((reply.order, reply.receipts))
    });
    let made = made.await;
    change.finish(StatusCode::OK, made).await
}

/// Gives money back: all that was not yet refunded, or a part of it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/orders/{id}/refunds",
    tag = "admin",
    params(("id" = i64, Path)),
    request_body = RefundBody,
    responses(
        (status = 201, description = "The refund and the order", body = views::Data<Refunded>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such order", body = ProblemDocument),
        (status = 409, description = "illegal_transition, conflict or idempotency_in_flight", body = ProblemDocument),
        (status = 422, description = "validation_failed or idempotency_key_reused", body = ProblemDocument),
        (status = 428, description = "`Idempotency-Key` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn refund(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    repeat::required(request.headers())?;
    let mut message = shop_bodies::refund(body::json(&request, payload).await?)?;
    message.order_id = change.id;
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, PAYMENT_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.refund_order(request).await }
        })
        .await?;
        let RefundOrderResponse { refund, order, receipts } = reply;
        Ok(((refund, order), receipts))
    });
    let ((refund, order), token) = made.await?;
    let (refund, order) = refund.zip(order).ok_or(Error::Internal)?;
    let refunded =
        Refunded { refund: Refund::of(&refund, &order.currency), order: Order::of(&order, Parts::Staffs) };
    let mut response = HttpResponse::Created()
        .content_type("application/json")
        .insert_header((ETAG, version_tag(KIND, order.id, order.version)))
        .body(views::envelope(refunded));
    token.write(response.headers_mut());
    Ok(response)
}

/// Sends a parcel with some of the order's units, or all of them.
#[utoipa::path(
    post,
    path = "/api/v1/admin/orders/{id}/shipments",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = ShipmentBody,
    responses(
        (status = 201, description = "The order", body = views::Data<OrderAnswer>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such order", body = ProblemDocument),
        (status = 409, description = "illegal_transition", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn ship(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let expected_version = change.version_named(&request).await?;
    let message = shop_bodies::shipment(body::json(&request, payload).await?)?;
    let message = pb::CreateShipmentRequest { order_id: change.id, expected_version, ..message };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.create_shipment(request).await }
        })
        .await?;
        Ok((reply.order, reply.receipts))
    });
    let made = made.await;
    change.finish(StatusCode::CREATED, made).await
}

/// Writes something down about an order, for staff only.
#[utoipa::path(
    post,
    path = "/api/v1/admin/orders/{id}/notes",
    tag = "admin",
    params(("id" = i64, Path)),
    request_body = NoteBody,
    responses(
        (status = 201, description = "The order", body = views::Data<OrderAnswer>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such order", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn note(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let body = shop_bodies::note(body::json(&request, payload).await?)?;
    let message = AddNoteRequest { order_id: change.id, body };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.add_note(request).await }
        })
        .await?;
        Ok((reply.order, reply.receipts))
    });
    let made = made.await;
    change.finish(StatusCode::CREATED, made).await
}

/// A look at one order, or a change of it, by somebody who may.
struct Change {
    gate: Rc<Gate>,
    caller: Authenticated,
    id: i64,
}

impl Change {
    /// Checks everything but the body, which is not worth reading otherwise.
    async fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.staff(&gate).await?;
        let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
        let id = path_id(segment)?;
        Query::parse(request.query_string())?.finish()?;
        Ok(Self { gate, caller, id })
    }

    fn assertion(&self) -> Option<String> {
        self.caller.assertion(&self.gate, ORDERS)
    }

    /// The version that the change is for.
    async fn version_named(&self, request: &HttpRequest) -> Result<i64, Error> {
        let precondition = Precondition::required(request.headers(), KIND, self.id)?;
        if let Some(version) = precondition.version() {
            return Ok(version);
        }
        let order = self.current().await?;
        if precondition.names(order.version) { Ok(order.version) } else { Err(not_current(Some(&order))) }
    }

    async fn current(&self) -> Result<pb::Order, Error> {
        let assertion = self.assertion();
        let message = AdminGetOrderRequest { order_id: self.id };
        let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = self.gate.upstream().order_admin.clone();
            async move { orders.get_order(request).await }
        })
        .await?;
        reply.order.ok_or(Error::Internal)
    }

    /// The answer to a change that was tried.
    async fn finish(
        self,
        status: StatusCode,
        made: Result<(Option<pb::Order>, WriteToken), Error>,
    ) -> Result<HttpResponse, Error> {
        let (order, token) = match made {
            Ok(made) => made,
            Err(Error::PreconditionFailed { .. }) => {
                return Err(not_current(self.current().await.ok().as_ref()));
            }
            Err(error) => return Err(error),
        };
        let mut response = answer(status, &order.ok_or(Error::Internal)?);
        token.write(response.headers_mut());
        Ok(response)
    }
}

fn answer(status: StatusCode, order: &pb::Order) -> HttpResponse {
    let body = views::envelope(OrderAnswer { order: Order::of(order, Parts::Staffs) });
    let etag = version_tag(KIND, order.id, order.version);
    HttpResponse::build(status).content_type("application/json").insert_header((ETAG, etag)).body(body)
}

fn not_current(order: Option<&pb::Order>) -> Error {
    precondition::failed(order.and_then(|order| {
        let body = serde_json::to_vec(&OrderAnswer { order: Order::of(order, Parts::Staffs) }).ok()?;
        Some((version_tag(KIND, order.id, order.version), body))
    }))
}
