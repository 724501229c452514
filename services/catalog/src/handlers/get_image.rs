//! The bytes of a picture.

use proto::catalog::v1::{GetImageRequest, GetImageResponse};

use super::Call;
use crate::domain::image::Sha256;
use crate::error::{Error, Missing};
use crate::store::images;

pub(crate) async fn get_image(call: &Call, request: GetImageRequest) -> Result<GetImageResponse, Error> {
    let sha256 = Sha256::parse("sha256", &request.sha256)?;
    let file =
        call.read(move |tx| Box::pin(async move { Ok(images::file(tx, sha256.bytes()).await?) })).await?;
    let file = file.ok_or(Error::NotFound(Missing::Image))?;
    Ok(GetImageResponse { content: file.content.into(), content_type: file.content_type })
}
