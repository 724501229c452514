//! Signs what a service states to others about who is calling.

use std::fmt::Write as _;
use std::path::Path;

use crate::assertion::{ASSERTION_TYPE, AssertedRole, AssertedUser, AssertionClaims, LIFETIME_S};
use crate::jws::now_s;
use crate::signing_key::{KeyError, SigningKey};

/// States, in the name of one service and for 30 seconds, who is calling. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Asserter {
    issuer: &'static str,
    key: SigningKey,
    key_id: std::sync::Arc<str>,
}

impl Asserter {
    /// Reads the key of service `issuer` (PKCS8 PEM, Ed25519).
    ///
    /// # Errors
    /// When the file holds no usable key.
    pub fn from_key_file(path: impl AsRef<Path>, issuer: &'static str) -> Result<Self, KeyError> {
        let key = SigningKey::read(path)?;
        let key_id = format!("{issuer}:{}", key.thumbprint()).into();
        Ok(Self { issuer, key, key_id })
    }

    /// The public key for the key set of those who are to believe this service.
    pub fn public_jwk(&self) -> serde_json::Value {
        self.key.public_jwk(&self.key_id)
    }

    /// States to service `audience` that this service calls in its own name.
    pub fn service(&self, audience: &'static str, request_id: &str) -> String {
        self.sign(audience, self.issuer.to_owned(), AssertedRole::Service, None, request_id)
    }

    /// States to service `audience` that `user` is calling. Only the gateway's statements are believed.
    pub fn user(&self, audience: &'static str, user: &AssertedUser, request_id: &str) -> String {
        let role = AssertedRole::of(user.role);
        self.sign(audience, user.id.0.to_string(), role, Some(user), request_id)
    }

    /// States to service `audience` that a visitor is calling who showed a token with this SHA-256: that of a cart,
    /// or of an order. Only the gateway's statements are believed.
    pub fn guest(&self, audience: &'static str, token_sha256: &[u8; 32], request_id: &str) -> String {
        self.sign(audience, hex(token_sha256), AssertedRole::Guest, None, request_id)
    }

    fn sign(
        &self,
        audience: &str,
        subject: String,
        role: AssertedRole,
        user: Option<&AssertedUser>,
        request_id: &str,
    ) -> String {
        let now = now_s();
        let claims = AssertionClaims {
            iss: self.issuer.to_owned(),
            aud: audience.to_owned(),
            sub: subject,
            role,
            sid: user.map(|user| user.session_id.clone()),
            auth_time: user.map(|user| user.auth_time),
            rid: request_id.to_owned(),
            iat: now,
            exp: now + LIFETIME_S,
        };
        self.key.sign(ASSERTION_TYPE, &self.key_id, &claims)
    }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
