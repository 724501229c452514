//! What sending something costs, where a postal code is, and what can be bought now.

use actix_web::{HttpRequest, HttpResponse, web};
use events::tags;
use proto::catalog::v1::{GetProductRequest, get_product_request};
use proto::orders::v1 as pb;
use proto::orders::v1::{GetAvailabilityRequest, LookUpCepRequest, QuoteItem, QuoteShippingRequest};
use serde::Serialize;
use tag_cache::Tag;
use utoipa::ToSchema;

use super::openapi::ProblemDocument;
use super::{Found, ORDERS, Origin};
use crate::body;
use crate::error::Error;
use crate::gate::Gate;
use crate::query::Query;
use crate::shop_bodies::{self, QuotesBody};
use crate::upstream::{READ_DEADLINE, read};
use crate::views::{self, Availability, Cep, Eta, ShippingQuote};

/// Variants of one question.
const VARIANTS_MAX: usize = 100;

/// Ways to send something.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuoteList {
    quotes: Vec<ShippingQuote>,
}

/// Which variants can be bought.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityList {
    variants: Vec<Availability>,
}

/// What it costs to send these things, or the caller's cart.
#[utoipa::path(
    post,
    path = "/api/v1/shipping/quotes",
    tag = "cart",
    request_body = QuotesBody,
    responses(
        (status = 200, description = "Ways to send it, the cheapest first", body = views::Data<QuoteList>),
        (status = 404, description = "No such postal code, or nothing to send", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security((), ("bearer" = []), ("cookie" = []), ("cart_token" = []))
)]
pub(crate) async fn quotes(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.shopper(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let message = shop_bodies::quotes(body::json(&request, payload).await?)?;
    let assertion = caller.and_then(|caller| caller.assertion(&gate, ORDERS));
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut carts = gate.upstream().carts.clone();
        async move { carts.quote_shipping(request).await }
    })
    .await
    .map_err(named_as_in_body)?;
    let quotes = reply.quotes.iter().map(ShippingQuote::of).collect();
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(QuoteList { quotes })))
}

/// The question is asked with a body, although it changes nothing.
fn named_as_in_body(error: Error) -> Error {
    match error {
        Error::InvalidParameter { name, detail } => {
            let pointer = format!("/{}", name.replace('.', "/"));
            Error::Validation(vec![crate::error::FieldError { pointer, code: "invalid".into(), detail }])
        }
        other => other,
    }
}

/// State, city and region of a postal code.
#[utoipa::path(
    get,
    path = "/api/v1/cep/{cep}",
    tag = "cart",
    params(("cep" = String, Path, description = "Eight digits")),
    responses(
        (status = 200, description = "Where it is", body = views::Data<Cep>),
        (status = 400, description = "invalid_parameter", body = ProblemDocument),
        (status = 404, description = "No such postal code", body = ProblemDocument)
    )
)]
pub(crate) async fn cep(origin: Origin, cep: &str) -> Result<Found, Error> {
    let message = LookUpCepRequest { cep: cep.to_owned() };
    let reply = read(message, READ_DEADLINE, None, |request| {
        let mut carts = origin.upstream.carts.clone();
        async move { carts.look_up_cep(request).await }
    })
    .await;
    let reply = reply.map_err(|error| match error {
        // Eight digits are all that a code must be: what the tables refuse is a place that does not exist.
        Error::InvalidParameter { .. } => Error::NotFound,
        other => other,
    })?;
    Ok(Found::text(views::envelope(Cep::of(reply))))
}

/// Which variants of a product can be bought now, and how many.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}/availability",
    tag = "catalog",
    params(
        ("id" = i64, Path),
        ("variant_id" = Option<i64>, Query, description = "Only this variant"),
        ("cep" = Option<String>, Query, description = "With `variant_id`: says when it would arrive there")
    ),
    responses(
        (status = 200, description = "The variants", body = views::Data<AvailabilityList>),
        (status = 400, description = "invalid_parameter", body = ProblemDocument),
        (status = 404, description = "No such product or variant", body = ProblemDocument)
    )
)]
pub(crate) async fn availability(
    origin: Origin,
    product: i64,
    variant: Option<i64>,
    cep: Option<&str>,
    found: &mut Vec<Tag>,
) -> Result<Found, Error> {
    let by = Some(get_product_request::By::Id(product));
    let reply = read(GetProductRequest { by }, READ_DEADLINE, None, |request| {
        let mut catalog = origin.upstream.catalog.clone();
        async move { catalog.get_product(request).await }
    })
    .await?;
    let sold = reply.product.ok_or(Error::Internal)?.variants.into_iter().map(|variant| variant.id);
    let asked = sold.filter(|id| variant.is_none_or(|asked| asked == *id));
    let asked: Vec<i64> = asked.take(VARIANTS_MAX).collect();
    if variant.is_some() && asked.is_empty() {
        return Err(Error::NotFound);
    }
    found.extend(asked.iter().map(|id| Tag::of(&tags::stock_variant(*id))));
    let known = if asked.is_empty() {
        Vec::new()
    } else {
        let message = GetAvailabilityRequest { variant_ids: asked.clone() };
        let reply = read(message, READ_DEADLINE, None, |request| {
            let mut carts = origin.upstream.carts.clone();
            async move { carts.get_availability(request).await }
        });
        reply.await?.variants
    };
    let variants = asked.iter().map(|id| {
        let stock = known.iter().find(|known| known.variant_id == *id);
        let out =
            || pb::Availability { variant_id: *id, band: "out".to_owned(), ..pb::Availability::default() };
        let pb::Availability { variant_id: id, available, max_quantity, band } =
            stock.cloned().unwrap_or_else(out);
        Availability { id, available, max_quantity, band, eta: None }
    });
    let mut variants: Vec<Availability> = variants.collect();
    if let (Some(cep), [only]) = (cep, variants.as_mut_slice()) {
        only.eta = eta(&origin, only.id, cep).await?;
    }
    Ok(Found::text(views::envelope(AvailabilityList { variants })))
}

/// When one of a variant would arrive at the soonest; `None` when nothing is sent there.
async fn eta(origin: &Origin, variant_id: i64, cep: &str) -> Result<Option<Eta>, Error> {
    let items = vec![QuoteItem { variant_id, quantity: 1 }];
    let message = QuoteShippingRequest { cep: cep.to_owned(), items };
    let reply = read(message, READ_DEADLINE, None, |request| {
        let mut carts = origin.upstream.carts.clone();
        async move { carts.quote_shipping(request).await }
    });
    let quotes = match reply.await {
        Ok(reply) => reply.quotes,
        Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let soonest = quotes.iter().min_by_key(|quote| (quote.days_max, quote.days_min));
    Ok(soonest.map(|quote| Eta { days_min: quote.days_min, days_max: quote.days_max }))
}
