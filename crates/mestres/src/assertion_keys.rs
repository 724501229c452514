//! The keys by which the local shop's services state to each other who is calling.
//!
//! Each service that calls others has one of its own; all their public halves are in one key set, which every
//! service verifies with.

use rls::Asserter;
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::{dev_key, private_file};

/// The services that call others.
pub(crate) const ISSUERS: [&str; 4] = ["gateway", "accounts", "notifications", "orders"];

/// Makes what is missing. Repeating it changes nothing.
pub(crate) fn ensure(folder: &Folder) -> anyhow::Result<()> {
    let mut public = Vec::with_capacity(ISSUERS.len());
    for issuer in ISSUERS {
        let path = folder.assertion_key(issuer);
        if !path.is_file() {
            private_file::write(&path, dev_key::new_pem()?.as_bytes())?;
        }
        public.push(Asserter::from_key_file(&path, issuer)?.public_jwk());
    }
    let set = json!({ "keys": public });
    let known: Option<Value> =
        std::fs::read(folder.assertion_jwks()).ok().and_then(|set| serde_json::from_slice(&set).ok());
    if known.as_ref() == Some(&set) {
        return Ok(());
    }
    private_file::write(&folder.assertion_jwks(), set.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use rls::{Assertions, Caller};

    use super::*;

    #[test]
    fn every_service_believes_every_other_and_keys_are_made_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path());
        folder.create().unwrap();
        ensure(&folder).unwrap();
        let first = std::fs::read(folder.assertion_jwks()).unwrap();
        let catalog = Assertions::from_jwks_file(folder.assertion_jwks(), "catalog").unwrap();

        for issuer in ISSUERS {
            let asserter = Asserter::from_key_file(folder.assertion_key(issuer), issuer).unwrap();
            let bearer = format!("Bearer {}", asserter.service("catalog", "r-1"));
            let stated = catalog.caller(Some(&bearer)).unwrap();
            assert_eq!((stated.caller, stated.issuer.as_deref()), (Caller::Service, Some(issuer)));
        }

        ensure(&folder).unwrap();
        assert_eq!(std::fs::read(folder.assertion_jwks()).unwrap(), first);
    }
}
