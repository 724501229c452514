//! The local shop's passwords and keys: made once, kept in `.mestres/run/secrets.json`, never printed.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::private_file;

/// No `Debug`, so that none of it reaches a log by accident. What an older file lacks is made anew.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    /// Of the role that owns the schemas, `mc_migrate`.
    pub(crate) migrate_password: String,
    /// Of the catalog service's login.
    pub(crate) catalog_password: String,
    /// Of the cache invalidator's login.
    pub(crate) invalidator_password: String,
    /// Of the accounts service's login.
    pub(crate) accounts_password: String,
    /// Of the agenda service's login.
    pub(crate) agenda_password: String,
    /// Of the notifications service's login.
    pub(crate) notifications_password: String,
    /// Of the orders service's login.
    pub(crate) orders_password: String,
    /// Signs cache tokens and cursors: 32 bytes in hex.
    pub(crate) token_key: String,
    /// What accounts peppers passwords with and derives tokens from: 32 bytes in hex.
    pub(crate) accounts_key: String,
    /// What notifications seals the secrets of webhooks with: 32 bytes in hex.
    pub(crate) notifications_key: String,
    /// What orders derives order tokens from and signs shipping quotes with: 32 bytes in hex.
    pub(crate) orders_key: String,
    /// The bearer by which the payment sandbox knows orders.
    pub(crate) payments_secret: String,
    /// What the payment sandbox signs its events with.
    pub(crate) payments_webhook_secret: String,
}

impl Secrets {
    /// The stored ones, with what is missing made and stored.
    pub(crate) fn load_or_create(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.secrets();
        let stored = match std::fs::read(&path) {
            Ok(stored) => serde_json::from_slice(&stored).with_context(|| {
                format!("{} is damaged; stop the shop and run `mestres reset`", path.display())
            })?,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let secrets = stored.clone().completed()?;
        if secrets != stored {
            private_file::write(&path, &serde_json::to_vec_pretty(&secrets)?)?;
        }
        Ok(secrets)
    }

    /// [`Secrets::accounts_key`](field@Self::accounts_key) as bytes.
    pub(crate) fn accounts_key(&self) -> anyhow::Result<[u8; 32]> {
        bytes(&self.accounts_key)
            .context("the accounts key is damaged; stop the shop and run `mestres reset`")
    }

    fn completed(mut self) -> anyhow::Result<Self> {
        for password in [
            &mut self.migrate_password,
            &mut self.catalog_password,
            &mut self.invalidator_password,
            &mut self.accounts_password,
            &mut self.agenda_password,
            &mut self.notifications_password,
            &mut self.orders_password,
            &mut self.payments_secret,
            &mut self.payments_webhook_secret,
        ] {
            if password.is_empty() {
                *password = hex(private_file::random::<16>()?);
            }
        }
        let keys =
            [&mut self.token_key, &mut self.accounts_key, &mut self.notifications_key, &mut self.orders_key];
        for key in keys {
            if key.is_empty() {
                *key = hex(private_file::random::<32>()?);
            }
        }
        Ok(self)
    }
}

/// 32 bytes from 64 hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn hex<const N: usize>(bytes: [u8; N]) -> String {
    bytes.iter().fold(String::with_capacity(2 * N), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(home: &tempfile::TempDir) -> Folder {
        let folder = Folder::of(home.path());
        folder.create().unwrap();
        folder
    }

    #[test]
    fn they_are_made_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(&home);
        let first = Secrets::load_or_create(&folder).unwrap();
        let keys = [&first.token_key, &first.accounts_key, &first.notifications_key, &first.orders_key];
        assert_eq!(keys.map(String::len), [64; 4]);
        assert_ne!(first.payments_secret, first.payments_webhook_secret);
        assert!(first.accounts_password != first.agenda_password);
        assert!(first == Secrets::load_or_create(&folder).unwrap());
    }

    #[test]
    fn a_file_of_an_older_version_keeps_what_it_has() {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(&home);
        let older = serde_json::json!({
            "migrate_password": "m", "catalog_password": "c", "invalidator_password": "i", "token_key": "t",
        });
        std::fs::write(folder.secrets(), older.to_string()).unwrap();

        let secrets = Secrets::load_or_create(&folder).unwrap();

        assert_eq!(
            [&secrets.migrate_password, &secrets.catalog_password, &secrets.invalidator_password],
            ["m", "c", "i"]
        );
        assert_eq!(secrets.token_key, "t");
        assert_eq!(secrets.accounts_password.len(), 32);
        assert!(secrets == Secrets::load_or_create(&folder).unwrap(), "what was missing is kept, too");
    }

    #[test]
    fn keys_are_64_hexadecimal_digits() {
        assert_eq!(bytes(&hex([10; 32])), Some([10; 32]));
        for wrong in ["", "0a", &"0a".repeat(33), &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(&home);
        std::fs::write(folder.secrets(), "{").unwrap();
        let refused = Secrets::load_or_create(&folder).err().unwrap().to_string();
        assert!(refused.contains("mestres reset"), "{refused}");
        assert_eq!(std::fs::read_to_string(folder.secrets()).unwrap(), "{");
    }
}
