//! Shipping quotes that a buyer carries to the checkout: signed, so that nobody makes their own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::{Duration, OffsetDateTime};

use super::cep::Cep;
use super::{Invalid, words};
use crate::error::{Conflict, Error};
use crate::secret_key::SecretKey;

/// How long a quote is good.
pub(crate) const LIFETIME: Duration = Duration::minutes(30);
/// What the signature is for; version 1 of the text.
const PURPOSE: &str = "shipping-quote:1:";
const TEXT_BYTES_MAX: usize = 200;

words! {
    /// How goods get to the buyer.
    Service {
        Pac = "PAC",
        Sedex = "SEDEX",
        /// Fetched at the shop.
        Pickup = "PICKUP",
    } else "must be PAC, SEDEX or PICKUP"
}

/// What shipping some weight to some place costs, until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) service: Service,
    pub(crate) cep: Cep,
    /// Of all goods together.
    pub(crate) weight_g: i64,
    /// Minor units.
    pub(crate) amount: i64,
    /// Of the tables that it came from.
    pub(crate) table_version: i64,
    /// To the second.
    pub(crate) expires_at: OffsetDateTime,
}

impl Quote {
    /// The quote as text that only holders of `key` can make: `base64url(text)` `.` `base64url(code)`.
    pub(crate) fn sign(&self, key: &SecretKey) -> String {
        let text = format!(
            "{}:{}:{}:{}:{}:{}",
            self.service.as_str(),
            self.cep.digits(),
            self.weight_g,
            self.amount,
            self.table_version,
            self.expires_at.unix_timestamp(),
        );
        let mac = key.mac(&format!("{PURPOSE}{text}"));
        format!("{}.{}", URL_SAFE_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether the quote is for goods of this weight that go to this place.
    pub(crate) fn is_for(&self, cep: &Cep, weight_g: i64) -> bool {
        self.cep == *cep && self.weight_g == weight_g
    }
}

/// The quote that `id` holds, when this shop signed it and it is still good.
///
/// # Errors
/// `INVALID_ARGUMENT` for what was not signed here, `checkout_expired` for what is over.
pub(crate) fn verify(key: &SecretKey, id: &str, now: OffsetDateTime) -> Result<Quote, Error> {
    let forged = || Invalid::value("shipping_quote_id", "is no quote of this shop");
    let quote = read(key, id).ok_or_else(forged)?;
    if quote.expires_at <= now { Err(Error::Conflict(Conflict::CheckoutExpired)) } else { Ok(quote) }
}

fn read(key: &SecretKey, id: &str) -> Option<Quote> {
    if id.len() > 2 * TEXT_BYTES_MAX {
        return None;
    }
    let (text, mac) = id.split_once('.')?;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
    if !key.verify(&format!("{PURPOSE}{text}"), &mac) {
        return None;
    }
    let mut parts = text.split(':');
    let quote = Quote {
        service: Service::parse("service", parts.next()?).ok()?,
        cep: Cep::parse("cep", parts.next()?).ok()?,
        weight_g: parts.next()?.parse().ok()?,
        amount: parts.next()?.parse().ok()?,
        table_version: parts.next()?.parse().ok()?,
        expires_at: OffsetDateTime::from_unix_timestamp(parts.next()?.parse().ok()?).ok()?,
    };
    parts.next().is_none().then_some(quote)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-05-02 12:00 UTC);

    fn key(digit: &str) -> SecretKey {
        SecretKey::parse(&digit.repeat(64)).unwrap()
    }

    fn quote() -> Quote {
        Quote {
            service: Service::Sedex,
            cep: Cep::parse("cep", "01310100").unwrap(),
            weight_g: 1_500,
            amount: 2_290,
            table_version: 1,
            expires_at: NOW + LIFETIME,
        }
    }

    #[test]
    fn a_signed_quote_reads_back_until_it_is_over() {
        let id = quote().sign(&key("a"));
        let read = |now| verify(&key("a"), &id, now);
        assert_eq!(read(NOW).unwrap(), quote());
        assert_eq!(read(NOW + LIFETIME - Duration::SECOND).unwrap(), quote());
        assert!(matches!(read(NOW + LIFETIME), Err(Error::Conflict(Conflict::CheckoutExpired))));
    }

    #[test]
    fn nobody_else_can_make_one() {
        let id = quote().sign(&key("a"));
        let cheaper = Quote { amount: 0, ..quote() }.sign(&key("b"));
        let (_, mac) = id.split_once('.').unwrap();
        let (text, _) = cheaper.split_once('.').unwrap();
        for forged in
            ["", ".", "x", &cheaper, &format!("{text}.{mac}"), &id.replace('.', ""), &"A".repeat(500)]
        {
            assert!(matches!(verify(&key("a"), forged, NOW), Err(Error::Invalid(_))), "{forged}");
        }
    }

    #[test]
    fn a_quote_is_for_its_place_and_weight() {
        let quote = quote();
        let other = Cep::parse("cep", "01310101").unwrap();
        assert!(quote.is_for(&Cep::parse("cep", "01310-100").unwrap(), 1_500));
        assert!(!quote.is_for(&other, 1_500));
        assert!(!quote.is_for(&quote.cep, 1_501));
    }
}
