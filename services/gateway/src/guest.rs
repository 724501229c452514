//! Visitors without an account. Each is known by a token that they hold: a cart's, or that of one order.
//!
//! A token is 256 random bits in base64url. It ends here: services are told its SHA-256, and nothing else of it is
//! kept, logged or measured. That is also why an order's token may stand in a query: logs and spans show paths only.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::auth::{Authenticated, CookieKind};
use crate::cookies;
use crate::error::Error;
use crate::gate::{Gate, Hsts};
use crate::query::Query;
use crate::routes::Route;

/// A cart's token, from and to whoever is no browser.
const X_CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");
/// The token of one order.
const X_ORDER_TOKEN: HeaderName = HeaderName::from_static("x-order-token");
/// The same in a query, for links in mails.
pub(crate) const ORDER_TOKEN: &str = "order_token";

const BYTES: usize = 32;
/// 32 bytes in base64url without padding.
const CHARS: usize = 43;

/// What a visitor holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GuestToken(String);

impl GuestToken {
    /// A new one, by the system's randomness.
    pub(crate) fn mint() -> Result<Self, Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            tracing::error!(%error, "the system has no randomness");
            Error::Internal
        })?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads one; `None` for what never was one of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = if text.len() == CHARS { BASE64_URL_SAFE_NO_PAD.decode(text).ok() } else { None };
        bytes.filter(|bytes| bytes.len() == BYTES).map(|_| Self(text.to_owned()))
    }

    /// As services know it: the hash of its characters.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Gives it to the visitor: in the header, and in the cookie for browsers.
    pub(crate) fn write(&self, headers: &mut HeaderMap, hsts: Hsts) -> Result<(), Error> {
        headers.append(SET_COOKIE, cookies::cart(&self.0, hsts)?);
        let value = HeaderValue::from_str(&self.0).ok().ok_or(Error::Internal)?;
        headers.insert(X_CART_TOKEN, value);
        Ok(())
    }
}

/// It is as good as the cart.
impl std::fmt::Debug for GuestToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestToken(…)")
    }
}

/// How a token came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// In a header or query, where no other site can make a browser put it.
    Named,
    /// In a cookie, which browsers add by themselves.
    Cookie,
}

/// The token of a visitor's cart, if the request shows one.
pub(crate) fn cart_token(headers: &HeaderMap, hsts: Hsts) -> Result<Option<(GuestToken, Way)>, Error> {
    let malformed = |name: &'static str| {
        Error::parameter(name, "não é um token de carrinho nosso", "is not a cart token of ours")
    };
    if let Some(text) = only(headers, &X_CART_TOKEN).map_err(|Repeated| malformed("X-Cart-Token"))? {
        let token = GuestToken::parse(text).ok_or_else(|| malformed("X-Cart-Token"))?;
        return Ok(Some((token, Way::Named)));
    }
    let name = cookies::cart_name(hsts);
    match cookies::one(headers, name)? {
        // Browsers that were told to forget it may send it empty.
        None | Some("") => Ok(None),
        Some(text) => {
            let token = GuestToken::parse(text).ok_or_else(|| malformed(name))?;
            Ok(Some((token, Way::Cookie)))
        }
    }
}

/// The token of an order, if the request shows one.
fn order_token(headers: &HeaderMap, query: &str) -> Result<Option<GuestToken>, Error> {
    let malformed = |name: &'static str| {
        Error::parameter(name, "não é um token de pedido nosso", "is not an order token of ours")
    };
    if let Some(text) = only(headers, &X_ORDER_TOKEN).map_err(|Repeated| malformed("X-Order-Token"))? {
        return GuestToken::parse(text).map(Some).ok_or_else(|| malformed("X-Order-Token"));
    }
    if !query.contains(ORDER_TOKEN) {
        return Ok(None);
    }
    let Some(text) = Query::parse(query)?.take(ORDER_TOKEN) else { return Ok(None) };
    GuestToken::parse(&text).map(Some).ok_or_else(|| malformed(ORDER_TOKEN))
}

/// A header that is there more than once.
struct Repeated;

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Repeated> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Repeated);
    }
    // What is not text is no token either.
    Ok(Some(value.to_str().unwrap_or_default()))
}

impl Gate {
    /// Whoever shops: the guest of an order's token where the route takes one, else the user, else the guest of a
    /// cart's token. `None` is nobody.
    pub(crate) fn shopper(&self, request: &HttpRequest) -> Result<Option<Authenticated>, Error> {
        let caller = self.authenticate(request)?;
        self.shopper_of(caller, request.path(), request.query_string(), request.method(), request.headers())
    }

