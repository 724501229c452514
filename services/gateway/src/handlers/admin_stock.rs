//! Stock as staff read and adjust it.

use actix_web::{HttpRequest, HttpResponse, web};
use proto::orders::v1::{AdjustStockRequest, ListStockRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::ORDERS;
use super::openapi::ProblemDocument;
use crate::body;
use crate::error::{Error, FieldError, Text};
use crate::gate::Gate;
use crate::listing::{Page, place};
use crate::query::{Query, digits};
use crate::repeat;
use crate::shop_bodies::{self, AdjustmentBody};
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Pagination, StockLevel};

const BANDS: [&str; 3] = ["in", "low", "out"];
/// Variants that a list may be restricted to.
const VARIANTS_MAX: usize = 100;

/// A page of stock.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockPage {
    levels: Vec<StockLevel>,
    pagination: Pagination,
}

/// What is there now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Adjusted {
    levels: Vec<StockLevel>,
}

/// A page of what is there, by variant.
#[utoipa::path(
    get,
    path = "/api/v1/admin/stock",
    tag = "admin",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `per_page` reaches 10000"),
        ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("product_id" = Option<i64>, Query),
        ("variant_id" = Option<String>, Query, description = "Up to 100 variants, comma-separated"),
        ("band" = Option<String>, Query, description = "in, low or out")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<StockPage>),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 403, description = "forbidden", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    let message = stock_asked(request.query_string())?;
    let (page, per_page) = (message.page, message.per_page);
    let assertion = caller.assertion(&gate, ORDERS);
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut orders = gate.upstream().order_admin.clone();
        async move { orders.list_stock(request).await }
    })
    .await?;
    let levels = reply.levels.iter().map(StockLevel::of).collect();
    let page = StockPage { levels, pagination: Pagination::numbered(page, per_page, reply.total) };
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(page)))
}

fn stock_asked(query: &str) -> Result<ListStockRequest, Error> {
    let mut query = Query::parse(query)?;
    let product_id = query.integer("product_id", 1..=i64::MAX.unsigned_abs())?;
    let band = query.choice("band", &BANDS.map(|band| (band, band)))?;
    let variants = query.take("variant_id");
    let variants = variants.iter().flat_map(|list| list.split(','));
    let variants: Option<Vec<i64>> =
        variants.map(|text| digits(text).and_then(|id| i64::try_from(id).ok())).collect();
    let variant_ids = variants.filter(|ids| ids.len() <= VARIANTS_MAX).ok_or_else(|| {
        Error::parameter("variant_id", "até 100 inteiros positivos", "up to 100 positive integers")
    })?;
    let (page, per_page) = place(&mut query)?;
    query.finish()?;
    let Page::Number(page) = page else {
        let (pt, en) = ("esta lista tem páginas numeradas", "this list has numbered pages");
        return Err(Error::parameter("cursor", pt, en));
    };
    Ok(ListStockRequest {
        page,
        per_page,
        product_id: product_id.map(u64::cast_signed),
        variant_ids,
        band: band.map(str::to_owned),
    })
}

/// Adjusts stock, all rows or none: by a difference, or from what was seen to what shall be.
#[utoipa::path(
    post,
    path = "/api/v1/admin/stock/adjust",
    tag = "admin",
    request_body = Vec<AdjustmentBody>,
    responses(
        (status = 200, description = "What is there now", body = views::Data<Adjusted>),
        (status = 403, description = "forbidden", body = ProblemDocument),
        (status = 404, description = "No such variant", body = ProblemDocument),
        (status = 409, description = "conflict, out_of_stock or idempotency_in_flight; `errors` names the rows", body = ProblemDocument),
        (status = 422, description = "validation_failed or idempotency_key_reused", body = ProblemDocument),
        (status = 428, description = "`Idempotency-Key` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn adjust(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    Query::parse(request.query_string())?.finish()?;
    repeat::required(request.headers())?;
    let adjustments = shop_bodies::adjustments(body::json_rows(&request, payload).await?)?;
    let assertion = caller.assertion(&gate, ORDERS);
    let made = gate.change(async move |writer| {
        let message = AdjustStockRequest { adjustments };
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut orders = writer.order_admin.clone();
            async move { orders.adjust_stock(request).await }
        })
        .await?;
        Ok((reply.levels, reply.receipts))
    });
    let (levels, token) = made.await.map_err(named_as_in_body)?;
    let levels = levels.iter().map(StockLevel::of).collect();
    let mut response =
        HttpResponse::Ok().content_type("application/json").body(views::envelope(Adjusted { levels }));
    token.write(response.headers_mut());
    Ok(response)
}

/// The body is a list of rows; what a row expected is in the row.
fn named_as_in_body(error: Error) -> Error {
    match error {
        Error::Refused(refusal, mut lines) => {
            for line in &mut lines {
                let row = line.pointer.split('/').nth(2).unwrap_or_default();
                line.pointer = format!("/{row}");
            }
            Error::Refused(refusal, lines)
        }
        Error::Validation(mut fields) => {
            for field in &mut fields {
                if let Some(rest) = field.pointer.strip_prefix("/adjustments") {
                    field.pointer = rest.to_owned();
                }
            }
            Error::Validation(fields)
        }
        Error::PreconditionFailed { .. } => Error::Conflict(FieldError {
            pointer: String::new(),
            code: "version_mismatch".into(),
            detail: Text::fixed("o estoque não é o que foi visto", "the stock is not what was seen"),
        }),
        other => other,
    }
}
