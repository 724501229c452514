//! The caller as they see themselves.

use proto::accounts::v1::{GetProfileRequest, GetProfileResponse};

use super::Call;
use crate::error::{Error, Missing};
use crate::store::profile;
use crate::wire;

pub(crate) async fn get_profile(call: &Call, _: GetProfileRequest) -> Result<GetProfileResponse, Error> {
    let oneself = call.oneself()?;
    let user = call
        .read(oneself, move |tx| Box::pin(async move { Ok(profile::profile(tx, oneself.id).await?) }))
        .await?;
    let user = user.ok_or(Error::NotFound(Missing::User))?;
    Ok(GetProfileResponse { user: Some(wire::user(user)) })
}
