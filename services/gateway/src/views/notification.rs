//! What users are told, as the JSON of the API.

use proto::notifications::v1 as notifications;
use serde::Serialize;
use utoipa::ToSchema;

use super::format::timestamp;

/// Something that a user was told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    pub id: i64,
    /// Such as `report.received` or `account.security`.
    pub kind: String,
    pub title: String,
    pub body: String,
    /// A path of the shop.
    pub link: Option<String>,
    /// Null while it is unread.
    pub read_at: Option<String>,
    pub created_at: String,
}

/// How a user wishes to be told about one kind of thing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preference {
    /// `report.received`, `account.security` or `account.welcome`.
    pub kind: String,
    pub in_app: bool,
    pub email: bool,
}

impl Notification {
    pub(crate) fn of(notification: &notifications::Notification) -> Self {
        Self {
            id: notification.id,
            kind: notification.kind.clone(),
            title: notification.title.clone(),
            body: notification.body.clone(),
            link: notification.link.clone(),
            read_at: notification.read_at.as_ref().map(|at| timestamp(Some(at))),
            created_at: timestamp(notification.created_at.as_ref()),
        }
    }
}

impl Preference {
    pub(crate) fn of(preference: &notifications::Preference) -> Self {
        Self { kind: preference.kind.clone(), in_app: preference.in_app, email: preference.email }
    }
}
