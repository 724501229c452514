//! The signature of a message, as the Standard Webhooks specification has it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::secret::Secret;

/// The value of `webhook-signature`: one `v1,<base64>` per secret, separated by spaces.
///
/// Signed is `<id>.<timestamp>.<body>`, so that neither a body nor a time can be moved to another message.
pub(crate) fn signature<'s>(
    secrets: impl IntoIterator<Item = &'s Secret>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let each = secrets.into_iter().map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    });
    each.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the reference libraries of the specification test themselves with.
    #[test]
    fn it_is_the_signature_of_the_reference_libraries() {
        let bytes = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let secret = Secret::from_bytes(bytes.try_into().expect("24 bytes"));
        let (id, timestamp, body) =
            ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature([&secret], id, timestamp, body), one);
        assert_eq!(signature([&secret, &secret], id, timestamp, body), format!("{one} {one}"));
    }
}
