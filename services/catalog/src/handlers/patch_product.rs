//! Some fields of a product changed.

use proto::catalog::v1::{PatchProductRequest, PatchProductResponse};

use super::Call;
use super::edit::edit;
use crate::domain::{ProductId, Version};
use crate::error::Error;
use crate::wire;

pub(crate) async fn patch_product(
    call: &Call,
    request: PatchProductRequest,
) -> Result<PatchProductResponse, Error> {
    let editor = call.editor()?;
    let id = ProductId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let patch = wire::patch(request)?;
    let now = super::now();

    let committed = call
        .write(&editor, move |tx| {
            Box::pin(async move { edit(tx, editor, id, expected, now, |fields| patch.apply(fields)).await })
        })
        .await?;
    Ok(PatchProductResponse {
        product: Some(wire::product(committed.value, now)),
        receipts: wire::receipts(committed.receipts),
    })
}
