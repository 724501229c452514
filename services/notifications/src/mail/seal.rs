//! Sealing what a queued mail holds: whoever reads the table learns no address and no link.

use chacha20poly1305::aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use uuid::Uuid;

const NONCE_BYTES: usize = 24;

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
}

/// The key stays out of logs.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// A key of its own is made of the service's secret.
    pub(super) fn new(secret_key: &[u8; 32]) -> Self {
        let key = blake3::derive_key("mestrescafe notifications 2026 mail content", secret_key);
        Self { cipher: XChaCha20Poly1305::new(&key.into()) }
    }

    /// Seals `content` for the mail `id`: in another row it does not open.
    pub(super) fn seal(&self, id: Uuid, content: &[u8]) -> Vec<u8> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: content, aad: id.as_bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).expect("a mail is shorter than 256 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// What was sealed for the mail `id`; none when it was not, or with another key.
    pub(super) fn open(&self, id: Uuid, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: id.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_row_and_key_open_what_was_sealed() {
        let (sealer, id) = (Sealer::new(&[1; 32]), Uuid::now_v7());
        let sealed = sealer.seal(id, b"ana@example.com");
        assert!(!sealed.windows(3).any(|part| part == b"ana"));
        assert_eq!(sealer.open(id, &sealed).as_deref(), Some(&b"ana@example.com"[..]));
        assert_ne!(sealed, sealer.seal(id, b"ana@example.com"));
        assert_eq!(sealer.open(Uuid::now_v7(), &sealed), None);
        assert_eq!(Sealer::new(&[2; 32]).open(id, &sealed), None);
        assert_eq!(sealer.open(id, &sealed[..20]), None);
        let mut spoiled = sealed;
        *spoiled.last_mut().expect("not empty") ^= 1;
        assert_eq!(sealer.open(id, &spoiled), None);
    }
}
