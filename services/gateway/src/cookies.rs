//! Cookies: those we set, and how those we get are read.
//!
//! The names carry the prefixes that browsers enforce (RFC 6265bis, 4.1.3): `__Host-` cookies come from this very
//! host over TLS, so a neighbouring site cannot plant one. Whoever sends one of our names twice, or bytes that none
//! of our values has, is refused rather than interpreted.

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::error::Error;
use crate::gate::Hsts;

/// The access token.
pub(crate) const ACCESS: &str = "__Host-auth-token";
/// The access token as the requirement documents' curl sends it (S52); never set by us, never taken from a browser.
pub(crate) const ACCESS_PLAIN: &str = "auth-token";
/// The refresh token; sent to `/api/v1/auth` only.
pub(crate) const REFRESH: &str = "__Secure-refresh";
/// What a known device is recognised by.
pub(crate) const DEVICE: &str = "__Host-device";

/// A visitor's cart, where answers go by TLS only.
const CART: &str = "__Host-cart-token";
/// The same where they do not: the prefix would keep browsers from it.
const CART_PLAIN: &str = "cart-token";

/// Name and value of one cookie: what browsers keep, and more than any of ours.
const PAIR_BYTES_MAX: usize = 4096;
/// A refresh token dies after thirty days, used or not.
const REFRESH_MAX_AGE_S: u32 = 30 * 24 * 3600;
const DEVICE_MAX_AGE_S: u32 = 365 * 24 * 3600;

/// For how long a visitor's cart is kept.
const CART_MAX_AGE_S: u32 = 7 * 24 * 3600;

/// The value of one of our cookies.
///
/// # Errors
/// When any cookie is longer than browsers keep, or this one is there twice or has bytes that we never wrote.
pub(crate) fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Error> {
    let mut found = None;
    for pair in headers.get_all(COOKIE).flat_map(|header| header.as_bytes().split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        if pair.len() > PAIR_BYTES_MAX {
            return Err(Error::HeadersTooLarge);
        }
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        if pair[..equals].trim_ascii_end() != name.as_bytes() {
            continue;
        }
        let value = std::str::from_utf8(&pair[equals + 1..]).ok().filter(|value| is_ours(value));
        let value = value.ok_or(Error::BadRequest("a cookie has bytes that it cannot have"))?;
        if found.replace(value).is_some() {
            return Err(Error::BadRequest("a cookie is there twice"));
        }
    }
    Ok(found)
}

/// The value of a cookie that proves nothing, the first of its name.
pub(crate) fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Base64 in both alphabets, and the dots between.
fn is_ours(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+/=~".contains(&byte))
}

/// Sets the access token for as long as it is good.
pub(crate) fn access(token: &str, expires_in_s: u32) -> Result<HeaderValue, Error> {
    set(&format!("{ACCESS}={token}; Path=/; Max-Age={expires_in_s}; Secure; HttpOnly; SameSite=Lax"))
}

/// Sets the refresh token.
pub(crate) fn refresh(token: &str) -> Result<HeaderValue, Error> {
    set(&format!(
        "{REFRESH}={token}; Path=/api/v1/auth; Max-Age={REFRESH_MAX_AGE_S}; Secure; HttpOnly; SameSite=Strict"
    ))
}

/// Sets what the device is recognised by.
pub(crate) fn device(value: &str) -> Result<HeaderValue, Error> {
    set(&format!("{DEVICE}={value}; Path=/; Max-Age={DEVICE_MAX_AGE_S}; Secure; HttpOnly; SameSite=Strict"))
}

/// The name of the cookie of a visitor's cart.
pub(crate) const fn cart_name(hsts: Hsts) -> &'static str {
    match hsts {
        Hsts::Send => CART,
        Hsts::Omit => CART_PLAIN,
    }
}

/// Sets the token of a visitor's cart.
pub(crate) fn cart(token: &str, hsts: Hsts) -> Result<HeaderValue, Error> {
    let (name, secure) = (cart_name(hsts), secure(hsts));
    set(&format!("{name}={token}; Path=/; Max-Age={CART_MAX_AGE_S}{secure}; HttpOnly; SameSite=Lax"))
}

/// Removes it.
pub(crate) fn cart_cleared(hsts: Hsts) -> Result<HeaderValue, Error> {
    let (name, secure) = (cart_name(hsts), secure(hsts));
    set(&format!("{name}=; Path=/; Max-Age=0{secure}; HttpOnly; SameSite=Lax"))
}

const fn secure(hsts: Hsts) -> &'static str {
    match hsts {
        Hsts::Send => "; Secure",
        Hsts::Omit => "",
    }
}

/// Removes access and refresh token. The device stays known.
pub(crate) fn cleared() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static("__Host-auth-token=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"),
        HeaderValue::from_static(
            "__Secure-refresh=; Path=/api/v1/auth; Max-Age=0; Secure; HttpOnly; SameSite=Strict",
        ),
    ]
}

fn set(cookie: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(cookie).ok().ok_or_else(|| {
        tracing::error!("a service made a token that no cookie can hold");
        Error::Internal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        headers
    }

    #[test]
    fn one_cookie_of_a_name() {
        #[track_caller]
        fn check(cookies: &[&[u8]], expected: Result<Option<&str>, u16>) {
            let headers = headers(cookies);
            let found = one(&headers, ACCESS).map_err(|error| error.status().as_u16());
            assert_eq!(found, expected, "{cookies:?}");
        }
        check(&[], Ok(None));
        check(&[b"a=b; __Host-auth-token=x.y-z_1; c"], Ok(Some("x.y-z_1")));
        check(&[b"__host-auth-token=x; auth-token=y; x__Host-auth-token=z"], Ok(None));
        check(&[b"__Host-auth-token=x; __Host-auth-token=x"], Err(400));
        check(&[b"__Host-auth-token=x", b"a=b;__Host-auth-token =y"], Err(400));
        for value in ["%0d%0aSet-Cookie:a", "a b", "\"x\"", "a,b", "a\tb", "caf\u{e9}"] {
            check(&[format!("__Host-auth-token={value}").as_bytes()], Err(400));
        }
        check(&[format!("a={}", "x".repeat(4094)).as_bytes()], Ok(None));
        check(&[format!("a={}", "x".repeat(4095)).as_bytes()], Err(431));
    }

    #[test]
    fn what_is_set_names_its_protection() {
        for (cookie, prefix, path) in [
            (access("t", 300).unwrap(), "__Host-auth-token=t", "; Path=/;"),
            (refresh("t").unwrap(), "__Secure-refresh=t", "; Path=/api/v1/auth;"),
            (device("t").unwrap(), "__Host-device=t", "; Path=/;"),
            (cleared()[0].clone(), "__Host-auth-token=", "; Path=/;"),
            (cart("t", Hsts::Send).unwrap(), "__Host-cart-token=t", "; Path=/;"),
            (cart_cleared(Hsts::Send).unwrap(), "__Host-cart-token=;", "; Path=/;"),
            (cleared()[1].clone(), "__Secure-refresh=", "; Path=/api/v1/auth;"),
        ] {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with(prefix), "{cookie}");
            for part in [path, "; Secure; HttpOnly; SameSite=", "; Max-Age="] {
                assert!(cookie.contains(part), "{cookie}: {part}");
            }
            assert!(!cookie.contains("Domain"), "{cookie}");
        }
        assert!(access("a\r\nb", 300).is_err());
    }
}
