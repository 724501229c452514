//! What the client accepts: content encodings and entity tags (RFC 9110, 12.5.3 and 13.1).

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
}

impl Encoding {
    /// Its name in `Content-Encoding`; identity has none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// The encodings for one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// For bodies worth compressing.
    pub large: Encoding,
    /// For the others.
    pub small: Encoding,
}

impl Accepted {
    pub(crate) const PLAIN: Self = Self { large: Encoding::Identity, small: Encoding::Identity };
}

/// What an `Accept-Encoding` header leaves; `None` when it refuses everything we have.
pub fn encodings(header: Option<&str>) -> Option<Accepted> {
    let Some(header) = header else { return Some(Accepted::PLAIN) };
    let (mut gzip, mut brotli, mut identity, mut any) = (None, None, None, None);
    for item in header.split(',').take(32) {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let (coding, parameters) = (coding.trim(), parameters.trim());
        let weight = if parameters.is_empty() {
            1000
        } else {
            // A weight that is no weight wishes for nothing.
            let value = parameters.strip_prefix("q=").or_else(|| parameters.strip_prefix("Q="));
            value.and_then(thousandths).unwrap_or(0)
        };
        let place = match coding {
            _ if coding.eq_ignore_ascii_case("br") => &mut brotli,
            _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            _ if coding.eq_ignore_ascii_case("identity") => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *place = Some(weight);
    }
    let brotli = brotli.or(any).unwrap_or(0);
    let gzip = gzip.or(any).unwrap_or(0);
    // Identity is acceptable unless refused, and the last choice unless asked for.
    let identity_refused = identity.or(any) == Some(0);
    let asked = identity.unwrap_or(0);
    let compressed = if brotli == 0 && gzip == 0 {
        None
    } else if brotli >= gzip {
        Some((Encoding::Brotli, brotli))
    } else {
        Some((Encoding::Gzip, gzip))
    };
    match compressed {
        None if identity_refused => None,
        None => Some(Accepted::PLAIN),
        Some((_, weight)) if !identity_refused && asked > weight => Some(Accepted::PLAIN),
        Some((encoding, _)) => {
            let small = if identity_refused { encoding } else { Encoding::Identity };
            Some(Accepted { large: encoding, small })
        }
    }
}

/// A weight from `0` to `1` with up to three decimals, in thousandths.
pub(crate) fn thousandths(q: &str) -> Option<u16> {
    let q = q.trim();
    let (whole, decimals) = q.split_once('.').unwrap_or((q, ""));
    let whole: u16 = match whole {
        "0" => 0,
        "1" => 1000,
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut fraction = 0;
    for digit in decimals.bytes().map(|byte| u16::from(byte - b'0')).chain(std::iter::repeat(0)).take(3) {
        fraction = fraction * 10 + digit;
    }
    let weight = whole + fraction;
    (weight <= 1000).then_some(weight)
}

/// Whether an `If-None-Match` header names `etag` (quotes included), by weak comparison.
pub fn none_match_names(header: &str, etag: &str) -> bool {
    tags(header).any(|tag| match tag {
        EntityTag::Any => true,
        EntityTag::Strong(tag) | EntityTag::Weak(tag) => tag == etag,
    })
}

/// One member of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityTag<'a> {
    /// `*`
    Any,
    /// With its quotes.
    Strong(&'a str),
    /// With its quotes, without `W/`.
    Weak(&'a str),
}

/// The members of a list of entity tags; what is not one is skipped.
pub fn tags(header: &str) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = header.trim();
    let any = rest == "*";
    if any {
        rest = "";
    }
    let listed = std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return None;
            }
            let (weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let end = quoted.strip_prefix('"').and_then(|inner| inner.find('"'));
            let Some(end) = end else {
                // Not an entity tag: on to the next comma.
                rest = rest.split_once(',').map_or("", |(_, after)| after);
                continue;
            };
            let (tag, after) = quoted.split_at(end + 2);
            rest = after;
            return Some(if weak { EntityTag::Weak(tag) } else { EntityTag::Strong(tag) });
        }
    });
    any.then_some(EntityTag::Any).into_iter().chain(listed)
}
