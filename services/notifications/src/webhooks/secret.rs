//! The key that an endpoint's messages are signed with, and how it is kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce};

/// The specification asks for 24 to 64 bytes.
const SECRET_BYTES: usize = 24;
const NONCE_BYTES: usize = 12;
const PREFIX: &str = "whsec_";
/// What the sealing key is for: no other use of the service's key gives the same one.
const CONTEXT: &str = "mestres notifications 2026 webhook secrets";

/// A signing key. Shown once, as `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// A new one from the system's randomness.
    ///
    /// # Errors
    /// When the system has none.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// As receivers' libraries take it.
    pub(crate) fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(self.0))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A secret stays one.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Seals secrets for the database and opens them again. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vault(Arc<ChaCha20Poly1305>);

/// A sealed secret that this key, or this endpoint, did not seal.
#[derive(Debug, thiserror::Error)]
#[error("the sealed secret of a webhook endpoint cannot be opened")]
pub(crate) struct Unopened;

impl Vault {
    /// The vault of the service's key.
    pub(crate) fn new(service_key: &[u8; 32]) -> Self {
        let key = blake3::derive_key(CONTEXT, service_key);
        Self(Arc::new(ChaCha20Poly1305::new(&Key::from(key))))
    }

    /// Nonce and ciphertext. Bound to the endpoint: one row's secret is of no use in another.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn seal(&self, endpoint_id: i64, secret: &Secret) -> Result<Vec<u8>, getrandom::Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let associated = endpoint_id.to_be_bytes();
        let payload = Payload { msg: &secret.0, aad: &associated };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).expect("24 bytes are not too many");
        Ok([&nonce[..], &sealed].concat())
    }

    /// The secret of an endpoint.
    ///
    /// # Errors
    /// When it was sealed with another key, for another endpoint, or changed since.
    pub(crate) fn open(&self, endpoint_id: i64, sealed: &[u8]) -> Result<Secret, Unopened> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Unopened)?;
        let associated = endpoint_id.to_be_bytes();
        let payload = Payload { msg: sealed, aad: &associated };
        let opened = self.0.decrypt(&Nonce::from(*nonce), payload).map_err(|_forged| Unopened)?;
        opened.try_into().map(Secret).map_err(|_length| Unopened)
    }
}

/// The key is inside.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_as_the_specification_says() {
        let shown = Secret([7; SECRET_BYTES]).reveal();
        assert_eq!(shown, "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH");
        assert_ne!(Secret::random().expect("random"), Secret::random().expect("random"));
    }

    #[test]
    fn a_sealed_secret_opens_with_its_key_for_its_endpoint_only() {
        let vault = Vault::new(&[1; 32]);
        let secret = Secret::random().expect("random");
        let sealed = vault.seal(5, &secret).expect("random");
        assert_eq!(vault.open(5, &sealed).expect("just sealed"), secret);
        assert_ne!(vault.seal(5, &secret).expect("random"), sealed, "a nonce is used once");

        assert!(vault.open(6, &sealed).is_err(), "another endpoint");
        assert!(Vault::new(&[2; 32]).open(5, &sealed).is_err(), "another key");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(vault.open(5, &changed).is_err(), "byte {index}");
        }
        for short in 0..sealed.len() {
            assert!(vault.open(5, &sealed[..short]).is_err(), "{short} bytes");
        }
    }

    #[test]
    fn nothing_shows_a_secret_by_accident() {
        assert_eq!(format!("{:?}{:?}", Secret([7; 24]), Vault::new(&[7; 32])), "SecretVault");
    }
}
