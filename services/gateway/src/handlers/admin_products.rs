//! Products as staff reads and changes them.
//!
//! Every change names the version it was made for (`If-Match`), runs outside the request's own future, so
//! that a client that leaves cannot cut it in two, and answers with the token of its purge, so that the writer
//! reads its own write on every gateway.

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::catalog::v1::{
    ChangePricesRequest, CreateProductRequest, DeleteProductRequest, GetProductRequest, Product,
    UpdateProductRequest, get_product_request,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::products::ProductAnswer;
use crate::auth::Authenticated;
use crate::bodies::{self, NewProductBody, PricesBody, ProductBody, ProductPatchBody};
use crate::body;
use crate::cache_policy::path_id;
use crate::error::{Current, Error};
use crate::gate::Gate;
use crate::listing::Listing;
use crate::negotiation::{EntityTag, none_match_names, tags};
use crate::query::Query;
use crate::routes::Route;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Pagination, ProductSummary};

/// Whom the callers are asserted to.
const CATALOG: &str = "catalog";

/// A page of products, inactive ones included.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminProductPage {
    products: Vec<ProductSummary>,
    pagination: Pagination,
}

/// A page of products as staff sees them: inactive ones too, unless `active=true`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/products",
    tag = "admin",
    params(
        ("active" = Option<bool>, Query, description = "`true` leaves inactive products out"),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("category_id" = Option<i64>, Query), ("category" = Option<String>, Query),
        ("search" = Option<String>, Query), ("sort" = Option<String>, Query)
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<AdminProductPage>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    let mut query = Query::parse(request.query_string())?;
    let only_active = query.choice("active", &[("true", true), ("false", false)])?.unwrap_or(false);
    let listing = Listing::take(&mut query)?;
    query.finish()?;
    let mut message = listing.request();
    message.include_inactive = Some(!only_active);
    let assertion = caller.assertion(&gate, CATALOG);
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut catalog = gate.upstream().catalog.clone();
        async move { catalog.list_products(request).await }
    })
    .await?;
    let pagination = reply.pagination.ok_or(Error::Internal)?;
    let page = AdminProductPage {
        products: reply.products.iter().map(ProductSummary::of_admin).collect(),
        pagination: Pagination::of(&pagination),
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(page)))
}

/// One product with its version in `ETag`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The product", body = views::Data<ProductAnswer>),
        (status = 304, description = "The version of `If-None-Match` is the current one"),
        (status = 404, description = "No such product", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    let id = id_of(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let product = current(&gate, &caller, id).await?;
    let etag = version_tag(&product)?;
    let named = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if named.is_some_and(|named| none_match_names(named, &etag)) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    Ok(answer(StatusCode::OK, &product, &etag))
}

/// Creates a product with its variants.
#[utoipa::path(
    post,
    path = "/api/v1/admin/products",
    tag = "admin",
    request_body = NewProductBody,
    responses(
        (status = 201, description = "The product", body = views::Data<ProductAnswer>),
        (status = 409, description = "The slug or a SKU is taken", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.staff(&gate).await?;
    Query::parse(request.query_string())?.finish()?;
    let (fields, variants) = bodies::new_product(body::json(&request, payload).await?)?;
    let message = CreateProductRequest { fields: Some(fields), variants };
    let assertion = caller.assertion(&gate, CATALOG);
    let (product, token) = gate
        .change(async move |writer| {
            let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
                let mut catalog = writer.catalog.clone();
                async move { catalog.create_product(request).await }
            })
            .await?;
            Ok((reply.product, reply.receipts))
        })
        .await?;
    let product = product.ok_or(Error::Internal)?;
    let etag = version_tag(&product)?;
    let mut response = answer(StatusCode::CREATED, &product, &etag);
    let location =
        format!("/api/v1/admin/products/{}", product.summary.as_ref().map_or(0, |summary| summary.id));
    response.headers_mut().insert(LOCATION, header(&location)?);
    token.write(response.headers_mut());
    Ok(response)
}

