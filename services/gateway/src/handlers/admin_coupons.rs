//! Coupons as staff read and change them.

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::orders::v1 as pb;
use proto::orders::v1::{CreateCouponRequest, GetCouponRequest, ListCouponsRequest, UpdateCouponRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::ORDERS;
use super::openapi::ProblemDocument;
use crate::auth::Authenticated;
use crate::body;
use crate::error::Error;
use crate::gate::Gate;
use crate::listing::{Page, place};
use crate::negotiation::none_match_names;
use crate::precondition::{self, Precondition, version_tag};
use crate::query::Query;
use crate::routes::Route;
use crate::shop_bodies::{self, CouponBody};
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Coupon, Pagination};

/// Letters of their version tags.
const KIND: &str = "cp";
const CODE_CHARS_MAX: usize = 64;

/// One coupon.
#[derive(Debug, Serialize, ToSchema)]
pub struct CouponAnswer {
    coupon: Coupon,
}

/// A page of coupons.
#[derive(Debug, Serialize, ToSchema)]
pub struct CouponPage {
    coupons: Vec<Coupon>,
    pagination: Pagination,
}

/// A page of coupons, by code.
#[utoipa::path(
    get,
    path = "/api/v1/admin/coupons",
    tag = "admin",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `per_page` reaches 10000"),
        ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<CouponPage>),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 403, description = "forbidden", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    let mut query = Query::parse(request.query_string())?;
    let (page, per_page) = place(&mut query)?;
    query.finish()?;
    let Page::Number(page) = page else {
        let (pt, en) = ("esta lista tem páginas numeradas", "this list has numbered pages");
        return Err(Error::parameter("cursor", pt, en));
    };
    let assertion = caller.assertion(&gate, ORDERS);
    let message = ListCouponsRequest { page, per_page };
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut orders = gate.upstream().order_admin.clone();
        async move { orders.list_coupons(request).await }
    })
    .await?;
    let coupons = reply.coupons.iter().map(Coupon::of).collect();
    let page = CouponPage { coupons, pagination: Pagination::numbered(page, per_page, reply.total) };
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(page)))
}

/// A new coupon.
#[utoipa::path(
    post,
    path = "/api/v1/admin/coupons",
    tag = "admin",
    request_body = CouponBody,
    responses(
        (status = 201, description = "The coupon, its version in `ETag`", body = views::Data<CouponAnswer>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 409, description = "The code is taken", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    Query::parse(request.query_string())?.finish()?;
    let coupon = Some(shop_bodies::coupon(body::json(&request, payload).await?, None)?);
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let message = CreateCouponRequest { coupon };
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.create_coupon(request).await }
        })
        .await?;
        Ok((reply.coupon, reply.receipts))
    });
    let (coupon, token) = made.await.map_err(named_as_in_body)?;
    let coupon = coupon.ok_or(Error::Internal)?;
    let mut response = answer(StatusCode::CREATED, &coupon);
    let location = format!("/api/v1/admin/coupons/{}", coupon.code);
    response.headers_mut().insert(LOCATION, location.parse().ok().ok_or(Error::Internal)?);
    token.write(response.headers_mut());
    Ok(response)
}

/// One coupon with its version in `ETag`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/coupons/{code}",
    tag = "admin",
    params(("code" = String, Path)),
    responses(
        (status = 200, description = "The coupon", body = views::Data<CouponAnswer>),
        (status = 304, description = "The version of `If-None-Match` is the current one"),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such coupon", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let coupon = change.current().await?;
    let etag = version_tag(KIND, &coupon.code, coupon.version);
    let named = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if named.is_some_and(|named| none_match_names(named, &etag)) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    Ok(answer(StatusCode::OK, &coupon))
}

/// Replaces every field of a coupon but its code.
#[utoipa::path(
    put,
    path = "/api/v1/admin/coupons/{code}",
    tag = "admin",
    params(("code" = String, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = CouponBody,
    responses(
        (status = 200, description = "The coupon", body = views::Data<CouponAnswer>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such coupon", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn replace(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let expected_version = change.version_named(&request).await?;
    let coupon = shop_bodies::coupon(body::json(&request, payload).await?, Some(&change.code))?;
    let message = UpdateCouponRequest { coupon: Some(coupon), expected_version };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.update_coupon(request).await }
        })
        .await?;
        Ok((reply.coupon, reply.receipts))
    });
    let (coupon, token) = match made.await {
        Ok(made) => made,
        Err(Error::PreconditionFailed { .. }) => {
            return Err(not_current(change.current().await.ok().as_ref()));
        }
        Err(error) => return Err(named_as_in_body(error)),
    };
    let mut response = answer(StatusCode::OK, &coupon.ok_or(Error::Internal)?);
    token.write(response.headers_mut());
    Ok(response)
}

/// A look at one coupon, or a change of it, by somebody who may.
struct Change {
    gate: Rc<Gate>,
    caller: Authenticated,
    code: String,
}

impl Change {
    /// Checks everything but the body, which is not worth reading otherwise.
    async fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.staff(&gate).await?;
        let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
        let plausible = segment.len() <= CODE_CHARS_MAX
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !plausible {
            return Err(Error::NotFound);
        }
        Query::parse(request.query_string())?.finish()?;
        Ok(Self { gate, caller, code: segment.to_owned() })
    }

    fn assertion(&self) -> Option<String> {
        self.caller.assertion(&self.gate, ORDERS)
    }

    /// The version that the change is for.
    async fn version_named(&self, request: &HttpRequest) -> Result<i64, Error> {
        let precondition = Precondition::required_of(request.headers(), KIND, &self.code)?;
        if let Some(version) = precondition.version() {
            return Ok(version);
        }
        let coupon = self.current().await?;
        if precondition.names(coupon.version) { Ok(coupon.version) } else { Err(not_current(Some(&coupon))) }
    }

    async fn current(&self) -> Result<pb::Coupon, Error> {
        let assertion = self.assertion();
        let message = GetCouponRequest { code: self.code.clone() };
        let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = self.gate.upstream().order_admin.clone();
            async move { orders.get_coupon(request).await }
        })
        .await?;
        reply.coupon.ok_or(Error::Internal)
    }
}

/// The service names the fields of a coupon, which are the body's own.
fn named_as_in_body(error: Error) -> Error {
    let rename = |pointer: &mut String| {
        if let Some(rest) = pointer.strip_prefix("/coupon/") {
            *pointer = format!("/{rest}");
        }
    };
    match error {
        Error::Validation(mut fields) => {
            fields.iter_mut().for_each(|field| rename(&mut field.pointer));
            Error::Validation(fields)
        }
        Error::Conflict(mut field) => {
            rename(&mut field.pointer);
            Error::Conflict(field)
        }
        other => other,
    }
}

fn answer(status: StatusCode, coupon: &pb::Coupon) -> HttpResponse {
    let body = views::envelope(CouponAnswer { coupon: Coupon::of(coupon) });
    let etag = version_tag(KIND, &coupon.code, coupon.version);
    HttpResponse::build(status).content_type("application/json").insert_header((ETAG, etag)).body(body)
}

fn not_current(coupon: Option<&pb::Coupon>) -> Error {
    precondition::failed(coupon.and_then(|coupon| {
        let body = serde_json::to_vec(&CouponAnswer { coupon: Coupon::of(coupon) }).ok()?;
        Some((version_tag(KIND, &coupon.code, coupon.version), body))
    }))
}
