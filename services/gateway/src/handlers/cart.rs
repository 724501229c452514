//! The cart of a user, or of a guest by its token.

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_MATCH, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use proto::orders::v1 as pb;
use proto::orders::v1::{
    ClearCartRequest, GetCartRequest, MergeCartsRequest, RemoveCouponRequest, RemoveItemRequest,
    SetCouponRequest, SetItemQuantityRequest,
};
use serde::Serialize;
use tag_cache::Tag;
use utoipa::ToSchema;

use super::openapi::ProblemDocument;
use super::{Found, ORDERS, Origin};
use crate::auth::Authenticated;
use crate::body;
use crate::cache_policy::path_id;
use crate::cookies;
use crate::error::{Error, FieldError, Text};
use crate::gate::{Gate, WriteToken};
use crate::guest::{self, GuestToken};
use crate::negotiation::{Encoding, EntityTag, tags};
use crate::precondition;
use crate::query::{Query, digits};
use crate::representation::{Head, Kind};
use crate::routes::Route;
use crate::shop_bodies::{self, CartItemBody, CouponCodeBody, MergeBody, QuantityBody};
use crate::upstream::{CART_DEADLINE, READ_DEADLINE, read, write};
use crate::views::{self, Cart, CartMerge};

/// Warnings of carts that are soon others without any purge: prices that are not those of now, and what is scarce.
const PASSING: [&str; 2] = ["prices_unconfirmed", "low_stock"];

/// A cart.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartAnswer {
    cart: Cart,
}

/// What a merge did, and the cart now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MergeAnswer {
    cart_merge: CartMerge,
    cart: Cart,
}

/// The caller's cart with current prices; an empty one when there is none.
#[utoipa::path(
    get,
    path = "/api/v1/cart",
    tag = "cart",
    responses(
        (status = 200, description = "The cart; `version` makes the `If-Match` of a change: `\"c-<version>\"`", body = views::Data<CartAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 400, description = "A token that is none of ours", body = ProblemDocument)
    ),
    security((), ("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn get(origin: Origin, found: &mut Vec<Tag>) -> Result<Found, Error> {
    let reply = read(GetCartRequest {}, READ_DEADLINE, origin.bearer(), |request| {
        let mut carts = origin.upstream.carts.clone();
        async move { carts.get_cart(request).await }
    })
    .await?;
    let cart = reply.cart.ok_or(Error::Internal)?;
    found.extend(cart.items.iter().map(|item| Tag::of(&events::tags::product(item.product_id))));
    found.extend(cart.coupon.iter().map(|coupon| Tag::of(&events::tags::coupon(&coupon.code))));
    let passing = cart.warnings.iter().any(|warning| PASSING.contains(&warning.as_str()));
    let answer = Found::text(envelope(&cart));
    // No purge tells when the catalog is back, how much is left of what is scarce, or that a coupon is over or used up.
    Ok(if passing || cart.coupon.is_some() { answer.for_now() } else { answer })
}

/// The cart of somebody who holds no token: nothing was ever put into it.
pub(crate) async fn nobodys(request: HttpRequest) -> Result<HttpResponse, Error> {
    Query::parse(request.query_string())?.finish()?;
    let body = views::envelope(CartAnswer { cart: Cart::empty() });
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}

/// Puts something into the cart: additions add up. A guest's first one answers the token of the cart.
#[utoipa::path(
    post,
    path = "/api/v1/cart/items",
    tag = "cart",
    request_body = CartItemBody,
    responses(
        (status = 201, description = "The cart; `X-Cart-Token` and a cookie for a new guest", body = views::Data<CartAnswer>),
        (status = 404, description = "No such variant", body = ProblemDocument),
        (status = 409, description = "cart_locked or out_of_stock", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 429, description = "rate_limited", body = ProblemDocument)
    ),
    security((), ("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn add(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin_or_new(&request)?;
    let message = shop_bodies::cart_item(body::json(&request, payload).await?)?;
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.add_item(request).await }
        })
        .await?;
        Ok((reply.cart, reply.receipts))
    });
    let made = made.await?;
    change.finish(StatusCode::CREATED, made)
}

/// Sets the quantity of a line. With `If-Match` only in that version of the cart.
#[utoipa::path(
    patch,
    path = "/api/v1/cart/items/{id}",
    tag = "cart",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "`\"c-<version>\"` of the cart")),
    request_body = QuantityBody,
    responses(
        (status = 200, description = "The cart", body = views::Data<CartAnswer>),
        (status = 404, description = "No such line", body = ProblemDocument),
        (status = 409, description = "cart_locked or out_of_stock", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn set_quantity(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request)?;
    let item_id = item_of(&request)?;
    let quantity = shop_bodies::cart_quantity(body::json(&request, payload).await?)?;
    let expected_cart_version = change.version_named(&request).await?;
    let message = SetItemQuantityRequest { item_id, quantity, expected_cart_version };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.set_item_quantity(request).await }
        })
        .await?;
        Ok((reply.cart, reply.receipts))
    });
    match made.await {
        Err(Error::PreconditionFailed { .. }) => Err(not_current(change.current().await.ok().as_ref())),
        made => change.finish(StatusCode::OK, made?),
    }
}

