//! The key that only processes of this service hold: what they hand out, they know again.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// 32 bytes, the same in all processes of the service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Reads 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 64 {
            return None;
        }
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }

    /// HMAC-SHA256 over `text`, which begins with what it is for, such as `order-token:17`: no code made for one
    /// purpose is good for another.
    pub(crate) fn mac(&self, text: &str) -> [u8; 32] {
        self.keyed(text).finalize().into_bytes().into()
    }

    /// Whether `mac` is this key's over `text`, in a time that does not tell how much of it is right.
    pub(crate) fn verify(&self, text: &str, mac: &[u8]) -> bool {
        self.keyed(text).verify_slice(mac).is_ok()
    }

    fn keyed(&self, text: &str) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        hmac.update(text.as_bytes());
        hmac
    }
}

/// Without the key.
impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_hexadecimal_digits() {
        assert_eq!(SecretKey::parse(&"0a".repeat(32)), Some(SecretKey([10; 32])));
        for wrong in ["", "0a", &"0a".repeat(33), &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(SecretKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_code_is_good_for_its_text_and_key_only() {
        let (key, other) = (SecretKey([1; 32]), SecretKey([2; 32]));
        let mac = key.mac("order-token:17");
        assert!(key.verify("order-token:17", &mac));
        assert!(!key.verify("order-token:18", &mac));
        assert!(!other.verify("order-token:17", &mac));
        assert!(!key.verify("order-token:17", &mac[..31]));
    }
}
