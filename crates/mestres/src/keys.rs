//! `mestres keys rotate`: a new key for access tokens, while everybody stays signed in.
//!
//! At any moment every token that is still good is signed by a key in the key set: the new public key is there
//! before anything is signed with it, and the old one leaves after its last token has ended. A rotation that was
//! interrupted is completed by the next.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use rls::SigningKey;
use serde_json::{Value, json};

use crate::dev_key;
use crate::folder::Folder;
use crate::private_file;

/// How long verifiers may need to see a new key set; they look every two seconds.
const VERIFIERS_WITHIN: Duration = Duration::from_secs(6);
/// From the switch to the end of the last token of the old key: the signer's own two seconds, five minutes, half a
/// minute of leeway, and some.
const OLD_TOKENS_END_WITHIN: Duration = Duration::from_secs(350);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replace the key that signs access tokens; nobody is signed out
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The private key of the accounts service, replaced; by default the local shop's
    #[arg(long, value_name = "FILE", requires = "jwks_file")]
    signing_key_file: Option<PathBuf>,
    /// The public keys of the gateways; by default the local shop's
    #[arg(long, value_name = "FILE", requires = "signing_key_file")]
    jwks_file: Option<PathBuf>,
}

/// The files of a signer and of its verifiers.
#[derive(Debug, Clone)]
struct Files {
    signing_key: PathBuf,
    jwks: PathBuf,
}

/// How long each step takes effect.
#[derive(Debug, Clone, Copy)]
struct Patience {
    verifiers: Duration,
    old_tokens: Duration,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Rotate(options) = command;
    let files = match (&options.signing_key_file, &options.jwks_file) {
        (Some(signing_key), Some(jwks)) => Files { signing_key: signing_key.clone(), jwks: jwks.clone() },
        _ => {
            let folder = Folder::find()?;
            ensure!(folder.dev_key().is_file(), "no local shop here; `mestres up` makes its first key");
            Files { signing_key: folder.dev_key(), jwks: folder.jwks() }
        }
    };
    let patience = Patience { verifiers: VERIFIERS_WITHIN, old_tokens: OLD_TOKENS_END_WITHIN };
    let mut tell = |text: &str| writeln!(std::io::stdout(), "{text}").context("cannot say how far it is");
    rotate(&files, patience, &mut tell)
}

#[expect(clippy::disallowed_methods, reason = "a command of its own, without a runtime to block")]
fn rotate(
    files: &Files,
    patience: Patience,
    tell: &mut impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let _alone = lock(files)?;
    let current = SigningKey::read(&files.signing_key)?;
    let next_path = files.signing_key.with_extension("next.pem");
    if !next_path.is_file() {
        replace(&next_path, &files.signing_key, dev_key::new_pem()?.as_bytes())?;
    }
    let next = SigningKey::read(&next_path)?;

    let mut keys = read_keys(&files.jwks)?;
    ensure!(
        contains(&keys, &current),
        "the key set has no key of {}: they do not belong together",
        files.signing_key.display()
    );
    if !contains(&keys, &next) {
        keys.push(next.public_jwk(next.thumbprint()));
        write_keys(&files.jwks, keys)?;
    }
    tell(&format!("key {} is in the key set; waiting until every gateway knows it", next.thumbprint()))?;
    std::thread::sleep(patience.verifiers);

    std::fs::rename(&next_path, &files.signing_key).context("cannot switch to the new key")?;
    tell(&format!(
        "tokens are signed with it; the old key goes in {} s, when its last token has ended",
        patience.old_tokens.as_secs()
    ))?;
    std::thread::sleep(patience.old_tokens);

    write_keys(&files.jwks, vec![next.public_jwk(next.thumbprint())])?;
    tell("the old key is gone")
}

/// One rotation at a time; the system takes the lock back when the process ends.
fn lock(files: &Files) -> anyhow::Result<File> {
    let path = files.signing_key.with_extension("rotation");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!("another rotation of this key is under way"),
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("cannot lock the key"),
    }
}

fn read_keys(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut set: Value = serde_json::from_slice(&text).context("the key set is not JSON")?;
    match set["keys"].take() {
        Value::Array(keys) => Ok(keys),
        _ => bail!("{} is not a JSON Web Key Set", path.display()),
    }
}

fn write_keys(path: &Path, keys: Vec<Value>) -> anyhow::Result<()> {
    replace(path, path, json!({ "keys": keys }).to_string().as_bytes())
}

fn contains(keys: &[Value], key: &SigningKey) -> bool {
    keys.iter().any(|known| known["kid"] == key.thumbprint())
}

