//! Paying an order, and what the provider of payments says by itself.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HOST, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::orders::v1 as pb;
use proto::orders::v1::{GetPaymentRequest, PayResponse, ReceivePaymentEventRequest};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ORDERS;
use super::checkout::{Buyer, PRIVATE};
use super::openapi::ProblemDocument;
use crate::body;
use crate::error::{Error, FieldError, Text};
use crate::gate::{Gate, Hsts};
use crate::guest::ORDER_TOKEN;
use crate::query::Query;
use crate::repeat;
use crate::routes::Route;
use crate::shop_bodies::{self, PaymentBody};
use crate::upstream::{PAYMENT_DEADLINE, READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Order, Parts, Payment};

/// How providers sign their words.
const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
/// The longest signature, with room for several keys.
const SIGNATURE_BYTES_MAX: usize = 1_024;
/// The longest word of a provider.
const WORD_BYTES_MAX: usize = 256 * 1024;
const PROVIDER_CHARS_MAX: usize = 32;

/// An attempt to pay, and the order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paid {
    payment: Payment,
    order: Order,
}

/// An attempt to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentAnswer {
    payment: Payment,
}

/// Pays an order once, however often it is asked.
#[utoipa::path(
    post,
    path = "/api/v1/checkout/{id}/payments",
    tag = "checkout",
    params(("id" = i64, Path)),
    request_body = PaymentBody,
    responses(
        (status = 200, description = "Paid", body = views::Data<Paid>),
        (status = 202, description = "The buyer has to act, or the outcome is not known yet", body = views::Data<Paid>),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 402, description = "payment_declined, with `decline_code` and `retryable`", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument),
        (
            status = 409,
            description = "payment_in_flight, checkout_expired, illegal_transition, price_changed, idempotency_in_flight",
            body = ProblemDocument
        ),
        (status = 422, description = "validation_failed or idempotency_key_reused", body = ProblemDocument),
        (status = 428, description = "`Idempotency-Key` is missing", body = ProblemDocument),
        (status = 503, description = "upstream_unavailable", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn pay(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let Buyer { gate, caller, id } = Buyer::of(&request)?;
    repeat::required(request.headers())?;
    let mut message = shop_bodies::payment(body::json(&request, payload).await?)?;
    message.order_id = id;
    message.return_url = return_url(&gate, &request, message.return_url, id)?;
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let reply = write(message, PAYMENT_DEADLINE, assertion.as_deref(), |request| {
            let mut checkout = writer.checkout.clone();
            async move { checkout.pay(request).await }
        })
        .await?;
        let PayResponse { payment, order, receipts } = reply;
        Ok(((payment, order), receipts))
    });
    let ((payment, order), token) = made.await?;
    let (payment, order) = payment.zip(order).ok_or(Error::Internal)?;
    let Some(status) = status_of(&payment) else {
        let (decline_code, retryable) = (payment.failure_code, payment.retryable);
        let (receipts, token) = (Vec::new(), Some(token));
        return Err(Error::PaymentDeclined { decline_code, retryable, receipts, token });
    };
    let paid = Paid { payment: Payment::of(&payment), order: Order::of(&order, Parts::Buyers) };
    let mut response = HttpResponse::build(status)
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, PRIVATE))
        .body(views::envelope(paid));
    token.write(response.headers_mut());
    Ok(response)
}

/// What is not proved is not yet an outcome; none of what was declined.
fn status_of(payment: &pb::Payment) -> Option<StatusCode> {
    match payment.status.as_str() {
        "succeeded" => Some(StatusCode::OK),
        "failed" | "canceled" => None,
        _ => Some(StatusCode::ACCEPTED),
    }
}

