//! Everything that is derived from the service's secret key, each from a key of its own.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Names a secret key in what was made with it.
pub(crate) const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// The service's secrets: what is made is made with the current key, what was made with the previous one is
/// still understood.
pub(crate) struct Secrets {
    current: Keys,
    previous: Option<Keys>,
}

/// Keys never show.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// What passwords are hashed with besides themselves.
#[derive(Clone, Copy)]
pub(crate) struct Pepper {
    pub(crate) key_id: [u8; KEY_ID_BYTES],
    pub(crate) secret: [u8; 32],
}

/// Why something sealed cannot be opened: it was sealed with a lost key, for somebody else, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret cannot be opened")]
pub(crate) struct Unopened;

/// What the opaque token of a client is stored as.
pub(crate) type Sha256Hash = [u8; 32];

struct Keys {
    id: [u8; KEY_ID_BYTES],
    pepper: [u8; 32],
    refresh: [u8; 32],
    mail: [u8; 32],
    throttle: [u8; 32],
    seal: [u8; 32],
}

impl Keys {
    fn derive(key: &[u8; 32]) -> Self {
        // The contexts are part of the stored data's format and never change.
        let of = |context| blake3::derive_key(context, key);
        let id = of("mestrescafe accounts 2026-11 key id");
        Self {
            id: [id[0], id[1], id[2], id[3]],
            pepper: of("mestrescafe accounts 2026-11 password pepper"),
            refresh: of("mestrescafe accounts 2026-11 refresh token successor"),
            mail: of("mestrescafe accounts 2026-11 mail token"),
            throttle: of("mestrescafe accounts 2026-11 throttle key"),
            seal: of("mestrescafe accounts 2026-11 sealed secret"),
        }
    }
}

impl Secrets {
    pub(crate) fn new(current: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        Self { current: Keys::derive(current), previous: previous.map(Keys::derive) }
    }

    /// The pepper of new hashes, and that of old ones.
    pub(crate) fn peppers(&self) -> (Pepper, Option<Pepper>) {
        let pepper = |keys: &Keys| Pepper { key_id: keys.id, secret: keys.pepper };
        (pepper(&self.current), self.previous.as_ref().map(pepper))
    }

    /// The one refresh token that follows `token`: whoever asks again gets the same, and it is stored nowhere.
    pub(crate) fn successor(&self, token: &OpaqueToken) -> OpaqueToken {
        OpaqueToken(*blake3::keyed_hash(&self.current.refresh, &token.0).as_bytes())
    }

    /// The token in the mail of job `mail_job`; the job's row alone does not tell it.
    pub(crate) fn mail_token(&self, mail_job: Uuid) -> OpaqueToken {
        OpaqueToken(*blake3::keyed_hash(&self.current.mail, mail_job.as_bytes()).as_bytes())
    }

    /// The key under which attempts at `subject` are counted: unlinkable to it without the secret.
    pub(crate) fn throttle_key(&self, kind: &str, subject: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.current.throttle);
        hasher.update(kind.as_bytes());
        hasher.update(&[0]);
        hasher.update(subject.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Seals `secret` so that it opens only here and only as `owner`'s.
    pub(crate) fn seal(&self, owner: i64, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random();
        let sealed = XChaCha20Poly1305::new(&self.current.seal.into())
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &owner.to_be_bytes() })
            .expect("only texts of many gigabytes cannot be encrypted");
        [&self.current.id[..], &nonce, &sealed].concat()
    }

    /// Opens what [`seal`](Self::seal) made for the same owner.
    pub(crate) fn open(&self, owner: i64, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or(Unopened)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Unopened)?;
        let keys = [Some(&self.current), self.previous.as_ref()];
        let keys = keys.into_iter().flatten().find(|keys| keys.id == id).ok_or(Unopened)?;
        XChaCha20Poly1305::new(&keys.seal.into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: text, aad: &owner.to_be_bytes() })
            .map_err(|_forged| Unopened)
    }
}

/// 256 bits that are good for whoever holds them. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OpaqueToken([u8; 32]);

/// A token never shows.
impl std::fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpaqueToken(..)")
    }
}

impl OpaqueToken {
    /// A new one, by the system's randomness.
    pub(crate) fn random() -> Self {
        Self(random())
    }

    /// Reads base64url without padding; anything else is no token.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // 32 bytes are 43 characters; the length is checked first so that nothing long is decoded.
        if text.len() != 43 {
            return None;
        }
        BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// As clients hold it.
    pub(crate) fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// As it is stored.
    pub(crate) fn sha256(&self) -> Sha256Hash {
        Sha256::digest(self.0).into()
    }
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("a system without randomness can keep no secrets");
    bytes
}

/// The key as `keyid` of a PHC string shows it.
impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.key_id.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        f.debug_struct("Pepper").field("key_id", &id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_successor_and_its_hash_is_that_of_its_bytes() {
        let secrets = Secrets::new(&[1; 32], None);
        let token = OpaqueToken::random();
        assert_eq!(secrets.successor(&token), secrets.successor(&token));
        assert_ne!(secrets.successor(&token), token);
        assert_ne!(secrets.successor(&token), Secrets::new(&[2; 32], None).successor(&token));
        assert_eq!(OpaqueToken::parse(&token.encode()), Some(token.clone()));
        assert_eq!(token.sha256(), <[u8; 32]>::from(Sha256::digest(token.0)));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = OpaqueToken([0xff; 32]).encode();
        for wrong in ["", "a", &good[1..], &format!("{good}="), &good.replace('_', "/"), &"é".repeat(21)] {
            assert_eq!(OpaqueToken::parse(wrong), None, "{wrong}");
        }
        // The last character holds two bits that belong to no byte.
        assert_eq!(OpaqueToken::parse(&format!("{}9", &good[..42])), None);
    }

    #[test]
    fn sealed_secrets_open_for_their_owner_only() {
        let secrets = Secrets::new(&[1; 32], None);
        let sealed = secrets.seal(7, b"secret");
        assert_eq!(secrets.open(7, &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(secrets.open(8, &sealed), Err(Unopened));
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert_eq!(secrets.open(7, &damaged), Err(Unopened), "{index}");
            assert_eq!(secrets.open(7, &sealed[..index]), Err(Unopened), "{index}");
        }
    }

    #[test]
    fn the_previous_key_still_opens() {
        let sealed = Secrets::new(&[1; 32], None).seal(7, b"secret");
        let rotated = Secrets::new(&[2; 32], Some(&[1; 32]));
        assert_eq!(rotated.open(7, &sealed).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(Secrets::new(&[2; 32], None).open(7, &sealed), Err(Unopened));
    }

    #[test]
    fn throttle_keys_do_not_run_into_each_other() {
        let secrets = Secrets::new(&[1; 32], None);
        assert_ne!(secrets.throttle_key("a", "bc"), secrets.throttle_key("ab", "c"));
    }
}
