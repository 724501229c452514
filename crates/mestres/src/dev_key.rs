//! The key that signs the local shop's access tokens, and the key set by which the gateway checks them.
//!
//! Made once per local shop. The issuer is a development issuer, which services refuse in production.

use anyhow::Context as _;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use rls::SigningKey;
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::private_file;

/// Makes `dev-key.pem` and `jwks.json` when there is none yet, or when they do not belong together.
pub(crate) fn ensure(folder: &Folder) -> anyhow::Result<()> {
    if !folder.dev_key().is_file() {
        private_file::write(&folder.dev_key(), new_pem()?.as_bytes())?;
    }
    let key = read(folder)?;
    let known = std::fs::read(folder.jwks()).ok().and_then(|set| serde_json::from_slice(&set).ok());
    if known.is_some_and(|set: Value| contains(&set, key.thumbprint())) {
        return Ok(());
    }
    let set = json!({ "keys": [key.public_jwk(key.thumbprint())] });
    private_file::write(&folder.jwks(), set.to_string().as_bytes())
}

/// A new private key, PKCS8 PEM.
pub(crate) fn new_pem() -> anyhow::Result<String> {
    let key = ed25519_dalek::SigningKey::from_bytes(&private_file::random::<32>()?);
    let pem = key.to_pkcs8_pem(LineEnding::LF).context("cannot encode a key")?;
    Ok(pem.to_string())
}

/// The private key. Fails with the next step when the shop was never started.
pub(crate) fn read(folder: &Folder) -> anyhow::Result<SigningKey> {
    SigningKey::read(folder.dev_key()).context("no development key; `mestres up` makes one")
}

/// Whether key `key_id` is in a JSON Web Key Set.
fn contains(set: &Value, key_id: &str) -> bool {
    set["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["kid"] == key_id))
}