/// Replaces every field of a product.
#[utoipa::path(
    put,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = ProductBody,
    responses(
        (status = 200, description = "The product", body = views::Data<ProductAnswer>),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn replace(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let fields = bodies::product(body::json(&request, payload).await?)?;
    let message =
        UpdateProductRequest { id: change.id, expected_version: change.version, fields: Some(fields) };
    let assertion = change.caller.assertion(&change.gate, CATALOG);
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut catalog = writer.catalog.clone();
            async move { catalog.update_product(request).await }
        })
        .await?;
        Ok((reply.product, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// Changes the fields that are present; null empties an optional one.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = ProductPatchBody,
    responses(
        (status = 200, description = "The product", body = views::Data<ProductAnswer>),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn patch(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let mut message = bodies::product_patch(body::json(&request, payload).await?)?;
    message.id = change.id;
    message.expected_version = change.version;
    let assertion = change.caller.assertion(&change.gate, CATALOG);
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut catalog = writer.catalog.clone();
            async move { catalog.patch_product(request).await }
        })
        .await?;
        Ok((reply.product, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// Takes a product out of the shop; it stays readable for staff.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let message = DeleteProductRequest { id: change.id, expected_version: change.version };
    let assertion = change.caller.assertion(&change.gate, CATALOG);
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut catalog = writer.catalog.clone();
            async move { catalog.delete_product(request).await }
        })
        .await?;
        Ok((None, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// Sets base prices of variants of one product.
#[utoipa::path(
    put,
    path = "/api/v1/admin/products/{id}/prices",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = PricesBody,
    responses(
        (status = 200, description = "The product", body = views::Data<ProductAnswer>),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn change_prices(
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let prices = bodies::prices(body::json(&request, payload).await?)?;
    let message = ChangePricesRequest { product_id: change.id, expected_version: change.version, prices };
    let assertion = change.caller.assertion(&change.gate, CATALOG);
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut catalog = writer.catalog.clone();
            async move { catalog.change_prices(request).await }
        })
        .await?;
        Ok((reply.product, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// A change of one version of one product by somebody who may.
struct Change {
    gate: std::rc::Rc<Gate>,
    caller: Authenticated,
    id: i64,
    version: i64,
}

impl Change {
    /// Checks everything but the body, which is not worth reading otherwise.
    async fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.staff(&gate).await?;
        let id = id_of(request)?;
        Query::parse(request.query_string())?.finish()?;
        let header = request.headers().get(IF_MATCH).ok_or(Error::PreconditionRequired)?;
        let header = header.to_str().unwrap_or_default();
        let mut versions = tags(header).filter_map(|tag| version_of(tag, id));
        let version = match (versions.next(), versions.next()) {
            (Some(version), None) if tags(header).all(|tag| tag != EntityTag::Any) => version,
            // Any version will do, or one of several: only the current one can tell.
            _ => {
                let product = current(&gate, &caller, id).await?;
                let etag = version_tag(&product)?;
                let named = tags(header).any(|tag| tag == EntityTag::Any || tag == EntityTag::Strong(&etag));
                if !named {
                    return Err(precondition_failed(Some(&product)));
                }
                product.summary.map_or(0, |summary| summary.version)
            }
        };
        Ok(Self { gate, caller, id, version })
    }

    /// The answer to a change that was tried.
    async fn finish(
        self,
        made: Result<(Option<Product>, crate::gate::WriteToken), Error>,
    ) -> Result<HttpResponse, Error> {
        let (product, token) = match made {
            Ok(made) => made,
            Err(Error::PreconditionFailed { .. }) => {
                let product = current(&self.gate, &self.caller, self.id).await.ok();
                return Err(precondition_failed(product.as_ref()));
            }
            Err(error) => return Err(error),
        };
        let mut response = match product {
            Some(product) => answer(StatusCode::OK, &product, &version_tag(&product)?),
            None => HttpResponse::NoContent().finish(),
        };
        token.write(response.headers_mut());
        Ok(response)
    }
}

fn precondition_failed(product: Option<&Product>) -> Error {
    let current = product.and_then(|product| {
        let body = serde_json::to_vec(&ProductAnswer { product: views::Product::of_admin(product) }).ok()?;
        Some(Box::new(Current { etag: version_tag(product).ok()?, body }))
    });
    Error::PreconditionFailed { current }
}

/// The product as the caller may see it now.
async fn current(gate: &Gate, caller: &Authenticated, id: i64) -> Result<Product, Error> {
    let by = Some(get_product_request::By::Id(id));
    let assertion = caller.assertion(gate, CATALOG);
    let reply = read(GetProductRequest { by }, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut catalog = gate.upstream().catalog.clone();
        async move { catalog.get_product(request).await }
    })
    .await?;
    reply.product.ok_or(Error::Internal)
}

fn answer(status: StatusCode, product: &Product, etag: &str) -> HttpResponse {
    let body = views::envelope(ProductAnswer { product: views::Product::of_admin(product) });
    HttpResponse::build(status).content_type("application/json").insert_header((ETAG, etag)).body(body)
}

fn id_of(request: &HttpRequest) -> Result<i64, Error> {
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    path_id(segment)
}

/// `"p-1-v7"`
fn version_tag(product: &Product) -> Result<String, Error> {
    let summary = product.summary.as_ref().ok_or(Error::Internal)?;
    Ok(format!("\"p-{}-v{}\"", summary.id, summary.version))
}

fn version_of(tag: EntityTag<'_>, id: i64) -> Option<i64> {
    let EntityTag::Strong(tag) = tag else { return None };
    let version = tag.strip_prefix(&format!("\"p-{id}-v"))?.strip_suffix('"')?;
    crate::query::digits(version).and_then(|version| i64::try_from(version).ok())
}

fn header(value: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value).ok().ok_or(Error::Internal)
}
