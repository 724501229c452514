//! Products as the public sees them.

use std::time::Instant;

use proto::catalog::v1::{
    GetProductRequest, ListFeaturedProductsRequest, ListNewProductsRequest, get_product_request,
};
use serde::Serialize;
use tag_cache::Tag;
use utoipa::ToSchema;

use crate::cache_policy::{self, ProductKey};
use crate::error::Error;
use crate::listing::Listing;
use crate::query::Subset;
use crate::upstream::{READ_DEADLINE, Upstream, read};
use crate::views::{self, Pagination, Product, ProductSummary};

/// The members of one product: those of a list, then these.
pub const PRODUCT_FIELDS: &[&str] = &[
    "id",
    "slug",
    "name",
    "category",
    "price",
    "stock_band",
    "rating",
    "image",
    "is_featured",
    "is_new",
    "origin",
    "roast",
    "process",
    "sca_score",
    "version",
    "created_at",
    "description",
    "attributes",
    "variants",
    "images",
    "breadcrumbs",
    "updated_at",
];

/// What `include` may name.
pub const INCLUDES: &[&str] = &["variants", "images"];

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductPage {
    products: Vec<ProductSummary>,
    pagination: Pagination,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<Search>,
}

/// How a search was understood.
#[derive(Debug, Serialize, ToSchema)]
pub struct Search {
    /// The term, normalised.
    term: String,
    /// What was searched instead, if anything.
    corrected: Option<String>,
    /// Milliseconds, when the answer was made.
    took_ms: u64,
}

/// Products without pages.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductCollection {
    products: Vec<ProductSummary>,
}

/// One product.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductAnswer {
    pub(crate) product: Product,
}

/// A page of active products, newest first; with `search`, by relevance.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    tag = "catalog",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `per_page` reaches 10000"),
        ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer, instead of `page`"),
        ("limit" = Option<u32>, Query, description = "The same as `per_page`"),
        ("category_id" = Option<i64>, Query, description = "With everything below it"),
        ("category" = Option<String>, Query, description = "The same by slug"),
        ("search" = Option<String>, Query, description = "Up to 128 characters; accents and plurals do not matter"),
        ("min_price" = Option<i64>, Query, description = "Centavos, inclusive"),
        ("max_price" = Option<i64>, Query, description = "Centavos, inclusive"),
        ("sort" = Option<String>, Query, description = "-created_at, created_at, price, -price, name, -name, relevance"),
        ("count" = Option<String>, Query, description = "`none` leaves the total out"),
        ("fields" = Option<String>, Query, description = "Members to show, comma-separated")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<ProductPage>),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such category", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn list(
    upstream: Upstream,
    listing: &Listing,
    tags: &mut Vec<Tag>,
) -> Result<Vec<u8>, Error> {
    let started = Instant::now();
    let reply = read(listing.request(), READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.list_products(request).await }
    })
    .await?;
    cache_policy::shown(&reply.products, tags);
    cache_policy::listed_category(&reply.category_path, tags);
    let pagination = reply.pagination.ok_or(Error::Internal)?;
    Ok(views::envelope(ProductPage {
        products: reply.products.iter().map(|product| ProductSummary::of(product, listing.fields)).collect(),
        pagination: Pagination::of(&pagination),
        search: listing.search.as_ref().map(|term| Search {
            term: term.clone(),
            corrected: None,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }),
    }))
}

/// Featured products, most popular first.
#[utoipa::path(
    get,
    path = "/api/v1/products/featured",
    tag = "catalog",
    params(("limit" = Option<u32>, Query, description = "1 to 50, by default 20")),
    responses((status = 200, description = "The products", body = views::Data<ProductCollection>))
)]
pub(crate) async fn featured(upstream: Upstream, limit: u32, tags: &mut Vec<Tag>) -> Result<Vec<u8>, Error> {
    let reply = read(ListFeaturedProductsRequest { limit }, READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.list_featured_products(request).await }
    })
    .await?;
    cache_policy::shown(&reply.products, tags);
    let products = reply.products.iter().map(|product| ProductSummary::of(product, None)).collect();
    Ok(views::envelope(ProductCollection { products }))
}

/// New products, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/products/new",
    tag = "catalog",
    params(("limit" = Option<u32>, Query, description = "1 to 50, by default 20")),
    responses((status = 200, description = "The products", body = views::Data<ProductCollection>))
)]
pub(crate) async fn new(upstream: Upstream, limit: u32, tags: &mut Vec<Tag>) -> Result<Vec<u8>, Error> {
    let reply = read(ListNewProductsRequest { limit }, READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.list_new_products(request).await }
    })
    .await?;
    cache_policy::shown(&reply.products, tags);
    let products = reply.products.iter().map(|product| ProductSummary::of(product, None)).collect();
    Ok(views::envelope(ProductCollection { products }))
}

/// One product.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    tag = "catalog",
    params(
        ("id" = i64, Path),
        ("include" = Option<String>, Query, description = "variants, images: both are always included"),
        ("fields" = Option<String>, Query, description = "Members to show, comma-separated")
    ),
    responses(
        (status = 200, description = "The product", body = views::Data<ProductAnswer>),
        (status = 304, description = "The product of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such product", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn get(
    upstream: Upstream,
    by: &ProductKey,
    fields: Option<Subset>,
    tags: &mut Vec<Tag>,
) -> Result<Vec<u8>, Error> {
    let by = match by {
        ProductKey::Id(id) => get_product_request::By::Id(*id),
        ProductKey::Slug(slug) => get_product_request::By::Slug(slug.clone()),
    };
    let reply = read(GetProductRequest { by: Some(by) }, READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.get_product(request).await }
    })
    .await?;
    let product = reply.product.ok_or(Error::Internal)?;
    cache_policy::shown(&product.summary, tags);
    cache_policy::breadcrumbs(&product.breadcrumbs, tags);
    Ok(views::envelope(ProductAnswer { product: Product::of(&product, fields) }))
}

/// The same by slug; only documents the route.
#[utoipa::path(
    get,
    path = "/api/v1/products/by-slug/{slug}",
    tag = "catalog",
    params(
        ("slug" = String, Path),
        ("include" = Option<String>, Query, description = "variants, images: both are always included"),
        ("fields" = Option<String>, Query, description = "Members to show, comma-separated")
    ),
    responses(
        (status = 200, description = "The product", body = views::Data<ProductAnswer>),
        (status = 404, description = "No such product", body = super::openapi::ProblemDocument)
    )
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn get_by_slug() {}
