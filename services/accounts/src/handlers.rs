//! One use case per file: parse, transaction, rule, store, event, reply.

mod address_event;
mod begin_session;
pub(crate) mod change_password;
pub(crate) mod check_session;
mod client;
pub(crate) mod confirm_totp;
pub(crate) mod create_address;
pub(crate) mod delete_address;
pub(crate) mod disable_totp;
pub(crate) mod enrol_totp;
pub(crate) mod forgot_password;
pub(crate) mod get_contact;
pub(crate) mod get_data_job;
pub(crate) mod get_profile;
pub(crate) mod get_user;
pub(crate) mod list_active_users;
pub(crate) mod list_addresses;
pub(crate) mod list_revocations;
pub(crate) mod list_sessions;
pub(crate) mod list_users;
pub(crate) mod lock_user;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logout_all;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod request_erasure;
pub(crate) mod request_export;
mod request_job;
pub(crate) mod reset_password;
pub(crate) mod revoke_session;
mod second_factor;
pub(crate) mod step_up;
pub(crate) mod update_address;
pub(crate) mod update_profile;
pub(crate) mod update_user;
pub(crate) mod verify_email;

use std::sync::Arc;
use std::time::Duration;

use idempotency::{Done, Reply};
use proto::accounts::v1::Revocation;
use rls::{Asserted, Caller, Class, Database, DatabaseError, Tx, UserId, UserRole};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access_tokens::AccessTokens;
use crate::announcer::Announcer;
use crate::attempts::Attempts;
use crate::counters::Counters;
use crate::error::Error;
use crate::passwords::Passwords;
use crate::roles::StaffTotp;
use crate::secrets::Secrets;

const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRITE_DEADLINE: Duration = Duration::from_secs(4);
/// How long a proof of who is there counts as recent.
const FRESH_FOR_S: i64 = 5 * 60;

/// What calls are answered from. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    pub(crate) db: Database,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) passwords: Passwords,
    pub(crate) access_tokens: Arc<AccessTokens>,
    pub(crate) attempts: Attempts,
    pub(crate) announcer: Announcer,
    pub(crate) counters: Arc<Counters>,
    pub(crate) staff_totp: StaffTotp,
    pub(crate) unknown_sessions: UnknownSessions,
}

/// One call: who asks, how long they wait, and what it is answered from.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) resources: Resources,
    pub(crate) asserted: Asserted,
    /// What is left of the caller's patience.
    pub(crate) within: Duration,
    /// As which the request is known to whoever sent it.
    pub(crate) request_id: String,
    /// The request's idempotency key, when it has one.
    pub(crate) repeat: Option<idempotency::Request>,
}

impl Resources {
    /// Counts the sessions that ended, and tells who checks their tokens. Call it after the commit.
    pub(crate) fn announce(&self, revocations: &[Revocation]) {
        self.counters.sessions_revoked.add(revocations.len());
        self.announcer.announce(revocations);
    }
}

/// What to think of a session that the database does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownSessions {
    Live,
    Revoked,
}

impl UnknownSessions {
    pub(crate) fn are_live(self) -> bool {
        self == Self::Live
    }
}

impl Call {
    /// Runs a transaction that only reads.
    pub(crate) async fn read<T, W>(&self, on_behalf_of: impl Into<Caller>, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(READ_DEADLINE);
        Ok(self.resources.db.run(&on_behalf_of.into(), Class::Read, within, work).await?.value)
    }

