//! Categories as the public sees them.

use proto::catalog::v1::{GetCategoryRequest, ListCategoriesRequest};
use serde::Serialize;
use tag_cache::Tag;
use utoipa::ToSchema;

use crate::cache_policy;
use crate::error::Error;
use crate::upstream::{READ_DEADLINE, Upstream, read};
use crate::views::{self, Category, CategoryNode, CategoryRef};

/// The tree of all categories.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryTree {
    categories: Vec<CategoryNode>,
}

/// One category with its surroundings.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryAnswer {
    category: CategoryDetail,
}

/// A category, the way to it and what is directly below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryDetail {
    #[serde(flatten)]
    category: Category,
    /// Root first, the category itself last.
    breadcrumbs: Vec<CategoryRef>,
    children: Vec<Category>,
}

/// All active categories as a tree, each with the number of active products in it and below it.
#[utoipa::path(
    get,
    path = "/api/v1/categories",
    tag = "catalog",
    params(("tree" = Option<bool>, Query, description = "`true`, the only form")),
    responses((status = 200, description = "The tree", body = views::Data<CategoryTree>))
)]
pub(crate) async fn list(upstream: Upstream) -> Result<Vec<u8>, Error> {
    let reply = read(ListCategoriesRequest {}, READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.list_categories(request).await }
    })
    .await?;
    Ok(views::envelope(CategoryTree { categories: CategoryNode::tree(&reply.categories) }))
}

/// One category.
#[utoipa::path(
    get,
    path = "/api/v1/categories/{id}",
    tag = "catalog",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The category", body = views::Data<CategoryAnswer>),
        (status = 404, description = "No such category", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn get(upstream: Upstream, id: i64, tags: &mut Vec<Tag>) -> Result<Vec<u8>, Error> {
    let reply = read(GetCategoryRequest { id }, READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.get_category(request).await }
    })
    .await?;
    cache_policy::breadcrumbs(&reply.breadcrumbs, tags);
    let category = reply.category.ok_or(Error::Internal)?;
    Ok(views::envelope(CategoryAnswer {
        category: CategoryDetail {
            category: Category::of(&category),
            breadcrumbs: reply.breadcrumbs.iter().map(CategoryRef::of).collect(),
            children: reply.children.iter().map(Category::of).collect(),
        },
    }))
}