/// Where the bank sends the buyer back to: a page of ours, or of an origin that may act for us. Anything else would
/// lend our name to strangers.
fn return_url(gate: &Gate, request: &HttpRequest, asked: String, order: i64) -> Result<String, Error> {
    if asked.is_empty() {
        let scheme = match gate.shared.hsts {
            Hsts::Send => "https",
            Hsts::Omit => "http",
        };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        return Ok(format!("{scheme}://{host}/pedidos/{order}"));
    }
    let rest = asked.split_once("://").map(|(scheme, rest)| (scheme, rest.split(['/', '?', '#']).next()));
    let origin = match rest {
        Some((scheme @ ("https" | "http"), Some(authority))) => format!("{scheme}://{authority}"),
        _ => String::new(),
    };
    let origin = HeaderValue::from_str(&origin).ok();
    let ours = origin.is_some_and(|origin| {
        gate.shared.home().welcomes(&origin, request.headers()) || is_local(gate, &origin)
    });
    if ours && asked.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(asked);
    }
    Err(Error::Validation(vec![FieldError {
        pointer: "/return_url".to_owned(),
        code: "invalid".into(),
        detail: Text::fixed("deve ser uma página nossa", "must be a page of ours"),
    }]))
}

/// In development the shop's pages are on this machine, whatever their port.
fn is_local(gate: &Gate, origin: &HeaderValue) -> bool {
    let local = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    let host = local.map(|authority| authority.split(':').next().unwrap_or_default());
    gate.shared.hsts == Hsts::Omit && matches!(host, Some("localhost" | "127.0.0.1"))
}

/// How an attempt to pay stands.
#[utoipa::path(
    get,
    path = "/api/v1/payments/{id}",
    tag = "checkout",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The attempt", body = views::Data<PaymentAnswer>),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such attempt, or somebody else's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.shopper(&request)?.ok_or(Error::Unauthenticated)?;
    let mut query = Query::parse(request.query_string())?;
    query.take(ORDER_TOKEN);
    query.finish()?;
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    let payment_id = Uuid::try_parse(segment).ok().ok_or(Error::NotFound)?.to_string();
    let assertion = caller.assertion(&gate, ORDERS);
    let reply = read(GetPaymentRequest { payment_id }, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut checkout = gate.upstream().checkout.clone();
        async move { checkout.get_payment(request).await }
    })
    .await?;
    let payment = Payment::of(&reply.payment.ok_or(Error::Internal)?);
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, PRIVATE))
        .body(views::envelope(PaymentAnswer { payment })))
}

/// What a provider says by itself. It is kept before this answers, and acted upon later.
#[utoipa::path(
    post,
    path = "/api/v1/payments/webhooks/{provider}",
    tag = "checkout",
    params(
        ("provider" = String, Path),
        ("Stripe-Signature" = String, Header, description = "`t=…,v1=…`: over these very bytes")
    ),
    request_body(content = String, description = "An event of the provider, up to 256 KiB", content_type = "application/json"),
    responses(
        (status = 200, description = "Kept"),
        (status = 400, description = "invalid_signature", body = ProblemDocument),
        (status = 404, description = "No such provider", body = ProblemDocument),
        (status = 413, description = "payload_too_large", body = ProblemDocument)
    )
)]
pub(crate) async fn webhook(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let (_, provider) = Route::find(request.path()).ok_or(Error::NotFound)?;
    let plausible = provider.len() <= PROVIDER_CHARS_MAX && provider.bytes().all(|b| b.is_ascii_lowercase());
    let provider = if plausible { provider.to_owned() } else { return Err(Error::NotFound) };
    let signature = request.headers().get(STRIPE_SIGNATURE).and_then(|value| value.to_str().ok());
    let signature = signature.filter(|signature| signature.len() <= SIGNATURE_BYTES_MAX);
    let body = body::raw(&request, payload, WORD_BYTES_MAX).await?;
    let message = ReceivePaymentEventRequest {
        provider,
        body: body.to_vec(),
        signature: signature.ok_or(Error::InvalidSignature)?.to_owned(),
    };
    let assertion = gate.service_assertion(ORDERS);
    let kept = gate.change(async move |writer| {
        write(message, WRITE_DEADLINE, Some(&assertion), |request| {
            let mut checkout = writer.checkout.clone();
            async move { checkout.receive_payment_event(request).await }
        })
        .await?;
        Ok(((), Vec::new()))
    });
    kept.await.map_err(unsigned)?;
    Ok(HttpResponse::Ok().finish())
}

/// Whatever is wrong with a word that a service refuses, it is not the provider's.
fn unsigned(error: Error) -> Error {
    match error {
        Error::Validation(_) | Error::Unauthenticated | Error::Forbidden => Error::InvalidSignature,
        other => other,
    }
}