/// Takes a line out.
#[utoipa::path(
    delete,
    path = "/api/v1/cart/items/{id}",
    tag = "cart",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The cart", body = views::Data<CartAnswer>),
        (status = 404, description = "No such line", body = ProblemDocument),
        (status = 409, description = "cart_locked", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn remove(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request)?;
    let message = RemoveItemRequest { item_id: item_of(&request)? };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.remove_item(request).await }
        })
        .await?;
        Ok((reply.cart, reply.receipts))
    });
    let made = made.await?;
    change.finish(StatusCode::OK, made)
}

/// Empties the cart.
#[utoipa::path(
    delete,
    path = "/api/v1/cart",
    tag = "cart",
    responses(
        (status = 204, description = "Done"),
        (status = 409, description = "cart_locked", body = ProblemDocument)
    ),
    security((), ("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn clear(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.shopper(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let mut response = HttpResponse::NoContent().finish();
    // Nobody's cart is empty already.
    let Some(caller) = caller else { return Ok(response) };
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let reply = write(ClearCartRequest {}, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.clear_cart(request).await }
        })
        .await?;
        Ok(((), reply.receipts))
    });
    let ((), token) = made.await?;
    token.write(response.headers_mut());
    Ok(response)
}

/// Puts a coupon into the cart, which shows what it gives. It is redeemed at checkout.
#[utoipa::path(
    put,
    path = "/api/v1/cart/coupon",
    tag = "cart",
    request_body = CouponCodeBody,
    responses(
        (status = 200, description = "The cart", body = views::Data<CartAnswer>),
        (status = 404, description = "No such coupon", body = ProblemDocument),
        (status = 409, description = "cart_locked or coupon_exhausted", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security((), ("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn put_coupon(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin_or_new(&request)?;
    let code = shop_bodies::coupon_code(body::json(&request, payload).await?)?;
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(SetCouponRequest { code }, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.set_coupon(request).await }
        })
        .await?;
        Ok((reply.cart, reply.receipts))
    });
    let made = made.await?;
    change.finish(StatusCode::OK, made)
}

/// Takes the coupon out.
#[utoipa::path(
    delete,
    path = "/api/v1/cart/coupon",
    tag = "cart",
    responses(
        (status = 200, description = "The cart", body = views::Data<CartAnswer>),
        (status = 404, description = "No cart", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn remove_coupon(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request)?;
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(RemoveCouponRequest {}, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.remove_coupon(request).await }
        })
        .await?;
        Ok((reply.cart, reply.receipts))
    });
    let made = made.await?;
    change.finish(StatusCode::OK, made)
}

