//! A new product with its variants and prices.

use events::{Event, Fact};
use proto::catalog::v1::{CreateProductRequest, CreateProductResponse};
use proto::events::v1::ProductCreated;

use super::{Call, record};
use crate::error::{Error, Missing};
use crate::store::categories;
use crate::store::products::{self, ProductKey};
use crate::wire;

pub(crate) async fn create_product(
    call: &Call,
    request: CreateProductRequest,
) -> Result<CreateProductResponse, Error> {
    let editor = call.editor()?;
    let fields = wire::fields(request.fields)?;
    let variants = wire::new_variants(request.variants)?;
    let now = super::now();

    let committed = call
        .write(&editor, move |tx| {
            Box::pin(async move {
                let path = match fields.category {
                    Some(category) => {
                        categories::path(tx, category).await?.ok_or_else(Error::unknown_category)?
                    }
                    None => Vec::new(),
                };
                let id = products::insert(tx, &fields, variants.price_span(), now).await?;
                products::insert_variants(tx, id, variants.as_slice(), now).await?;
                let detail = products::detail(tx, &ProductKey::Id(id)).await?;
                let detail = detail.ok_or(Error::NotFound(Missing::Product))?;
                let created = ProductCreated {
                    product_id: id.get(),
                    slug: fields.slug,
                    category: wire::category_path(&path),
                    is_active: fields.is_active,
                    is_featured: fields.is_featured,
                };
                let version = detail.summary.version;
                record(tx, &Event::new(&editor.0, now, version, Fact::ProductCreated(created))).await?;
                Ok(detail)
            })
        })
        .await?;
    Ok(CreateProductResponse {
        product: Some(wire::product(committed.value, now)),
        receipts: wire::receipts(committed.receipts),
    })
}