/// Writes `path` whole or not at all, readable by whoever may read `like`.
fn replace(path: &Path, like: &Path, content: &[u8]) -> anyhow::Result<()> {
    let permissions =
        std::fs::metadata(like).with_context(|| format!("cannot look at {}", like.display()))?.permissions();
    let unfinished = path.with_extension("unfinished");
    private_file::write(&unfinished, content)?;
    File::open(&unfinished)
        .and_then(|file| file.set_permissions(permissions).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use rls::{Claims, Environment, Unauthenticated, UserRole, Verifier};
    use time::OffsetDateTime;

    use super::*;

    const ISSUER: &str = "https://mestrescafe.dev";

    fn shop() -> (tempfile::TempDir, Files) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path());
        folder.create().unwrap();
        dev_key::ensure(&folder).unwrap();
        let files = Files { signing_key: folder.dev_key(), jwks: folder.jwks() };
        (home, files)
    }

    fn token(files: &Files) -> String {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: "mestrescafe".to_owned(),
            sub: "1".to_owned(),
            role: UserRole::Customer,
            exp: now + 300,
            iat: now,
            nbf: now,
            jti: "j".to_owned(),
            sid: "s".to_owned(),
            auth_time: None,
        };
        SigningKey::read(&files.signing_key).unwrap().access_token(&claims)
    }

    fn key_ids(files: &Files) -> Vec<String> {
        let keys = read_keys(&files.jwks).unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_token_is_good_at_every_moment_and_the_old_key_goes_at_last() {
        let (_home, files) = shop();
        let verifier =
            Verifier::from_jwks_file(&files.jwks, ISSUER, "mestrescafe", Environment::Development).unwrap();
        let old_token = token(&files);
        let old_key = SigningKey::read(&files.signing_key).unwrap();
        let patience = Patience { verifiers: Duration::from_secs(3), old_tokens: Duration::from_secs(1) };
        let rotated = AtomicBool::new(false);

        let verified = std::thread::scope(|scope| {
            let customers = scope.spawn(|| {
                let mut verified = 0;
                while !rotated.load(Ordering::Acquire) {
                    verifier.token(&token(&files)).expect("a new token is good");
                    verified += 1;
                }
                verified
            });
            // What a customer got before is good until the old key goes.
            let mut steps = 0;
            let told = rotate(&files, patience, &mut |_text| {
                steps += 1;
                if steps < 3 {
                    verifier.token(&old_token).expect("an old token is good");
                    assert!(contains(&read_keys(&files.jwks).unwrap(), &old_key));
                }
                Ok(())
            });
            rotated.store(true, Ordering::Release);
            told.unwrap();
            assert_eq!(steps, 3);
            customers.join().expect("no token was refused")
        });
        assert!(verified > 100, "{verified} tokens are too few to tell");

        let new_key = SigningKey::read(&files.signing_key).unwrap();
        assert_ne!(new_key.thumbprint(), old_key.thumbprint());
        assert_eq!(key_ids(&files), [new_key.thumbprint()]);
        let begun = Instant::now();
        while verifier.token(&old_token).is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the old key is still believed");
            std::thread::yield_now();
        }
        assert_eq!(verifier.token(&old_token), Err(Unauthenticated::UnknownKey));
        verifier.token(&token(&files)).expect("the new key's token is good");
    }

    const AT_ONCE: Patience = Patience { verifiers: Duration::ZERO, old_tokens: Duration::ZERO };

    #[test]
    fn an_interrupted_rotation_is_completed_by_the_next() {
        let (_home, files) = shop();
        // Interrupted before the switch, and after it.
        for interrupted_at in [1, 2] {
            let mut steps = 0;
            let stopped = rotate(&files, AT_ONCE, &mut |_text| {
                steps += 1;
                ensure!(steps < interrupted_at, "Ctrl-C");
                Ok(())
            });
            assert_eq!(stopped.unwrap_err().to_string(), "Ctrl-C");
            let current = SigningKey::read(&files.signing_key).unwrap();
            assert_eq!(key_ids(&files).len(), 2);
            assert!(contains(&read_keys(&files.jwks).unwrap(), &current), "what signs is known");

            rotate(&files, AT_ONCE, &mut |_text| Ok(())).unwrap();
            let key = SigningKey::read(&files.signing_key).unwrap();
            assert_eq!(key_ids(&files), [key.thumbprint()]);
            assert!(!files.signing_key.with_extension("next.pem").exists());
        }
    }

    #[test]
    fn a_key_set_of_another_key_is_left_alone() {
        let ((_one, files), (_other, others)) = (shop(), shop());
        std::fs::copy(&others.jwks, &files.jwks).unwrap();
        let before = (std::fs::read(&files.jwks).unwrap(), std::fs::read(&files.signing_key).unwrap());
        let refused = rotate(&files, AT_ONCE, &mut |_text| Ok(())).unwrap_err().to_string();
        assert!(refused.contains("do not belong together"), "{refused}");
        assert_eq!((std::fs::read(&files.jwks).unwrap(), std::fs::read(&files.signing_key).unwrap()), before);
    }

    #[test]
    fn two_rotations_at_once_are_one_too_many_and_modes_are_kept() {
        let (_home, files) = shop();
        let readable = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&files.jwks, readable).unwrap();
        rotate(&files, AT_ONCE, &mut |_text| {
            let second = rotate(&files, AT_ONCE, &mut |_text| Ok(())).unwrap_err().to_string();
            assert_eq!(second, "another rotation of this key is under way");
            Ok(())
        })
        .unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&files.jwks), mode(&files.signing_key)), (0o644, 0o600));
    }
}