/// Moves a guest's cart into the user's. Asked again, it answers the same report.
#[utoipa::path(
    post,
    path = "/api/v1/cart/merge",
    tag = "cart",
    request_body = MergeBody,
    responses(
        (status = 200, description = "What was done", body = views::Data<MergeAnswer>),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such cart", body = ProblemDocument),
        (status = 409, description = "cart_locked", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn merge(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let (token, strategy) = shop_bodies::merge(body::json(&request, payload).await?)?;
    let token = GuestToken::parse(&token).ok_or_else(|| {
        let detail = Text::fixed("não é um token de carrinho nosso", "is not a cart token of ours");
        Error::Validation(vec![FieldError {
            pointer: "/cart_token".to_owned(),
            code: "format".into(),
            detail,
        }])
    })?;
    let assertion = caller.assertion(&gate, ORDERS);
    let ((report, cart), written) = merge_carts(&gate, assertion, &token, strategy).await?;
    let answer = MergeAnswer { cart_merge: CartMerge::of(report), cart: Cart::of(&cart) };
    let mut response = HttpResponse::Ok().content_type("application/json").body(views::envelope(answer));
    forget_cart(&request, &gate, &mut response)?;
    written.write(response.headers_mut());
    Ok(response)
}

/// Moves the cart of a token into the one of the user whom `assertion` states.
pub(super) async fn merge_carts(
    gate: &Gate,
    assertion: Option<String>,
    token: &GuestToken,
    strategy: String,
) -> Result<((pb::MergeReport, pb::Cart), WriteToken), Error> {
    let message = MergeCartsRequest { cart_token_sha256: token.sha256().to_vec(), strategy };
    gate.change(async move |writer| {
        let reply = write(message, CART_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = writer.carts.clone();
            async move { carts.merge_carts(request).await }
        })
        .await?;
        let merged = reply.report.zip(reply.cart).ok_or(Error::Internal)?;
        Ok((merged, reply.receipts))
    })
    .await
}

/// Has a browser forget the token of a cart that has become another's.
pub(super) fn forget_cart(
    request: &HttpRequest,
    gate: &Gate,
    response: &mut HttpResponse,
) -> Result<(), Error> {
    let hsts = gate.shared.hsts;
    if cookies::first(request.headers(), cookies::cart_name(hsts)).is_some() {
        response.headers_mut().append(SET_COOKIE, cookies::cart_cleared(hsts)?);
    }
    Ok(())
}

/// A change of one cart by whoever holds it.
struct Change {
    gate: Rc<Gate>,
    caller: Authenticated,
    /// The token of a guest who had none.
    minted: Option<GuestToken>,
}

impl Change {
    /// Of a cart that must be there.
    fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        // Nobody's cart has nothing that could be changed.
        let caller = gate.shopper(request)?.ok_or(Error::NotFound)?;
        Query::parse(request.query_string())?.finish()?;
        Ok(Self { gate, caller, minted: None })
    }

    /// Of a cart that may begin with it.
    fn begin_or_new(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let (caller, minted) = gate.shopper_or_new(request)?;
        Query::parse(request.query_string())?.finish()?;
        Ok(Self { gate, caller, minted })
    }

    fn assertion(&self) -> Option<String> {
        self.caller.assertion(&self.gate, ORDERS)
    }

    /// The version that the change is for; absent: whatever the version is.
    async fn version_named(&self, request: &HttpRequest) -> Result<Option<i64>, Error> {
        let Some(header) = request.headers().get(IF_MATCH) else { return Ok(None) };
        let header = header.to_str().unwrap_or_default();
        let mut versions = tags(header).map(version_of);
        if let (Some(Some(version)), None) = (versions.next(), versions.next()) {
            return Ok(Some(version));
        }
        let cart = self.current().await?;
        // Or what a cached read of it was tagged with, in whatever encoding that went out.
        let body = Bytes::from(envelope(&cart));
        let head = Head::encode(Kind::Json, &body);
        let content = Head::decode(&head).expect("encoded above").etag(Encoding::Identity).trim_matches('"');
        let named = tags(header).any(|tag| match tag {
            EntityTag::Any => true,
            EntityTag::Strong(text) => {
                version_of(tag) == Some(cart.version)
                    || text.trim_matches('"').split('-').next() == Some(content)
            }
            EntityTag::Weak(_) => false,
        });
        if named { Ok(Some(cart.version)) } else { Err(not_current(Some(&cart))) }
    }

    async fn current(&self) -> Result<pb::Cart, Error> {
        let assertion = self.assertion();
        let reply = read(GetCartRequest {}, READ_DEADLINE, assertion.as_deref(), |request| {
            let mut carts = self.gate.upstream().carts.clone();
            async move { carts.get_cart(request).await }
        })
        .await?;
        reply.cart.ok_or(Error::Internal)
    }

    fn finish(
        self,
        status: StatusCode,
        (cart, token): (Option<pb::Cart>, WriteToken),
    ) -> Result<HttpResponse, Error> {
        let cart = cart.ok_or(Error::Internal)?;
        let mut response = HttpResponse::build(status)
            .content_type("application/json")
            .insert_header((ETAG, version_tag(cart.version)))
            .insert_header((CACHE_CONTROL, HeaderValue::from_static("private, no-store")))
            .body(envelope(&cart));
        if let Some(minted) = self.minted {
            minted.write(response.headers_mut(), self.gate.shared.hsts)?;
        }
        token.write(response.headers_mut());
        Ok(response)
    }
}

fn envelope(cart: &pb::Cart) -> Vec<u8> {
    views::envelope(CartAnswer { cart: Cart::of(cart) })
}

/// `"c-5"`: everybody has one cart at a time.
fn version_tag(version: i64) -> String {
    format!("\"c-{version}\"")
}

fn version_of(tag: EntityTag<'_>) -> Option<i64> {
    let EntityTag::Strong(tag) = tag else { return None };
    let version = tag.strip_prefix("\"c-")?.strip_suffix('"')?;
    digits(version).and_then(|version| i64::try_from(version).ok())
}

fn not_current(cart: Option<&pb::Cart>) -> Error {
    precondition::failed(cart.and_then(|cart| {
        let body = serde_json::to_vec(&CartAnswer { cart: Cart::of(cart) }).ok()?;
        Some((version_tag(cart.version), body))
    }))
}

fn item_of(request: &HttpRequest) -> Result<i64, Error> {
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    path_id(segment)
}

/// The token of a cart that a request shows, for whoever is about to become a user; a bad one is none.
pub(super) fn token_shown(request: &HttpRequest, gate: &Gate) -> Option<GuestToken> {
    let shown = guest::cart_token(request.headers(), gate.shared.hsts).ok()?;
    shown.map(|(token, _)| token)
}
