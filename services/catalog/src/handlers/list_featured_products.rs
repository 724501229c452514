//! The shelf of featured products.

use proto::catalog::v1::{ListFeaturedProductsRequest, ListFeaturedProductsResponse};

use super::Call;
use crate::domain::listing::ShelfSize;
use crate::error::Error;
use crate::store::listing;
use crate::wire;

pub(crate) async fn list_featured_products(
    call: &Call,
    request: ListFeaturedProductsRequest,
) -> Result<ListFeaturedProductsResponse, Error> {
    let size = ShelfSize::parse("limit", request.limit)?;
    let products =
        call.read(move |tx| Box::pin(async move { Ok(listing::featured(tx, size).await?) })).await?;
    let now = super::now();
    let products = products.into_iter().map(|product| wire::summary(product, now)).collect();
    Ok(ListFeaturedProductsResponse { products })
}
