//! The signature of a webhook, as the provider makes it.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The value of `Stripe-Signature`: `t=<seconds>,v1=<hex>` over `<seconds>.<body>`.
pub(crate) fn header(secret: &str, seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '1492774577.{"a":1}' | openssl dgst -sha256 -hmac whsec_test`.
    #[test]
    fn it_is_what_openssl_computes() {
        let expected = "t=1492774577,v1=2a55874e33dedb30da6fac02873208f53a243141599a71c0d52a1d5b89656823";
        assert_eq!(header("whsec_test", 1_492_774_577, br#"{"a":1}"#), expected);
    }
}
