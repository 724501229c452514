//! A new product with its variants and prices.

use events::{Event, Fact};
use idempotency::Done;
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
) -> Result<Done<CreateProductResponse>, Error> {
    let editor = call.editor()?;
    let fields = wire::fields(request.fields)?;
    let variants = wire::new_variants(request.variants)?;
    let now = super::now();
    let signer = editor.clone();

    call.once(
        &editor,
        move |product| CreateProductResponse {
            product: Some(wire::product(product, now)),
            receipts: Vec::new(),
        },
        move |tx| {
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
                    slug: fields.slug.clone(),
                    category: wire::category_path(&path),
                    is_active: fields.is_active,
                    is_featured: fields.is_featured,
                };
                let version = detail.summary.version;
                record(tx, &Event::new(&signer.caller, now, version, Fact::ProductCreated(created))).await?;
                let mut made = fields.told_whole();
                made["variants"] = variants.told();
                signer.sign(tx, "product.created", id, None, Some(made)).await?;
                Ok(detail)
            })
        },
    )
    .await
}