    /// The same for a request that no handler sees, whose token proved `caller`.
    pub(crate) fn shopper_of(
        &self,
        caller: Authenticated,
        path: &str,
        query: &str,
        method: &actix_web::http::Method,
        headers: &HeaderMap,
    ) -> Result<Option<Authenticated>, Error> {
        let takes_order_token = Route::find(path).is_some_and(|(route, _)| route.takes_order_token());
        if takes_order_token && let Some(token) = order_token(headers, query)? {
            return Ok(Some(caller.guest(token.sha256())));
        }
        if caller.is_user() {
            return Ok(Some(caller));
        }
        let Some((token, way)) = cart_token(headers, self.shared.hsts)? else { return Ok(None) };
        if way == Way::Cookie {
            self.shared.home().check_forgery(headers, method, CookieKind::Plain)?;
        }
        Ok(Some(caller.guest(token.sha256())))
    }

    /// The same for the beginning of a cart: nobody becomes a guest with a new token.
    pub(crate) fn shopper_or_new(
        &self,
        request: &HttpRequest,
    ) -> Result<(Authenticated, Option<GuestToken>), Error> {
        if let Some(known) = self.shopper(request)? {
            return Ok((known, None));
        }
        // A page of another site must not put something into a cart that the visitor will find.
        self.shared.home().check_stranger(request.headers())?;
        let token = GuestToken::mint()?;
        Ok((self.authenticate(request)?.guest(token.sha256()), Some(token)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::COOKIE;

    use super::*;

    const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_256_bits_and_no_two_are_alike() {
        let (one, other) = (GuestToken::mint().unwrap(), GuestToken::mint().unwrap());
        assert_ne!(one.0, other.0);
        assert_ne!(one.sha256(), other.sha256());
        assert_eq!(GuestToken::parse(&one.0), Some(one.clone()));
        assert!(!format!("{one:?}").contains(&one.0));
        for wrong in
            ["", "a", &TOKEN[1..], &format!("{TOKEN}A"), &TOKEN.replace('A', "+"), &TOKEN.replace('A', "=")]
        {
            assert_eq!(GuestToken::parse(wrong), None, "{wrong}");
        }
        // The last character has bits that no byte holds: a second spelling would be a second guest.
        assert_eq!(GuestToken::parse(&format!("{}B", &TOKEN[1..])), None);
    }

    #[test]
    fn the_header_wins_over_the_cookie_and_production_reads_its_own_only() {
        #[track_caller]
        fn check(hsts: Hsts, pairs: &[(&str, &str)], expected: Result<Option<Way>, u16>) {
            let found = cart_token(&headers(pairs), hsts);
            let found = found.map(|found| found.map(|(_, way)| way));
            assert_eq!(found.map_err(|error| error.status().as_u16()), expected, "{hsts:?} {pairs:?}");
        }
        let (plain, host) = (format!("cart-token={TOKEN}"), format!("__Host-cart-token={TOKEN}"));
        for hsts in [Hsts::Omit, Hsts::Send] {
            check(hsts, &[], Ok(None));
            check(
                hsts,
                &[("x-cart-token", TOKEN), ("cookie", "cart-token=bad; __Host-cart-token=bad")],
                Ok(Some(Way::Named)),
            );
            for wrong in ["", "short", &format!("{TOKEN}A"), "é"] {
                check(hsts, &[("x-cart-token", wrong)], Err(400));
            }
            check(hsts, &[("x-cart-token", TOKEN), ("x-cart-token", TOKEN)], Err(400));
        }
        check(Hsts::Omit, &[("cookie", &plain)], Ok(Some(Way::Cookie)));
        check(Hsts::Send, &[("cookie", &plain)], Ok(None));
        check(Hsts::Send, &[("cookie", &host)], Ok(Some(Way::Cookie)));
        check(Hsts::Omit, &[("cookie", "cart-token=nonsense")], Err(400));
        check(Hsts::Omit, &[("cookie", "cart-token=")], Ok(None));
        check(Hsts::Omit, &[("cookie", &plain), ("cookie", &plain)], Err(400));
        assert!(headers(&[("cookie", &plain)]).contains_key(COOKIE));
    }

    #[test]
    fn an_orders_token_is_in_its_header_or_in_the_query() {
        #[track_caller]
        fn check(pairs: &[(&str, &str)], query: &str, expected: Result<bool, u16>) {
            let found = order_token(&headers(pairs), query).map(|token| token.is_some());
            assert_eq!(found.map_err(|error| error.status().as_u16()), expected, "{pairs:?} {query}");
        }
        check(&[], "", Ok(false));
        check(&[], "include=history", Ok(false));
        check(&[], &format!("order_token={TOKEN}&include=history"), Ok(true));
        check(&[("x-order-token", TOKEN)], "order_token=bad", Ok(true));
        check(&[], "order_token=bad", Err(400));
        check(&[], "order_token=", Err(400));
        check(&[("x-order-token", "bad")], "", Err(400));
    }
}
