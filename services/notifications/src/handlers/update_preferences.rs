//! Some kinds are told otherwise from now on.

use idempotency::Done;
use proto::notifications::v1::{UpdatePreferencesRequest, UpdatePreferencesResponse};

use crate::domain::preferences::Changes;
use crate::error::Error;
use crate::feed;
use crate::handlers::{Call, now};
use crate::store::{feeds, preferences};
use crate::wire;

pub(crate) async fn update_preferences(
    call: &Call,
    request: UpdatePreferencesRequest,
) -> Result<Done<UpdatePreferencesResponse>, Error> {
    let person = call.person()?;
    let changes = Changes::parse(request.preferences)?;
    call.once(
        |preferences| UpdatePreferencesResponse {
            preferences: wire::preferences(&preferences),
            receipts: Vec::new(),
        },
        move |tx| {
            Box::pin(async move {
                feeds::open(tx, person.id).await?;
                let locked = feeds::lock(tx, person.id).await?;
                // A user who is gone has nothing to wish for.
                let mut feed = locked.filter(|feed| !feed.erased).ok_or(Error::Anonymous)?;
                let before = preferences::preferences(tx, person.id).await?;
                let after = changes.applied_to(before);
                feed::prefer(tx, now(), &mut feed, &before, &after).await?;
                Ok(after)
            })
        },
    )
    .await
}
