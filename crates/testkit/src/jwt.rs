//! Callers for tests: access tokens of users, and what services assert to each other.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scratch::Scratch;

/// The issuer of the tokens: the one of development, which is the default of every service.
pub const ISSUER: &str = "https://mestrescafe.dev";
/// Whom the tokens are for: the default of every service.
pub const AUDIENCE: &str = "mestrescafe";

/// The services that call others, hence have a key for assertions.
pub const ASSERTERS: [&str; 4] = ["gateway", "accounts", "notifications", "orders"];

const LIFETIME_S: i64 = 300;
const ASSERTION_LIFETIME_S: i64 = 30;

/// New Ed25519 keys, of the issuer of access tokens and of every asserting service, and their files.
#[derive(Debug)]
pub struct TestKeys {
    /// The JWKS file to verify access tokens with; gone with this value.
    pub jwks_file: PathBuf,
    /// The private key that belongs to it, PKCS8 PEM.
    pub signing_key_file: PathBuf,
    /// The JWKS file of all services that assert.
    pub assertions_file: PathBuf,
    key: SigningKey,
    assertion_keys: Vec<SigningKey>,
    scratch: Scratch,
}

/// Makes keys of its own for each call.
///
/// # Panics
/// When a file cannot be written.
pub fn key_set() -> TestKeys {
    let scratch = Scratch::new();
    let file = |name: &str, content: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, content).expect("cannot write a key file");
        path
    };
    let private = |key: &SigningKey| key.to_pkcs8_pem(LineEnding::LF).expect("a key can be encoded");
    let set = |keys: Vec<Value>| json!({ "keys": keys }).to_string();

    let key = new_key();
    let jwks_file = file("jwks.json", &set(vec![public_jwk(&key, &key_id(&key))]));
    let signing_key_file = file("signing-key.pem", &private(&key));

    let assertion_keys = ASSERTERS.map(|_| new_key()).to_vec();
    let mut public = Vec::new();
    for (issuer, key) in ASSERTERS.iter().zip(&assertion_keys) {
        file(&assertion_key_name(issuer), &private(key));
        public.push(public_jwk(key, &assertion_key_id(issuer, key)));
    }
    let assertions_file = file("assertions.json", &set(public));
    TestKeys { jwks_file, signing_key_file, assertions_file, key, assertion_keys, scratch }
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
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key_id(&self.key) })
    }

    /// The claims of a good token, to be spoiled and signed.
    pub fn claims(&self, role: &str, user_id: i64) -> Value {
        let now = now_s();
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
        sign(&self.key, header, claims)
    }

    /// The same of texts that need not even be JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        sign_text(&self.key, header, claims)
    }

    /// The private key by which service `issuer` asserts, PKCS8 PEM.
    ///
    /// # Panics
    /// When `issuer` is none of [`ASSERTERS`].
    pub fn assertion_key_file(&self, issuer: &str) -> PathBuf {
        let _known = self.assertion_key(issuer);
        self.scratch.path().join(assertion_key_name(issuer))
    }

    /// What the gateway states to service `audience` for half a minute, without `Bearer`.
    ///
    /// `role` is `customer`, `staff` or `admin`: user `user_id` is calling, who has signed in just now; or
    /// `service`: the gateway calls in its own name.
    pub fn assertion(&self, audience: &'static str, role: &str, user_id: i64) -> String {
        self.assertion_at(audience, role, user_id, now_s())
    }

    /// The same of a user who has signed in at `auth_time`, in Unix seconds.
    pub fn assertion_at(&self, audience: &'static str, role: &str, user_id: i64, auth_time: i64) -> String {
        let mut claims = self.assertion_claims(audience, role, user_id);
        if role != "service" {
            claims["auth_time"] = json!(auth_time);
        }
        self.sign_assertion("gateway", &self.assertion_header("gateway"), &claims)
    }

    /// What the gateway states to service `audience`: a visitor calls who showed a token with this SHA-256.
    pub fn guest_assertion(&self, audience: &'static str, token_sha256: [u8; 32]) -> String {
        let mut claims = self.assertion_claims(audience, "guest", 1);
        claims["sub"] = json!(token_sha256.map(|byte| format!("{byte:02x}")).concat());
        self.sign_assertion("gateway", &self.assertion_header("gateway"), &claims)
    }

    /// What service `issuer` states to service `audience`: that it calls in its own name.
    ///
    /// # Panics
    /// When `issuer` is none of [`ASSERTERS`].
    pub fn service_assertion(&self, issuer: &str, audience: &'static str) -> String {
        let mut claims = self.assertion_claims(audience, "service", 0);
        claims["iss"] = json!(issuer);
        claims["sub"] = json!(issuer);
        self.sign_assertion(issuer, &self.assertion_header(issuer), &claims)
    }

    /// The header of a good assertion of `issuer`, to be spoiled and signed.
    ///
    /// # Panics
    /// When `issuer` is none of [`ASSERTERS`].
    pub fn assertion_header(&self, issuer: &str) -> Value {
        let key_id = assertion_key_id(issuer, self.assertion_key(issuer));
        json!({ "alg": "EdDSA", "typ": "mc-assert+jwt", "kid": key_id })
    }

    /// The claims of a good assertion of the gateway, to be spoiled and signed.
    pub fn assertion_claims(&self, audience: &'static str, role: &str, user_id: i64) -> Value {
        let now = now_s();
        let mut claims = json!({
            "iss": "gateway",
            "aud": audience,
            "sub": user_id.to_string(),
            "role": role,
            "rid": Uuid::now_v7().to_string(),
            "iat": now,
            "exp": now + ASSERTION_LIFETIME_S,
        });
        if role == "service" {
            claims["sub"] = json!("gateway");
        } else if role != "guest" {
            claims["sid"] = json!(Uuid::now_v7().to_string());
            claims["auth_time"] = json!(now);
        }
        claims
    }

    /// An assertion of this header and these claims, whatever they say, signed with the key of `issuer`.
    ///
    /// # Panics
    /// When `issuer` is none of [`ASSERTERS`].
    pub fn sign_assertion(&self, issuer: &str, header: &Value, claims: &Value) -> String {
        sign(self.assertion_key(issuer), header, claims)
    }

    fn assertion_key(&self, issuer: &str) -> &SigningKey {
        let at = ASSERTERS.iter().position(|name| *name == issuer);
        &self.assertion_keys[at.unwrap_or_else(|| panic!("{issuer} has no key for assertions"))]
    }
}

fn new_key() -> SigningKey {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .expect("no randomness");
    SigningKey::from_bytes(&seed)
}

fn key_id(key: &SigningKey) -> String {
    rls::SigningKey::new(key.clone()).thumbprint().to_owned()
}

fn assertion_key_id(issuer: &str, key: &SigningKey) -> String {
    format!("{issuer}:{}", key_id(key))
}

fn assertion_key_name(issuer: &str) -> String {
    format!("assertion-key-{issuer}.pem")
}

fn public_jwk(key: &SigningKey, key_id: &str) -> Value {
    rls::SigningKey::new(key.clone()).public_jwk(key_id)
}

fn sign(key: &SigningKey, header: &Value, claims: &Value) -> String {
    sign_text(key, &header.to_string(), &claims.to_string())
}

fn sign_text(key: &SigningKey, header: &str, claims: &str) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn now_s() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(since_epoch.as_secs()).expect("the clock is not that late")
}
