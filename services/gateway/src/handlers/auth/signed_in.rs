//! What a client holds once it is signed in.

use actix_web::http::header::{CACHE_CONTROL, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse};
use proto::accounts::v1 as accounts;
use serde::Serialize;
use utoipa::ToSchema;

use super::NO_STORE;
use crate::auth::is_browser;
use crate::cookies;
use crate::error::Error;
use crate::views::{self, CartMerge, User};

/// The user and their tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedIn {
    user: User,
    #[serde(flatten)]
    tokens: Tokens,
    /// What became of the cart whose token was sent along; absent when there was none, or nothing became of it.
    cart_merge: Option<CartMerge>,
}

/// A pair of tokens.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    #[serde(flatten)]
    access: AccessToken,
    /// Not for browsers: theirs is in a cookie that no script can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// An access token.
#[derive(Serialize, ToSchema)]
pub struct AccessToken {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 300)]
    expires_in: u32,
}

impl AccessToken {
    fn of(access_token: String, expires_in: u32) -> Self {
        Self { access_token, token_type: "Bearer", expires_in }
    }
}

/// No token in logs.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("access", &self.access).finish_non_exhaustive()
    }
}

/// No token in logs.
impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// The answer to a login, or without a user to a refresh.
pub(super) fn answer(
    request: &HttpRequest,
    user: Option<(accounts::User, Option<CartMerge>)>,
    tokens: accounts::Tokens,
    device: Option<&str>,
) -> Result<HttpResponse, Error> {
    let mut cookies = vec![
        cookies::access(&tokens.access_token, tokens.expires_in_s)?,
        cookies::refresh(&tokens.refresh_token)?,
    ];
    if let Some(device) = device {
        cookies.push(cookies::device(device)?);
    }
    let refresh_token = (!is_browser(request.headers())).then_some(tokens.refresh_token);
    let access = AccessToken::of(tokens.access_token, tokens.expires_in_s);
    let tokens = Tokens { access, refresh_token };
    let body = match user {
        Some((user, cart_merge)) => views::envelope(SignedIn { user: User::of(&user), tokens, cart_merge }),
        None => views::envelope(tokens),
    };
    let mut response = HttpResponse::Ok();
    response.content_type("application/json").insert_header((CACHE_CONTROL, NO_STORE));
    for cookie in cookies {
        response.append_header((SET_COOKIE, cookie));
    }
    Ok(response.body(body))
}

/// The answer to a fresh proof of who is there.
pub(super) fn fresh_access_token(token: String, expires_in_s: u32) -> Result<HttpResponse, Error> {
    let cookie = cookies::access(&token, expires_in_s)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, NO_STORE))
        .append_header((SET_COOKIE, cookie))
        .body(views::envelope(AccessToken::of(token, expires_in_s))))
}