    /// Runs a transaction that changes something.
    pub(crate) async fn write<T, W>(
        &self,
        on_behalf_of: impl Into<Caller>,
        work: W,
    ) -> Result<rls::Committed<T>, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        self.resources.db.run(&on_behalf_of.into(), Class::Write, within, work).await
    }

    /// Runs a transaction that changes something, done once however often the request is repeated. `reply` makes the
    /// answer of what `work` gives.
    pub(crate) async fn once<T, R, W>(
        &self,
        on_behalf_of: impl Into<Caller>,
        reply: impl FnOnce(T) -> R + Send + 'static,
        work: W,
    ) -> Result<Done<R>, Error>
    where
        T: Send + 'static,
        R: Reply,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        idempotency::once(
            &self.resources.db,
            &on_behalf_of.into(),
            Class::Write,
            within,
            self.repeat.as_ref(),
            move |tx| Box::pin(async move { work(tx).await.map(reply) }),
        )
        .await
    }

    /// Whoever is signed in, as the person whose own rows they may reach: the role does not matter.
    pub(crate) fn oneself(&self) -> Result<Oneself, Error> {
        let Some(user) = &self.asserted.user else {
            return Err(match self.asserted.caller {
                Caller::Service => Error::Forbidden,
                Caller::Anonymous
                | Caller::Guest { .. }
                | Caller::User(_)
                | Caller::Staff(_)
                | Caller::Admin(_) => Error::Anonymous,
            });
        };
        let session = user.session_id.parse().map_err(|_not_a_uuid| rls::Unauthenticated::Claims)?;
        Ok(Oneself { id: user.id, role: user.role, session, auth_time: user.auth_time })
    }

    /// The caller as an administrator.
    pub(crate) fn admin(&self) -> Result<Administrator, Error> {
        let oneself = self.oneself()?;
        match self.asserted.caller {
            Caller::Admin(_) => Ok(Administrator { oneself }),
            Caller::Anonymous
            | Caller::Guest { .. }
            | Caller::User(_)
            | Caller::Staff(_)
            | Caller::Service => Err(Error::Forbidden),
        }
    }

    /// The caller as the gateway, which alone says where people come from.
    pub(crate) fn service(&self) -> Result<Backstage, Error> {
        self.service_of(&["gateway"])
    }

    /// The caller as one of these processes of the product.
    pub(crate) fn service_of(&self, issuers: &[&str]) -> Result<Backstage, Error> {
        match (self.asserted.caller, self.asserted.issuer.as_deref()) {
            (Caller::Service, Some(issuer)) if issuers.contains(&issuer) => Ok(Backstage(())),
            (Caller::Anonymous | Caller::Guest { .. }, _) => Err(Error::Anonymous),
            (Caller::Service | Caller::User(_) | Caller::Staff(_) | Caller::Admin(_), _) => {
                Err(Error::Forbidden)
            }
        }
    }
}

/// A signed-in person. Transactions on their behalf reach their own rows, and no credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oneself {
    pub(crate) id: UserId,
    /// As the access token said.
    pub(crate) role: UserRole,
    pub(crate) session: Uuid,
    /// When they last proved to be who they are, in Unix seconds.
    pub(crate) auth_time: i64,
}

impl Oneself {
    /// Credentials are reached by the service alone: statements run so must name the user themselves.
    pub(crate) fn backstage(self) -> Backstage {
        Backstage(())
    }

    /// Refuses unless the last proof is recent.
    pub(crate) fn require_fresh(self, now: OffsetDateTime) -> Result<(), Error> {
        if now.unix_timestamp() - self.auth_time <= FRESH_FOR_S { Ok(()) } else { Err(Error::StepUpRequired) }
    }
}

/// A signed-in administrator. Transactions on their behalf reach every user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Administrator {
    pub(crate) oneself: Oneself,
}

/// The right to act as the service itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backstage(());

impl From<Oneself> for Caller {
    fn from(oneself: Oneself) -> Self {
        Self::User(oneself.id)
    }
}

impl From<Administrator> for Caller {
    fn from(admin: Administrator) -> Self {
        Self::Admin(admin.oneself.id)
    }
}

impl From<Backstage> for Caller {
    fn from(_: Backstage) -> Self {
        Self::Service
    }
}

/// The clock, as finely as the database keeps it.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.microsecond() * 1_000).expect("a whole microsecond is a valid nanosecond")
}

/// Writes down what was done to a user, by whom the transaction is open for. The last statement of a change: writers
/// wait for each other here. No names, addresses or reasons: the log outlives what people ask to be forgotten.
pub(crate) async fn sign(
    tx: &mut Tx,
    request_id: &str,
    action: &'static str,
    user: UserId,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), Error> {
    let entry = audit::Entry {
        actor: *tx.caller(),
        action,
        entity: "user",
        entity_id: user.0.to_string(),
        before,
        after,
        request_id: request_id.to_owned(),
    };
    Ok(audit::record(tx, &entry).await?)
}

/// Writes the event into the outbox of the transaction that makes it true.
pub(crate) async fn record(tx: &mut Tx, event: &events::Event) -> Result<(), Error> {
    events::record(tx, event).await.map_err(|error| Error::Database(DatabaseError::from(error)))
}
