//! The access token that a request brings, and how.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use super::origin::{self, CookieKind};
use crate::cookies;
use crate::error::Error;

/// A token, not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials<'h> {
    /// In the `Authorization` header, which no other site can make a browser send.
    Bearer(&'h str),
    /// In a cookie.
    Cookie(&'h str, CookieKind),
}

impl<'h> Credentials<'h> {
    /// The header's token, else the cookie's. The plain cookie counts only when no browser sent it: a browser
    /// may have been given it by any neighbouring site.
    pub(crate) fn of(headers: &'h HeaderMap) -> Result<Option<Self>, Error> {
        if headers.contains_key(AUTHORIZATION) {
            return bearer(headers).ok_or(Error::Unauthenticated).map(|token| Some(Self::Bearer(token)));
        }
        if let Some(token) = cookies::one(headers, cookies::ACCESS)? {
            return Ok(Some(Self::Cookie(token, CookieKind::Browser)));
        }
        let plain = cookies::one(headers, cookies::ACCESS_PLAIN)?;
        let plain = plain.filter(|_| !origin::is_browser(headers));
        Ok(plain.map(|token| Self::Cookie(token, CookieKind::Plain)))
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

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_header_wins_and_the_plain_cookie_is_for_scripts() {
        use Credentials::{Bearer, Cookie};
        #[track_caller]
        fn check(pairs: &[(&str, &str)], expected: Result<Option<Credentials<'_>>, u16>) {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            let found = Credentials::of(&headers).map_err(|error| error.status().as_u16());
            assert_eq!(found, expected, "{pairs:?}");
        }
        let both = "__Host-auth-token=h; auth-token=p";
        check(&[], Ok(None));
        check(&[("authorization", "bearer t"), ("cookie", both)], Ok(Some(Bearer("t"))));
        check(&[("authorization", "Basic t"), ("cookie", both)], Err(401));
        check(&[("authorization", "Bearer"), ("cookie", both)], Err(401));
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer a")], Err(401));
        check(&[("cookie", both)], Ok(Some(Cookie("h", CookieKind::Browser))));
        check(&[("cookie", "auth-token=p")], Ok(Some(Cookie("p", CookieKind::Plain))));
        for (name, value) in [
            ("origin", "https://shop.example"),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
            ("sec-fetch-user", "?1"),
        ] {
            check(&[("cookie", "auth-token=p"), (name, value)], Ok(None));
        }
        check(&[("cookie", "auth-token=p; auth-token=q")], Err(400));
    }
}
