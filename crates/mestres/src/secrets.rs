//! The local shop's passwords and keys: made once, kept in `.mestres/run/secrets.json`, never printed.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::private_file;

/// No `Debug`, so that none of it reaches a log by accident.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// Of the role that owns the schemas, `mc_migrate`.
    pub(crate) migrate_password: String,
    /// Of the catalog service's login.
    pub(crate) catalog_password: String,
    /// Of the cache invalidator's login.
    pub(crate) invalidator_password: String,
    /// Signs cache tokens and cursors: 32 bytes in hex.
    pub(crate) token_key: String,
}

impl Secrets {
    pub(crate) fn load_or_create(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.secrets();
        if let Ok(stored) = std::fs::read(&path) {
            return serde_json::from_slice(&stored).with_context(|| {
                format!("{} is damaged; stop the shop and run `mestres reset`", path.display())
            });
        }
        let secrets = Self {
            migrate_password: hex(private_file::random::<16>()?),
            catalog_password: hex(private_file::random::<16>()?),
            invalidator_password: hex(private_file::random::<16>()?),
            token_key: hex(private_file::random::<32>()?),
        };
        private_file::write(&path, &serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }
}

fn hex<const N: usize>(bytes: [u8; N]) -> String {
    bytes.iter().fold(String::with_capacity(2 * N), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
