//! A product taken off the shelves; it stays readable for staff.

use events::{Event, Fact};
use idempotency::Done;
use proto::catalog::v1::{DeleteProductRequest, DeleteProductResponse};
use proto::events::v1::ProductDeleted;
use serde_json::json;

use super::edit::lock;
use super::{Call, record};
use crate::domain::{ProductId, Version};
use crate::error::Error;
use crate::store::products;
use crate::wire;

pub(crate) async fn delete_product(
    call: &Call,
    request: DeleteProductRequest,
) -> Result<Done<DeleteProductResponse>, Error> {
    let editor = call.editor()?;
    let id = ProductId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let now = super::now();
    let signer = editor.clone();

    call.once(
        &editor,
        |()| DeleteProductResponse { receipts: Vec::new() },
        move |tx| {
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
                record(tx, &Event::new(&signer.caller, now, version, Fact::ProductDeleted(deleted))).await?;
                let (before, after) = (json!({ "is_active": true }), json!({ "is_active": false }));
                signer.sign(tx, "product.deleted", id, Some(before), Some(after)).await
            })
        },
    )
    .await
}
