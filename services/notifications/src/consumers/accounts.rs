//! Accounts: their owners are told what changed; whoever is gone is forgotten.

use events::{ConsumerConfig, Delivery, Fact, Failure};
use rls::UserId;

use super::Teller;
use crate::domain::message::Occasion;
use crate::feed;
use crate::handlers::now;
use crate::store::{erasure, feeds};

const DURABLE: &str = "notifications-accounts";

/// Reads `accounts.user.*`.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig {
        filter_subject: "mc.accounts.user.>".to_owned(),
        concurrency: super::CONCURRENCY,
        ..ConsumerConfig::new(DURABLE)
    }
}

/// One fact; most are nobody's news.
pub(crate) async fn handle(teller: Teller, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let (user_id, occasion) = match event.fact() {
        Fact::UserRegistered(user) => (user.user_id, Occasion::Welcome),
        Fact::UserRoleChanged(user) => (user.user_id, Occasion::RoleChanged { role: user.role.clone() }),
        Fact::UserUpdated(user) => match security(&user.changed) {
            Some(occasion) => (user.user_id, occasion),
            None => return Ok(()),
        },
        Fact::UserDeleted(user) => return erase(&teller, &delivery, user.user_id).await,
        _ => return Ok(()),
    };
    teller.tell(DURABLE, &delivery, user_id, occasion).await
}

/// What an owner should know about these changed columns, the gravest first.
fn security(changed: &[String]) -> Option<Occasion> {
    let any = |part: &str| changed.iter().any(|column| column.contains(part));
    if any("password") {
        Some(Occasion::PasswordChanged)
    } else if any("totp") {
        Some(Occasion::SecondFactorChanged)
    } else if any("locked") {
        Some(Occasion::LockChanged)
    } else {
        None
    }
}

async fn erase(teller: &Teller, delivery: &Delivery, user_id: i64) -> Result<(), Failure> {
    teller
        .once(DURABLE, delivery, move |tx, _message_id| {
            Box::pin(async move {
                feeds::open(tx, user_id).await?;
                let locked = feeds::lock(tx, user_id).await?;
                if locked.is_none_or(|feed| feed.erased) {
                    return Ok(());
                }
                idempotency::forget(tx, UserId(user_id)).await?;
                let ((version, prefs_version), removed) = erasure::erase(tx, user_id).await?;
                // Said only now, though accounts has said that the user is gone: whatever was cached in between
                // goes too.
                feed::record_deleted(tx, now(), user_id, version, removed).await?;
                feed::record_preferences(tx, now(), user_id, prefs_version).await
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_that_guard_an_account_are_news() {
        let of = |columns: &[&str]| security(&columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["name", "locale"]), None);
        assert_eq!(of(&["email_verified_at"]), None);
        assert_eq!(of(&["totp_secret", "password_hash"]), Some(Occasion::PasswordChanged));
        assert_eq!(of(&["totp_enabled"]), Some(Occasion::SecondFactorChanged));
        assert_eq!(of(&["locked"]), Some(Occasion::LockChanged));
    }
}
