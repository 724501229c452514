//! How the caller wishes to be told about what.

use proto::notifications::v1::{GetPreferencesRequest, GetPreferencesResponse};

use crate::error::Error;
use crate::handlers::Call;
use crate::store::preferences;
use crate::wire;

pub(crate) async fn get_preferences(
    call: &Call,
    _request: GetPreferencesRequest,
) -> Result<GetPreferencesResponse, Error> {
    let person = call.person()?;
    let found = call
        .read(move |tx| Box::pin(async move { Ok(preferences::preferences(tx, person.id).await?) }))
        .await?;
    Ok(GetPreferencesResponse { preferences: wire::preferences(&found) })
}
