//! One product with everything its page shows.

use proto::catalog::v1::get_product_request::By;
use proto::catalog::v1::{GetProductRequest, GetProductResponse};

use super::Call;
use crate::domain::{Invalid, ProductId, text};
use crate::error::{Error, Missing};
use crate::store::products::{self, ProductKey};
use crate::wire;

pub(crate) async fn get_product(
    call: &Call,
    request: GetProductRequest,
) -> Result<GetProductResponse, Error> {
    let key = match request.by {
        Some(By::Id(id)) => ProductKey::Id(ProductId::parse("id", id)?),
        Some(By::Slug(slug)) => ProductKey::Slug(text::slug("slug", slug)?),
        None => return Err(Invalid::value("id", "an id or a slug must be given").into()),
    };
    let detail = call.read(move |tx| Box::pin(async move { Ok(products::detail(tx, &key).await?) })).await?;
    let detail = detail.ok_or(Error::NotFound(Missing::Product))?;
    Ok(GetProductResponse { product: Some(wire::product(detail, super::now())) })
}
