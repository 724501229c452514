//! Where a request was made, as far as browsers say it: the defence against forged requests (X31, X34).
//!
//! A browser adds a user's cookies to whatever any page asks of us, and says honestly which page asked:
//! `Sec-Fetch-Site` (the Fetch Metadata draft), or at least `Origin` (RFC 6454).

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};

use crate::cors::Origins;
use crate::error::Error;
use crate::gate::Hsts;

/// Headers that only browsers send, and that no page can suppress or set.
const SEC_FETCH: [&str; 4] = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"];

/// What a form can send without asking first; none of it is JSON.
const FORM_TYPES: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];

/// Which origins are ours and which may act as if they were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home<'g> {
    pub(crate) origins: &'g Origins,
    /// Where answers go by TLS only, an origin without it is somebody else on the network.
    pub(crate) hsts: Hsts,
}

/// Which cookie a request is authenticated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieKind {
    /// One that only a browser would hold.
    Browser,
    /// The one for scripts, which is not read when a browser sends it.
    Plain,
}

/// Whether a browser sent this.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || SEC_FETCH.iter().any(|name| headers.contains_key(*name))
}

impl Home<'_> {
    /// Refuses what another site made a browser send along with our cookie.
    pub(crate) fn check_forgery(
        self,
        headers: &HeaderMap,
        method: &Method,
        cookie: CookieKind,
    ) -> Result<(), Error> {
        if method.is_safe() {
            return Ok(());
        }
        let from_form = headers.get_all(CONTENT_TYPE).any(is_form);
        let mut sites = headers.get_all("sec-fetch-site");
        let ours = match (sites.next(), sites.next()) {
            (Some(site), None) => site.as_bytes() == b"same-origin",
            (Some(_), Some(_)) => false,
            (None, _) if headers.contains_key(ORIGIN) => self.is_welcome(headers),
            (None, _) => cookie == CookieKind::Plain,
        };
        if ours && !from_form { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Refuses what another site made a browser send without a cookie of ours: signing a user in with somebody
    /// else's account is an attack too.
    pub(crate) fn check_stranger(self, headers: &HeaderMap) -> Result<(), Error> {
        let same_origin = || {
            let mut sites = headers.get_all("sec-fetch-site");
            matches!((sites.next(), sites.next()), (Some(site), None) if site.as_bytes() == b"same-origin")
        };
        if !is_browser(headers) || same_origin() || self.is_welcome(headers) {
            return Ok(());
        }
        Err(Error::Forbidden)
    }

    /// Whether the one `Origin` is listed or our own.
    fn is_welcome(self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN);
        let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
        self.origins.list(origin) || self.is_own(origin, headers.get(HOST))
    }

    /// Whether pages of this origin are ours, or may act for us.
    pub(crate) fn welcomes(self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        self.origins.list(origin) || self.is_own(origin, headers.get(HOST))
    }

    fn is_own(self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let (Ok(origin), Some(host)) = (origin.to_str(), host.and_then(|host| host.to_str().ok())) else {
            return false;
        };
        let own = match self.hsts {
            Hsts::Send => origin.strip_prefix("https://"),
            Hsts::Omit => origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")),
        };
        own.is_some_and(|own| !own.is_empty() && own.eq_ignore_ascii_case(host))
    }
}

fn is_form(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    FORM_TYPES.iter().any(|form| essence.eq_ignore_ascii_case(form))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("shop.example"));
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(cookie: CookieKind, pairs: &[(&str, &str)], welcome: bool) {
        let origins = "https://partner.example".parse().unwrap();
        let home = Home { origins: &origins, hsts: Hsts::Send };
        let headers = headers(pairs);
        let refused = |method: &Method| home.check_forgery(&headers, method, cookie).is_err();
        assert!(!refused(&Method::GET), "reading forges nothing: {pairs:?}");
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(!refused(&method), welcome, "{method} {cookie:?} {pairs:?}");
        }
    }

    #[test]
    fn a_cookie_acts_for_our_own_pages_only() {
        use CookieKind::{Browser, Plain};
        for site in ["cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, cross-site"] {
            check(Browser, &[("sec-fetch-site", site)], false);
            check(Browser, &[("sec-fetch-site", site), ("origin", "https://shop.example")], false);
        }
        check(Browser, &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false);
        check(Browser, &[("sec-fetch-site", "same-origin")], true);
        check(Browser, &[("origin", "https://shop.example")], true);
        check(Browser, &[("origin", "https://partner.example")], true);
        for origin in [
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://partner.example.evil",
            "https://evil.example/https://shop.example",
            "http://shop.example",
            "https://shop.example:8443",
            "null",
            "",
            "https://",
            "shop.example",
        ] {
            check(Browser, &[("origin", origin)], false);
        }
        check(Browser, &[("origin", "https://shop.example"), ("origin", "https://evil.example")], false);
        // Old browsers say nothing: then the cookie that only browsers hold does not act.
        check(Browser, &[], false);
        check(Plain, &[], true);
        for form in ["text/plain", "Text/Plain; charset=utf-8", "application/x-www-form-urlencoded"] {
            check(Plain, &[("content-type", form)], false);
            check(Browser, &[("content-type", form), ("sec-fetch-site", "same-origin")], false);
        }
        check(Plain, &[("content-type", "application/json")], true);
    }

    #[test]
    fn strangers_cannot_sign_anybody_in() {
        let origins = "https://partner.example".parse().unwrap();
        let home = Home { origins: &origins, hsts: Hsts::Omit };
        for (pairs, welcome) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://shop.example")], true),
            (&[("origin", "https://partner.example"), ("sec-fetch-site", "cross-site")], true),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-mode", "navigate")], false),
            (&[("origin", "null")], false),
        ] {
            assert_eq!(home.check_stranger(&headers(pairs)).is_ok(), welcome, "{pairs:?}");
        }
    }
}
