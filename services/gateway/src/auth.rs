//! Who is calling: an access token in a header or a cookie.

use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, ORIGIN};
use rls::{Caller, Verifier};

use crate::error::Error;
use crate::gate::Gate;

/// The cookie of the requirement documents (S52). Browsers get the prefixed one, which no neighbouring site
/// can set for them.
const COOKIE_PLAIN: &str = "auth-token";
const COOKIE_BROWSER: &str = "__Host-auth-token";

/// A caller, and the token to forward so that services verify for themselves.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    token: Option<String>,
}

impl Authenticated {
    /// What proves the caller to the service named `audience`, for one call; nobody in particular needs none.
    pub(crate) fn assertion(&self, _gate: &Gate, _audience: &'static str) -> Option<String> {
        self.token.clone()
    }

    /// Passes everyone who is signed in.
    pub(crate) fn user(self) -> Result<Self, Error> {
        match self.caller {
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Unauthenticated),
            Caller::User(_) | Caller::Staff(_) | Caller::Admin(_) | Caller::Service => Ok(self),
        }
    }

    /// Passes staff and admins.
    pub(crate) async fn staff(self, _gate: &Gate) -> Result<Self, Error> {
        match self.caller {
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Unauthenticated),
            Caller::User(_) => Err(Error::Forbidden),
            Caller::Staff(_) | Caller::Admin(_) | Caller::Service => Ok(self),
        }
    }

    /// Passes admins.
    pub(crate) async fn admin(self, _gate: &Gate) -> Result<Self, Error> {
        match self.caller {
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Unauthenticated),
            Caller::User(_) | Caller::Staff(_) => Err(Error::Forbidden),
            Caller::Admin(_) | Caller::Service => Ok(self),
        }
    }
}

/// The caller of a request. The header wins over the cookies; no token is anonymous, a bad one an error.
pub(crate) fn authenticate(
    verifier: &Verifier,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Authenticated, Error> {
    if headers.contains_key(AUTHORIZATION) {
        let token = bearer(headers).ok_or(Error::Unauthenticated)?;
        return verified(verifier, token);
    }
    let from_browser = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
    let token = match cookie(headers, COOKIE_BROWSER) {
        Some(token) => Some(token),
        None if from_browser => None,
        None => cookie(headers, COOKIE_PLAIN),
    };
    let Some(token) = token else { return Ok(Authenticated { caller: Caller::Anonymous, token: None }) };
    if !method.is_safe() && !same_origin(headers) {
        return Err(Error::Forbidden);
    }
    verified(verifier, token)
}

/// Refuses a request whose `Authorization` header is no good; for routes that need none.
pub(crate) fn check_header(verifier: &Verifier, headers: &HeaderMap) -> Result<(), Error> {
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(());
    }
    verified(verifier, bearer(headers).ok_or(Error::Unauthenticated)?).map(drop)
}

fn verified(verifier: &Verifier, token: &str) -> Result<Authenticated, Error> {
    match verifier.token(token) {
        Ok(authentic) => Ok(Authenticated { caller: authentic.caller, token: Some(token.to_owned()) }),
        Err(reason) => {
            tracing::debug!(%reason, "a token was refused");
            Err(Error::Unauthenticated)
        }
    }
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether a request that carries a cookie was made by our own pages, or not by a page at all.
fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site.as_bytes() == b"same-origin";
    }
    match (headers.get(ORIGIN), text(HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, origin_host)| origin_host.eq_ignore_ascii_case(host))
        }
        (Some(_), None) => false,
    }
}
