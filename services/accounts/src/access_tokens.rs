//! Access tokens: signed by a key that may be replaced while we run.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rls::{Claims, KeyError, SigningKey, UserId, UserRole};
use time::OffsetDateTime;
use tokio::time::{Duration, Instant};
use uuid::Uuid;

/// How long an access token is good.
pub(crate) const LIFETIME_S: u32 = 300;
/// The key file's time stamp is looked at no more often than this.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Issues access tokens (`at+jwt`, `EdDSA`, `kid` by thumbprint).
///
/// A new key is used as soon as its file is there; the old one's tokens stay good for as long as its public
/// half is in the key set of those who verify. So the key set is extended first.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    path: PathBuf,
    issuer: String,
    audience: String,
    key: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    key: SigningKey,
    stamp: Option<Stamp>,
    next_check: Instant,
}

/// What tells two versions of the file apart.
type Stamp = (SystemTime, u64);

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bearer {
    pub(crate) user: UserId,
    pub(crate) role: UserRole,
    pub(crate) session: Uuid,
    /// When the user last proved who they are.
    pub(crate) auth_at: OffsetDateTime,
}

impl AccessTokens {
    /// Reads the key at `path`.
    ///
    /// # Errors
    /// When the file holds no usable key.
    pub(crate) fn from_key_file(path: PathBuf, issuer: String, audience: String) -> Result<Self, KeyError> {
        // The stamp is taken first: a change during the reading is then seen by the next check.
        let stamp = stamp(&path);
        let key = SigningKey::read(&path)?;
        let key = Mutex::new(Current { key, stamp, next_check: Instant::now() + CHECK_EVERY });
        Ok(Self { path, issuer, audience, key })
    }

    /// A token good for five minutes from `now`.
    pub(crate) fn issue(&self, bearer: Bearer, now: OffsetDateTime) -> String {
        let now = now.unix_timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: bearer.user.0.to_string(),
            role: bearer.role,
            exp: now + i64::from(LIFETIME_S),
            iat: now,
            nbf: now,
            jti: Uuid::now_v7().to_string(),
            sid: bearer.session.to_string(),
            auth_time: Some(bearer.auth_at.unix_timestamp().min(now)),
        };
        self.key().access_token(&claims)
    }

    /// The key of the file's newest readable version, at most two seconds behind.
    ///
    /// Looking at a time stamp on a local disk takes microseconds, so it may happen on the caller's thread.
    fn key(&self) -> SigningKey {
        let mut current = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() >= current.next_check {
            current.next_check = Instant::now() + CHECK_EVERY;
            let stamp = stamp(&self.path);
            if stamp != current.stamp {
                match SigningKey::read(&self.path) {
                    Ok(key) => {
                        tracing::info!(key.id = key.thumbprint(), "signing key reloaded");
                        (current.key, current.stamp) = (key, stamp);
                    }
                    Err(error) => tracing::warn!(%error, "signing key not reloaded, the old one stays"),
                }
            }
        }
        current.key.clone()
    }
}

fn stamp(path: &std::path::Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
