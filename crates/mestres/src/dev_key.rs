//! The key that signs development tokens, and the key set by which the services check them.
//!
//! Made once per local shop. The issuer is a development issuer, which services refuse in production.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use serde_json::json;

use crate::folder::Folder;
use crate::private_file;

/// Names the one development key in the key set and in each token's header.
pub(crate) const KEY_ID: &str = "dev-1";

/// Makes `dev-key.pem` and `jwks.json` when there is none yet.
pub(crate) fn ensure(folder: &Folder) -> anyhow::Result<()> {
    if folder.dev_key().is_file() && folder.jwks().is_file() {
        return Ok(());
    }
    let key = SigningKey::from_bytes(&private_file::random::<32>()?);
    let pem = key.to_pkcs8_pem(LineEnding::LF).context("cannot encode the development key")?;
    private_file::write(&folder.dev_key(), pem.as_bytes())?;
    private_file::write(&folder.jwks(), key_set(&key).to_string().as_bytes())
}

/// The private key in PEM. Fails with the next step when the shop was never started.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path)
        .with_context(|| format!("no development key at {}; `mestres up` makes one", path.display()))
}

fn key_set(key: &SigningKey) -> serde_json::Value {
    json!({ "keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": KEY_ID,
        "x": BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
    }] })
}
