//! A product taken off the shelves; it stays readable for staff.

use events::{Event, Fact};
use proto::catalog::v1::{DeleteProductRequest, DeleteProductResponse};
use proto::events::v1::ProductDeleted;

use super::edit::lock;
use super::{Call, record};
use crate::domain::{ProductId, Version};
use crate::error::Error;
use crate::store::products;
use crate::wire;

pub(crate) async fn delete_product(
    call: &Call,
    request: DeleteProductRequest,
) -> Result<DeleteProductResponse, Error> {
    let editor = call.editor()?;
    let id = ProductId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let now = super::now();

    let committed = call
        .write(&editor, move |tx| {
            Box::pin(async move {
                let old = lock(tx, id, expected).await?;
                if !old.fields.is_active {
                    return Ok(());
                }
                let version = products::deactivate(tx, id, now).await?;
                let deleted = ProductDeleted {
                    product_id: id.get(),
                    slug: old.fields.slug,
                    category: wire::category_path(&old.category_path),
                    was_active: old.fields.is_active,
                    was_featured: old.fields.is_featured,
                };
                record(tx, &Event::new(&editor.0, now, version, Fact::ProductDeleted(deleted))).await
            })
        })
        .await?;
    Ok(DeleteProductResponse { receipts: wire::receipts(committed.receipts) })
}
