//! Asking accounts itself, for routes where a minute of a lost role would be too long.

use std::time::Duration;

use proto::accounts::v1::CheckSessionRequest;
use rls::AssertedUser;

use super::rank;
use crate::error::Error;
use crate::gate::Gate;
use crate::sessions::Rank;
use crate::upstream::read;

/// A look at one row.
const CHECK_DEADLINE: Duration = Duration::from_millis(500);

/// What is left of the user's rank at this moment.
///
/// While accounts is away, the list of revocations decides as long as there were news of it lately; without
/// them nobody passes.
pub(super) async fn rank_now(gate: &Gate, user: &AssertedUser) -> Result<Rank, Error> {
    let stated = rank(user.role);
    let assertion = gate.service_assertion("accounts");
    let message = CheckSessionRequest { session_id: user.session_id.clone(), user_id: user.id.0 };
    let reply = read(message, CHECK_DEADLINE, Some(&assertion), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.check_session(request).await }
    })
    .await;
    match reply {
        // Says nothing about the list: one session that stands is no news of the others.
        Ok(reply) => match Rank::of(reply.role()) {
            Some(now) if !reply.revoked => Ok(now.min(stated)),
            Some(_) | None => Err(Error::Unauthenticated),
        },
        // Accounts has never begun a session of such a name.
        Err(Error::InvalidParameter { .. }) => Err(Error::Unauthenticated),
        Err(error) if gate.shared.revocations.is_fresh() => {
            tracing::debug!(%error, "a session was not checked; the list of revocations is fresh");
            Ok(stated)
        }
        Err(error) => {
            tracing::warn!(%error, "a session could not be checked, and there are no news of revocations");
            Err(Error::SessionCheckUnavailable)
        }
    }
}
