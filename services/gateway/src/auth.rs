//! Who is calling, and whether they may.
//!
//! An access token ends here. What goes on to a service is an assertion: thirty seconds long, for that service
//! alone, signed by the gateway. So no service ever holds what would let it act as a user elsewhere.

mod credentials;
mod origin;
mod strict;

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use rls::{AssertedUser, Caller, UserRole};

use self::credentials::Credentials;
pub(crate) use self::origin::{CookieKind, Home, is_browser};
use crate::error::Error;
use crate::gate::{Gate, Shared};
use crate::request_id::RequestId;
use crate::sessions::{Rank, Stated};

/// Ours live for five minutes: a token that claims much more was never one of ours, whoever signed it.
const LIFETIME_MAX_S: i64 = 3600;

/// The caller of one request.
#[derive(Clone)]
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    user: Option<AssertedUser>,
    /// SHA-256 of the token that a guest shows.
    guest: Option<[u8; 32]>,
    request_id: RequestId,
}

/// A guest's hash stays out of logs: it is as good as the cart.
impl std::fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticated").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Authenticated {
    pub(crate) fn new(user: Option<AssertedUser>, request_id: RequestId) -> Self {
        let caller = user.as_ref().map_or(Caller::Anonymous, AssertedUser::caller);
        Self { caller, user, guest: None, request_id }
    }

    /// The guest whose token has this SHA-256, whoever else the request's sender may be.
    pub(crate) fn guest(self, cart_token_sha256: [u8; 32]) -> Self {
        let caller = Caller::Guest { cart_token_sha256 };
        Self { caller, user: None, guest: Some(cart_token_sha256), ..self }
    }

    /// Whether somebody is signed in.
    pub(crate) fn is_user(&self) -> bool {
        self.user.is_some()
    }

    /// What proves the caller to the service named `audience`, for one call; nobody in particular needs none.
    pub(crate) fn assertion(&self, gate: &Gate, audience: &'static str) -> Option<String> {
        let (asserter, request_id) = (&gate.shared.asserter, self.request_id.as_str());
        match (&self.user, &self.guest) {
            (Some(user), _) => Some(asserter.user(audience, user, request_id)),
            (None, Some(token_sha256)) => Some(asserter.guest(audience, token_sha256, request_id)),
            (None, None) => None,
        }
    }

    /// Whether the session has not ended since.
    pub(crate) fn session_holds(&self, gate: &Gate) -> bool {
        // A guest has no session: what the token opens, the service asks anew with every call.
        let Some(user) = &self.user else { return self.guest.is_some() };
        let stated = Stated {
            user: user.id,
            rank: rank(user.role),
            session_id: &user.session_id,
            // Whatever becomes of the role: a feed is the user's own.
            expires_at: i64::MAX,
        };
        gate.shared.revocations.left(stated).is_some()
    }

    /// Asks accounts whether the session stands: for what outlives an access token.
    pub(crate) async fn session_stands(&self, gate: &Gate) -> Result<(), Error> {
        match (&self.user, self.guest) {
            (Some(user), _) => strict::rank_now(gate, user).await.map(drop),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(Error::Unauthenticated),
        }
    }

    /// Passes everyone who is signed in.
    pub(crate) fn user(self) -> Result<Self, Error> {
        if self.user.is_some() { Ok(self) } else { Err(Error::Unauthenticated) }
    }

    /// Passes staff and admins whose session holds at this moment.
    pub(crate) async fn staff(self, gate: &Gate) -> Result<Self, Error> {
        self.at_least(Rank::Staff, gate).await
    }

    /// Passes admins whose session holds at this moment.
    pub(crate) async fn admin(self, gate: &Gate) -> Result<Self, Error> {
        self.at_least(Rank::Admin, gate).await
    }

    async fn at_least(mut self, needed: Rank, gate: &Gate) -> Result<Self, Error> {
        let user = self.user.as_mut().ok_or(Error::Unauthenticated)?;
        if rank(user.role) < needed {
            return Err(Error::Forbidden);
        }
        let left = strict::rank_now(gate, user).await?;
        if left < needed {
            return Err(Error::Forbidden);
        }
        user.role = role(left);
        self.caller = user.caller();
        Ok(self)
    }
}

/// The user whom a request's token proves. The header wins over the cookies; no token is nobody, a bad one an error.
pub(crate) fn prove(
    shared: &Shared,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Option<AssertedUser>, Error> {
    let token = match Credentials::of(headers)? {
        None => return Ok(None),
        Some(Credentials::Bearer(token)) => token,
        Some(Credentials::Cookie(token, kind)) => {
            shared.home().check_forgery(headers, method, kind)?;
            token
        }
    };
    verified(shared, token).map(Some)
}

/// What is left of what a token states.
fn verified(shared: &Shared, token: &str) -> Result<AssertedUser, Error> {
    let authentic = shared.verifier.token(token).map_err(|reason| {
        tracing::debug!(%reason, "a token was refused");
        Error::Unauthenticated
    })?;
    if authentic.expires_at.saturating_sub(authentic.issued_at) > LIFETIME_MAX_S {
        tracing::debug!("a token lives longer than any of ours");
        return Err(Error::Unauthenticated);
    }
    let mut user = authentic.user().ok_or(Error::Unauthenticated)?;
    let stated = Stated {
        user: user.id,
        rank: rank(user.role),
        session_id: &user.session_id,
        expires_at: authentic.expires_at,
    };
    let left = shared.revocations.left(stated).ok_or(Error::Unauthenticated)?;
    user.role = role(left);
    Ok(user)
}

fn rank(role: UserRole) -> Rank {
    match role {
        UserRole::Customer => Rank::Customer,
        UserRole::Staff => Rank::Staff,
        UserRole::Admin => Rank::Admin,
    }
}

fn role(rank: Rank) -> UserRole {
    match rank {
        Rank::Customer => UserRole::Customer,
        Rank::Staff => UserRole::Staff,
        Rank::Admin => UserRole::Admin,
    }
}
