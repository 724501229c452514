//! People, their addresses, sessions and data jobs as the JSON of the API.

use proto::accounts::v1 as accounts;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::format::timestamp;

/// A user, as the user and admins see them.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    pub id: i64,
    pub email: String,
    pub name: String,
    /// `pt-BR` or `en`.
    pub locale: String,
    /// `customer`, `staff` or `admin`.
    pub role: &'static str,
    pub email_verified: bool,
    pub totp_enabled: bool,
    /// Locked by an admin.
    pub locked: bool,
    /// `If-Match` for changes is `"u-<id>-v<version>"`.
    pub version: i64,
    pub created_at: String,
}

/// An address for parcels.
#[derive(Debug, Serialize, ToSchema)]
pub struct Address {
    pub id: i64,
    pub label: Option<String>,
    pub recipient: String,
    pub line1: String,
    pub line2: Option<String>,
    pub district: Option<String>,
    pub city: String,
    /// Two letters.
    pub state: String,
    /// CEP, eight digits.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    pub is_default: bool,
    /// `If-Match` for changes is `"ad-<id>-v<version>"`.
    pub version: i64,
}

/// A device that is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// UUID.
    pub id: String,
    pub user_agent: String,
    pub address: String,
    pub created_at: String,
    pub last_used_at: String,
    pub expires_at: String,
    /// The one that asks.
    pub current: bool,
}

/// Gathering or erasing everything that is known about a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataJob {
    /// UUID.
    pub id: String,
    /// `export` or `erasure`.
    pub kind: &'static str,
    /// `pending`, `running`, `done` or `failed`.
    pub state: &'static str,
    pub created_at: String,
    pub finished_at: Option<String>,
    /// Of a finished export: a member per service.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Box<RawValue>>,
    /// Of a failed job, why.
    pub failure: Option<String>,
}

impl User {
    pub(crate) fn of(user: &accounts::User) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            locale: user.locale.clone(),
            role: match user.role() {
                accounts::Role::Unspecified | accounts::Role::Customer => "customer",
                accounts::Role::Staff => "staff",
                accounts::Role::Admin => "admin",
            },
            email_verified: user.email_verified,
            totp_enabled: user.totp_enabled,
            locked: user.locked,
            version: user.version,
            created_at: timestamp(user.created_at.as_ref()),
        }
    }
}

impl Address {
    pub(crate) fn of(address: &accounts::Address) -> Self {
        Self {
            id: address.id,
            label: address.label.clone(),
            recipient: address.recipient.clone(),
            line1: address.line1.clone(),
            line2: address.line2.clone(),
            district: address.district.clone(),
            city: address.city.clone(),
            state: address.state.clone(),
            postal_code: address.postal_code.clone(),
            country: address.country.clone(),
            is_default: address.is_default,
            version: address.version,
        }
    }
}

impl Session {
    pub(crate) fn of(session: &accounts::Session) -> Self {
        Self {
            id: session.id.clone(),
            user_agent: session.user_agent.clone(),
            address: session.address.clone(),
            created_at: timestamp(session.created_at.as_ref()),
            last_used_at: timestamp(session.last_used_at.as_ref()),
            expires_at: timestamp(session.expires_at.as_ref()),
            current: session.current,
        }
    }
}

impl DataJob {
    pub(crate) fn of(job: &accounts::DataJob) -> Self {
        use accounts::{DataJobKind as Kind, DataJobState as State};
        let document = job.document_json.clone().and_then(|json| RawValue::from_string(json).ok());
        Self {
            id: job.id.clone(),
            kind: match job.kind() {
                Kind::Unspecified | Kind::Export => "export",
                Kind::Erasure => "erasure",
            },
            state: match job.state() {
                State::Unspecified | State::Pending => "pending",
                State::Running => "running",
                State::Done => "done",
                State::Failed => "failed",
            },
            created_at: timestamp(job.created_at.as_ref()),
            finished_at: job.finished_at.as_ref().map(|at| timestamp(Some(at))),
            document,
            failure: job.failure.clone(),
        }
    }
}
