//! Every field of a product replaced.

use proto::catalog::v1::{UpdateProductRequest, UpdateProductResponse};

use super::Call;
use super::edit::edit;
use crate::domain::{ProductId, Version};
use crate::error::Error;
use crate::wire;

pub(crate) async fn update_product(
    call: &Call,
    request: UpdateProductRequest,
) -> Result<UpdateProductResponse, Error> {
    let editor = call.editor()?;
    let id = ProductId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let fields = wire::fields(request.fields)?;
    let now = super::now();

    let committed = call
        .write(&editor, move |tx| {
            Box::pin(async move { edit(tx, editor, id, expected, now, |_| fields).await })
        })
        .await?;
    Ok(UpdateProductResponse {
        product: Some(wire::product(committed.value, now)),
        receipts: wire::receipts(committed.receipts),
    })
}
