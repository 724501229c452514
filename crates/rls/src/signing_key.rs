//! An Ed25519 key from a file: signs tokens, and describes its public half.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::claims::Claims;
use crate::verifier::ACCESS_TOKEN_TYPE;

/// A key file is small; anything larger is not one.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why a private key cannot be used. The text never shows the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("private key {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no Ed25519 key in PKCS8 PEM.
    #[error("{path} holds no Ed25519 private key in PKCS8 PEM")]
    Parse {
        /// The file.
        path: PathBuf,
    },
}

/// A private key. Cheap to clone; `Debug` shows its public name only.
#[derive(Clone)]
pub struct SigningKey {
    key: Arc<ed25519_dalek::SigningKey>,
    thumbprint: Arc<str>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads a key in PKCS8 PEM.
    ///
    /// # Errors
    /// When the file cannot be read or holds no Ed25519 key.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(read)?.len() > FILE_BYTES_MAX {
            return Err(read(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes"))));
        }
        let pem = std::fs::read_to_string(path).map_err(read)?;
        // The parser's error says nothing beyond "not a key", and may not quote the text.
        ed25519_dalek::SigningKey::from_pkcs8_pem(&pem)
            .map(Self::new)
            .map_err(|_malformed| KeyError::Parse { path: path.to_owned() })
    }

    /// Takes a key that is in memory already.
    pub fn new(key: ed25519_dalek::SigningKey) -> Self {
        let thumbprint = thumbprint(key.verifying_key().as_bytes()).into();
        Self { key: Arc::new(key), thumbprint }
    }

    /// The RFC 7638 thumbprint of the public half; the `kid` of access tokens.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The public half as a JSON Web Key named `key_id`.
    pub fn public_jwk(&self, key_id: &str) -> serde_json::Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": key_id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes()),
        })
    }

    /// Signs an access token (`at+jwt`, `kid` = [`SigningKey::thumbprint`]).
    pub fn access_token(&self, claims: &Claims) -> String {
        self.sign(ACCESS_TOKEN_TYPE, &self.thumbprint, claims)
    }

    pub(crate) fn sign(&self, typ: &str, key_id: &str, claims: &impl Serialize) -> String {
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": key_id }).to_string();
        let claims = serde_json::to_vec(claims).expect("claims are strings and numbers");
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        token
    }
}

/// RFC 7638 (and RFC 8037 for Ed25519): SHA-256 over the required members in lexical order.
fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public_key);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037, appendix A.1 to A.3.
        let d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
        let seed: [u8; 32] = BASE64_URL_SAFE_NO_PAD.decode(d).unwrap().try_into().unwrap();
        let key = SigningKey::new(ed25519_dalek::SigningKey::from_bytes(&seed));
        assert_eq!(key.public_jwk("a")["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(
            format!("{key:?}"),
            r#"SigningKey { thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", .. }"#
        );
    }
}
