//! The bodies that sign people in, read field by field.
//!
//! A password is taken as it is, whatever its characters: nothing is trimmed, folded or refused but its length.

use proto::accounts::v1::step_up_request::Proof;
use proto::accounts::v1::{
    ForgotPasswordRequest, LoginRequest, RegisterRequest, ResetPasswordRequest, StepUpRequest,
    VerifyEmailRequest,
};
use utoipa::ToSchema;

use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;
use crate::shop_bodies::strategy;

/// Characters of a password. How few there may be depends on the account, which accounts knows.
const PASSWORD_CHARS_MAX: usize = 128;
/// Characters of a mail address (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;
const NAME_CHARS_MAX: usize = 200;
/// Characters of a token of ours, with room.
const TOKEN_CHARS_MAX: usize = 512;
const TOTP_DIGITS: usize = 6;

/// A person who wants an account.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct RegisterBody {
    email: String,
    /// 15 to 128 characters, not a common one.
    password: String,
    /// Up to 200 characters.
    name: String,
    /// `pt-BR`, the default, or `en`.
    locale: Option<String>,
}

/// A person who has one.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct LoginBody {
    email: String,
    password: String,
    /// Six digits, when the account has a second factor.
    totp_code: Option<String>,
    /// How the cart of a cart token that is sent along becomes part of the account's: `sum` (the default), `max`,
    /// `guest` or `customer`.
    cart_merge: Option<String>,
}

/// The refresh token of whoever is no browser.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct RefreshBody {
    refresh_token: String,
}

/// A mail address.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct EmailBody {
    email: String,
}

/// A new password for whoever holds the link.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ResetPasswordBody {
    /// From the link.
    token: String,
    /// 15 to 128 characters, not a common one.
    new_password: String,
}

/// A link that was followed.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct VerifyEmailBody {
    /// From the link.
    token: String,
}

/// Exactly one proof.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct StepUpBody {
    password: Option<String>,
    /// Six digits.
    totp_code: Option<String>,
}

/// Reads a [`RegisterBody`].
pub(super) fn register(body: Json) -> Result<RegisterRequest, Error> {
    read(body, |fields| {
        let email = email(fields);
        let password = required_password(fields, "password");
        let name = fields.string("name", 1..=NAME_CHARS_MAX);
        let name = fields.required("name", name);
        let locale = locale(fields);
        RegisterRequest { email, password, name, locale, client: None }
    })
}

/// Reads a [`LoginBody`]: the request, and how carts are merged.
pub(super) fn login(body: Json) -> Result<(LoginRequest, String), Error> {
    read(body, |fields| {
        let email = email(fields);
        let password = required_password(fields, "password");
        let totp_code = code(fields, "totp_code").present();
        let cart_merge = strategy(fields, "cart_merge");
        (LoginRequest { email, password, totp_code, client: None }, cart_merge)
    })
}

/// Reads a [`RefreshBody`].
pub(super) fn refresh(body: Json) -> Result<String, Error> {
    read(body, |fields| token(fields, "refresh_token"))
}

/// Reads an [`EmailBody`].
pub(super) fn forgot_password(body: Json) -> Result<ForgotPasswordRequest, Error> {
    read(body, |fields| ForgotPasswordRequest { email: email(fields), client: None })
}

/// Reads a [`ResetPasswordBody`].
pub(super) fn reset_password(body: Json) -> Result<ResetPasswordRequest, Error> {
    read(body, |fields| {
        let token = token(fields, "token");
        let new_password = required_password(fields, "new_password");
        ResetPasswordRequest { token, new_password, client: None }
    })
}

/// Reads a [`VerifyEmailBody`].
pub(super) fn verify_email(body: Json) -> Result<VerifyEmailRequest, Error> {
    read(body, |fields| VerifyEmailRequest { token: token(fields, "token") })
}

/// Reads a [`StepUpBody`].
pub(super) fn step_up(body: Json) -> Result<StepUpRequest, Error> {
    read(body, |fields| {
        let proof = match (password(fields, "password"), code(fields, "totp_code")) {
            (Member::Present(password), Member::Absent) => Some(Proof::Password(password)),
            (Member::Absent, Member::Present(code)) => Some(Proof::TotpCode(code)),
            (_, _) => {
                let detail =
                    Text::fixed("envie password ou totp_code, um só", "send password or totp_code, one only");
                fields.mistake("password", "required", detail);
                None
            }
        };
        StepUpRequest { proof, client: None }
    })
}

/// Reads an object, and nothing but what `take` takes from it.
pub(in crate::handlers) fn read<T>(body: Json, take: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let taken = take(&mut fields);
    fields.finish();
    mistakes.finish(taken)
}

/// A password that must be there.
pub(in crate::handlers) fn required_password(fields: &mut Fields<'_>, name: &str) -> String {
    let member = password(fields, name);
    fields.required(name, member)
}

/// A code that must be there.
pub(in crate::handlers) fn required_code(fields: &mut Fields<'_>, name: &str) -> String {
    let member = code(fields, name);
    fields.required(name, member)
}

fn password(fields: &mut Fields<'_>, name: &str) -> Member<String> {
    match fields.take(name) {
        Member::Absent => Member::Absent,
        Member::Null => Member::Null,
        Member::Present(Json::String(password)) => {
            let chars = password.chars().count();
            if chars == 0 {
                fields.mistake(name, "min", Text::fixed("está vazia", "is empty"));
            } else if chars > PASSWORD_CHARS_MAX {
                fields.mistake(name, "max", Text::fixed("até 128 caracteres", "up to 128 characters"));
            }
            Member::Present(password)
        }
        Member::Present(_) => {
            fields.mistake(name, "type", Text::fixed("deve ser texto", "must be a string"));
            Member::Present(String::new())
        }
    }
}

fn code(fields: &mut Fields<'_>, name: &str) -> Member<String> {
    let code = fields.string(name, 1..=TOKEN_CHARS_MAX);
    if let Member::Present(code) = &code
        && !(code.len() == TOTP_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()))
    {
        fields.mistake(name, "format", Text::fixed("deve ter seis dígitos", "must be six digits"));
    }
    code
}

fn email(fields: &mut Fields<'_>) -> String {
    let email = fields.string("email", 3..=EMAIL_CHARS_MAX);
    fields.required("email", email)
}

fn token(fields: &mut Fields<'_>, name: &str) -> String {
    let token = fields.string(name, 1..=TOKEN_CHARS_MAX);
    fields.required(name, token)
}

fn locale(fields: &mut Fields<'_>) -> String {
    let locale = fields.string("locale", 1..=16).present().unwrap_or_else(|| "pt-BR".to_owned());
    if !matches!(locale.as_str(), "pt-BR" | "en") {
        fields.mistake("locale", "invalid", Text::fixed("deve ser pt-BR ou en", "must be pt-BR or en"));
    }
    locale
}
