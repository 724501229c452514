//! The category tree with counts.

use proto::catalog::v1::{ListCategoriesRequest, ListCategoriesResponse};

use super::Call;
use crate::domain::category::tree;
use crate::error::Error;
use crate::store::categories;
use crate::wire;

pub(crate) async fn list_categories(
    call: &Call,
    ListCategoriesRequest {}: ListCategoriesRequest,
) -> Result<ListCategoriesResponse, Error> {
    let rows = call.read(|tx| Box::pin(async move { Ok(categories::active(tx).await?) })).await?;
    Ok(ListCategoriesResponse { categories: tree(rows).into_iter().map(wire::category).collect() })
}
