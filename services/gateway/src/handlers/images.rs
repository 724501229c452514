//! Images, named by the hash of their content.

use bytes::Bytes;
use proto::catalog::v1::GetImageRequest;

use crate::error::Error;
use crate::upstream::{READ_DEADLINE, Upstream, read};

const SVG: &str = "image/svg+xml";

/// An image. Its address names its content, so it never changes.
#[utoipa::path(
    get,
    path = "/images/{file}",
    tag = "catalog",
    params(("file" = String, Path, description = "SHA-256 of the content in lower-case hex, then `.svg`")),
    responses(
        (status = 200, description = "The image", content_type = "image/svg+xml", body = String),
        (status = 404, description = "No such image", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn get(upstream: Upstream, sha256: &str) -> Result<Bytes, Error> {
    let reply = read(GetImageRequest { sha256: sha256.to_owned() }, READ_DEADLINE, None, |request| {
        let mut catalog = upstream.catalog.clone();
        async move { catalog.get_image(request).await }
    })
    .await?;
    if !reply.content_type.starts_with(SVG) {
        tracing::error!(content_type = %reply.content_type, "an image of a kind that this route does not serve");
        return Err(Error::Internal);
    }
    Ok(reply.content)
}
