//! The contract's messages: read into domain types, written from them.

pub(crate) mod address;
pub(crate) mod data_job;

use prost_types::Timestamp;
use proto::accounts::v1 as pb;
use proto::events::v1::PurgeReceipt;
use rls::UserRole;
use time::OffsetDateTime;

use crate::domain::Invalid;
use crate::domain::user::User;

/// A user as callers see one.
pub(crate) fn user(user: User) -> pb::User {
    pb::User {
        id: user.id.0,
        email: user.email,
        name: user.name,
        locale: user.locale.as_str().to_owned(),
        role: role(user.role).into(),
        email_verified: user.email_verified,
        totp_enabled: user.totp_enabled,
        locked: user.locked,
        version: user.version,
        created_at: Some(timestamp(user.created_at)),
    }
}

/// A role in the contract's words.
pub(crate) fn role(role: UserRole) -> pb::Role {
    match role {
        UserRole::Customer => pb::Role::Customer,
        UserRole::Staff => pb::Role::Staff,
        UserRole::Admin => pb::Role::Admin,
    }
}

/// Reads a role that must be one.
pub(crate) fn parse_role(field: &str, number: i32) -> Result<UserRole, Invalid> {
    match pb::Role::try_from(number) {
        Ok(pb::Role::Customer) => Ok(UserRole::Customer),
        Ok(pb::Role::Staff) => Ok(UserRole::Staff),
        Ok(pb::Role::Admin) => Ok(UserRole::Admin),
        Ok(pb::Role::Unspecified) | Err(_) => Err(Invalid::value(field, "must be customer, staff or admin")),
    }
}

/// What a transaction made stale.
pub(crate) fn receipts(receipts: Vec<rls::Receipt>) -> Vec<PurgeReceipt> {
    let receipt = |receipt: rls::Receipt| PurgeReceipt {
        event_id: receipt.event_id.to_string(),
        tags: receipt.tags,
        commit_lsn: receipt.commit_lsn,
    };
    receipts.into_iter().map(receipt).collect()
}

/// A moment, exactly.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    Timestamp { seconds: at.unix_timestamp(), nanos }
}
