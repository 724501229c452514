//! The bodies that change people and their addresses.

use proto::accounts::v1::{
    AddressFields, LockUserRequest, Role, UpdateAddressRequest, UpdateProfileRequest, UpdateUserRequest,
};
use utoipa::ToSchema;

use super::never_null;
use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;

const NAME_CHARS_MAX: usize = 200;
const LABEL_CHARS_MAX: usize = 60;
const LINE_CHARS_MAX: usize = 200;
const PLACE_CHARS_MAX: usize = 120;
const REASON_CHARS_MAX: usize = 500;

/// The fields of a profile to change.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ProfilePatchBody {
    /// Up to 200 characters.
    name: Option<String>,
    /// `pt-BR` or `en`.
    locale: Option<String>,
}

/// An address that does not exist yet.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct AddressBody {
    /// Up to 60 characters.
    label: Option<String>,
    /// Up to 200 characters.
    recipient: String,
    /// Street and number, up to 200 characters.
    line1: String,
    line2: Option<String>,
    district: Option<String>,
    /// Follows from the CEP of a capital when left out.
    city: Option<String>,
    /// Two letters; follows from the CEP when left out.
    state: Option<String>,
    /// CEP, eight digits, with or without its hyphen.
    postal_code: String,
    /// The first address becomes the default anyway.
    is_default: Option<bool>,
}

/// The fields of an address to change; null removes label, line2 and district.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct AddressPatchBody {
    label: Option<String>,
    recipient: Option<String>,
    line1: Option<String>,
    line2: Option<String>,
    district: Option<String>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    is_default: Option<bool>,
}

/// The fields of a user that an admin may change.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct UserPatchBody {
    /// Up to 200 characters.
    name: Option<String>,
    /// `customer`, `staff` or `admin`.
    role: Option<String>,
}

/// Locks a user out, or lets them in again.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct LockBody {
    locked: bool,
    /// For the audit, 1 to 500 characters.
    reason: String,
}

/// Reads a [`ProfilePatchBody`]; the version is the caller's to fill in.
pub fn profile_patch(body: Json) -> Result<UpdateProfileRequest, Error> {
    read(body, |fields| UpdateProfileRequest {
        name: text(fields, "name", NAME_CHARS_MAX),
        locale: one_of(fields, "locale", &[("pt-BR", "pt-BR"), ("en", "en")]).map(str::to_owned),
        ..UpdateProfileRequest::default()
    })
}

/// Reads an [`AddressBody`].
pub fn address(body: Json) -> Result<AddressFields, Error> {
    read(body, |fields| {
        let recipient = fields.string("recipient", 1..=LINE_CHARS_MAX);
        let line1 = fields.string("line1", 1..=LINE_CHARS_MAX);
        let postal_code = fields.string("postal_code", 8..=9);
        AddressFields {
            label: fields.string("label", 0..=LABEL_CHARS_MAX).present(),
            recipient: fields.required("recipient", recipient),
            line1: fields.required("line1", line1),
            line2: fields.string("line2", 0..=LINE_CHARS_MAX).present(),
            district: fields.string("district", 0..=PLACE_CHARS_MAX).present(),
            city: fields.string("city", 0..=PLACE_CHARS_MAX).present().unwrap_or_default(),
            state: fields.string("state", 0..=2).present().unwrap_or_default(),
            postal_code: fields.required("postal_code", postal_code),
            is_default: fields.boolean("is_default").present(),
        }
    })
}

/// Reads an [`AddressPatchBody`]; id and version are the caller's to fill in.
pub fn address_patch(body: Json) -> Result<UpdateAddressRequest, Error> {
    read(body, |fields| {
        let is_default = fields.boolean("is_default");
        UpdateAddressRequest {
            label: or_empty(fields.string("label", 0..=LABEL_CHARS_MAX)),
            recipient: text(fields, "recipient", LINE_CHARS_MAX),
            line1: text(fields, "line1", LINE_CHARS_MAX),
            line2: or_empty(fields.string("line2", 0..=LINE_CHARS_MAX)),
            district: or_empty(fields.string("district", 0..=PLACE_CHARS_MAX)),
            city: text(fields, "city", PLACE_CHARS_MAX),
            state: text(fields, "state", 2),
            postal_code: text(fields, "postal_code", 9),
            is_default: never_null(fields, "is_default", is_default),
            ..UpdateAddressRequest::default()
        }
    })
}

/// Reads a [`UserPatchBody`]; id and version are the caller's to fill in.
pub fn user_patch(body: Json) -> Result<UpdateUserRequest, Error> {
    read(body, |fields| UpdateUserRequest {
        name: text(fields, "name", NAME_CHARS_MAX),
        role: one_of(fields, "role", &ROLES).map(i32::from),
        ..UpdateUserRequest::default()
    })
}

/// Reads a [`LockBody`]; id and version are the caller's to fill in.
pub fn lock(body: Json) -> Result<LockUserRequest, Error> {
    read(body, |fields| {
        let locked = fields.boolean("locked");
        let reason = fields.string("reason", 1..=REASON_CHARS_MAX);
        LockUserRequest {
            locked: fields.required("locked", locked),
            reason: fields.required("reason", reason),
            ..LockUserRequest::default()
        }
    })
}

/// The names of roles.
pub(crate) const ROLES: [(&str, Role); 3] =
    [("customer", Role::Customer), ("staff", Role::Staff), ("admin", Role::Admin)];

/// Reads an object, and notes all that is wrong with it.
fn read<T>(body: Json, members: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let value = members(&mut fields);
    fields.finish();
    mistakes.finish(value)
}

/// A text that may be left out but not emptied.
fn text(fields: &mut Fields<'_>, name: &str, chars_max: usize) -> Option<String> {
    let member = fields.string(name, 1..=chars_max);
    never_null(fields, name, member)
}

/// One of a few names, which may be left out.
fn one_of<T: Copy>(fields: &mut Fields<'_>, name: &str, choices: &[(&str, T)]) -> Option<T> {
    let member = fields.string(name, 1..=32);
    let chosen = never_null(fields, name, member)?;
    let found = choices.iter().find(|(choice, _)| *choice == chosen);
    if found.is_none() {
        let list = choices.iter().map(|(choice, _)| *choice).collect::<Vec<_>>().join(", ");
        let detail = Text { pt: format!("um de: {list}").into(), en: format!("one of: {list}").into() };
        fields.mistake(name, "invalid", detail);
    }
    found.map(|(_, meaning)| *meaning)
}

/// Empty is how the service is told to remove a text.
fn or_empty(member: Member<String>) -> Option<String> {
    match member {
        Member::Absent => None,
        Member::Null => Some(String::new()),
        Member::Present(text) => Some(text),
    }
}
