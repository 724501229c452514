//! The shelf of new products.

use proto::catalog::v1::{ListNewProductsRequest, ListNewProductsResponse};

use super::Call;
use crate::domain::listing::{Order, PriceRange, ShelfSize, SortBy};
use crate::error::Error;
use crate::store::listing::{self, Slice, Source};
use crate::wire;

pub(crate) async fn list_new_products(
    call: &Call,
    request: ListNewProductsRequest,
) -> Result<ListNewProductsResponse, Error> {
    let size = ShelfSize::parse("limit", request.limit)?;
    let newest = Slice {
        source: Source::Active,
        prices: PriceRange::ALL,
        by: SortBy::CreatedAt,
        order: Order::Descending,
        past: None,
        limit: i64::from(size.get()),
        offset: 0,
    };
    let products =
        call.read(move |tx| Box::pin(async move { Ok(listing::products(tx, &newest).await?) })).await?;
    let now = super::now();
    let products = products.into_iter().map(|listed| wire::summary(listed.summary, now)).collect();
    Ok(ListNewProductsResponse { products })
}
