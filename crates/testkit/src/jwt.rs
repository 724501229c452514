//! Callers for tests: a key set of one's own and tokens signed with it.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scratch::Scratch;

/// The issuer of the tokens: the one of development, which is the default of every service.
pub const ISSUER: &str = "https://mestrescafe.dev";
/// Whom the tokens are for: the default of every service.
pub const AUDIENCE: &str = "mestrescafe";

const KEY_ID: &str = "test-1";
const LIFETIME_S: i64 = 300;

/// A new Ed25519 key and the file that a service verifies with.
#[derive(Debug)]
pub struct TestKeys {
    /// The JWKS file; gone with this value.
    pub jwks_file: PathBuf,
    key: SigningKey,
    _scratch: Scratch,
}

/// Makes a key of its own for each call.
///
/// # Panics
/// When the file cannot be written.
pub fn key_set() -> TestKeys {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .expect("no randomness");
    let key = SigningKey::from_bytes(&seed);
    let set = json!({ "keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": KEY_ID,
        "x": BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
    }] });
    let scratch = Scratch::new();
    let jwks_file = scratch.path().join("jwks.json");
    fs::write(&jwks_file, set.to_string()).expect("cannot write the key set");
    TestKeys { jwks_file, key, _scratch: scratch }
}

impl TestKeys {
    /// A token good for five minutes. `role` is `customer`, `staff` or `admin`.
    pub fn token(&self, role: &str, user_id: i64) -> String {
        self.sign(&self.header(), &self.claims(role, user_id))
    }

    /// `Bearer` and such a token: the value of an `Authorization` header.
    pub fn bearer(&self, role: &str, user_id: i64) -> String {
        format!("Bearer {}", self.token(role, user_id))
    }

    /// The header of a good token, to be spoiled and signed.
    pub fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": KEY_ID })
    }

    /// The claims of a good token, to be spoiled and signed.
    pub fn claims(&self, role: &str, user_id: i64) -> Value {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
        let now = i64::try_from(since_epoch.as_secs()).expect("the clock is not that late");
        json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id.to_string(),
            "role": role,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_S,
            "jti": Uuid::now_v7().to_string(),
            "sid": Uuid::now_v7().to_string(),
        })
    }

    /// A token of this header and these claims, whatever they say, rightly signed.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}
