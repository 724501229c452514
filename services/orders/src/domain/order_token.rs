//! The token that opens a guest's order: made from its id, so that a mail and a repeat can tell it again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::OrderId;
use crate::secret_key::SecretKey;

/// The token of an order, 43 characters.
pub(crate) fn of(key: &SecretKey, id: OrderId) -> String {
    URL_SAFE_NO_PAD.encode(key.mac(&format!("order-token:{id}")))
}

/// What is kept of it.
pub(crate) fn sha256(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_has_its_token() {
        let key = SecretKey::parse(&"7".repeat(64)).unwrap();
        let token = of(&key, OrderId::known(17));
        assert_eq!(token.len(), 43);
        assert_eq!(token, of(&key, OrderId::known(17)));
        assert_ne!(token, of(&key, OrderId::known(18)));
        assert_ne!(sha256(&token), sha256(&of(&key, OrderId::known(18))));
    }
}
