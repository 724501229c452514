//! One category, the way to it and what is directly below.

use proto::catalog::v1::{GetCategoryRequest, GetCategoryResponse};

use super::Call;
use crate::domain::CategoryId;
use crate::domain::category::tree;
use crate::domain::product::CategoryRef;
use crate::error::{Error, Missing};
use crate::store::categories;
use crate::wire;

pub(crate) async fn get_category(
    call: &Call,
    request: GetCategoryRequest,
) -> Result<GetCategoryResponse, Error> {
    let id = CategoryId::parse("id", request.id)?;
    let rows = call.read(move |tx| Box::pin(async move { Ok(categories::around(tx, id).await?) })).await?;

    // An ancestor that is switched off hides everything below it.
    let around = tree(rows);
    let category = around.iter().find(|category| category.id == id.get()).cloned();
    let category = category.ok_or(Error::NotFound(Missing::Category))?;
    let above = around.iter().filter(|other| category.path.contains(&other.id));
    let below = around.iter().filter(|other| other.parent_id == Some(category.id));
    let crumb = |c: &crate::domain::category::Category| {
        wire::category_ref(CategoryRef { id: c.id, name: c.name.clone(), slug: c.slug.clone() })
    };
    Ok(GetCategoryResponse {
        breadcrumbs: above.map(crumb).collect(),
        children: below.cloned().map(wire::category).collect(),
        category: Some(wire::category(category)),
    })
}
