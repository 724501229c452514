//! Every notification after a position, then each new one as it is made.

use proto::notifications::v1::FollowNotificationsRequest;

use crate::error::Error;
use crate::follow::Following;
use crate::handlers::Call;
use crate::store::feeds;

pub(crate) async fn follow_notifications(
    call: &Call,
    request: FollowNotificationsRequest,
) -> Result<Following, Error> {
    let person = call.person()?;
    // Before the feed is looked at: what is made from here on wakes the stream.
    let seat = call.followers.join(person.id)?;
    let feed = call.read(move |tx| Box::pin(async move { Ok(feeds::feed(tx, person.id).await?) })).await?;
    let last_seq = feed.map_or(0, |feed| feed.last_seq.unsigned_abs());
    // A position beyond the feed's end is another feed's, or made up: nothing of this one is left out for it.
    let after = request.after_seq.unwrap_or(last_seq).min(last_seq);
    Ok(call.followers.follow(seat, person.caller, after, last_seq))
}
