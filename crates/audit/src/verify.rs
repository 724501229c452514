//! Walking a chain from its origin.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

use crate::chain::ORIGIN;
use crate::store;

/// Rows looked at together: short statements, little memory.
const BATCH: i64 = 1_000;

/// A whole chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Rows checked: all of them.
    pub rows: u64,
    /// Its last row; `None` when nothing was ever written.
    pub head: Option<Head>,
}

/// One row of a chain and its hash, as `<id>:<hash in hexadecimal>`. Kept elsewhere, it proves later that nothing up
/// to it was cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The row.
    pub id: i64,
    /// Its hash.
    pub sha256: [u8; 32],
}

/// Why a chain is not whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A row is not as it was written, or not where. The first one; what follows was not looked at.
    #[error("row {id}: {what}")]
    Broken {
        /// The first row at which the chain breaks.
        id: i64,
        /// How.
        what: Break,
    },
    /// The database did not answer, or refused.
    #[error("the log cannot be read")]
    Database(#[from] sqlx::Error),
}

/// How a chain breaks at a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The row is gone, and the chain goes on behind it.
    Missing,
    /// It does not follow the row before it.
    Unlinked,
    /// It says something else than when it was written.
    Changed,
    /// The chain ends before it, or it is another row than the one whose hash was kept.
    NotTheKept,
}

/// Connects by a service's own login to look at its log.
///
/// # Errors
/// When that fails.
pub async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options =
        PgConnectOptions::from_str(url)?.application_name("mestres-audit").disable_statement_logging();
    let mut connection = options.connect().await?;
    store::become_service(&mut connection).await?;
    Ok(connection)
}

/// Walks the whole chain in batches, and makes sure that `kept`, the head of an earlier walk, is part of it.
///
/// `None` when the service has no log. `connection` is one of [`connect`], or of anybody who finds `audit_chain` on the search
/// path and may read it.
///
/// # Errors
/// [`VerifyError::Broken`] with the first row at which it breaks.
pub async fn verify(
    connection: &mut PgConnection,
    kept: Option<Head>,
) -> Result<Option<Verified>, VerifyError> {
    if !store::exists(connection).await? {
        return Ok(None);
    }
    let mut verified = Verified { rows: 0, head: None };
    loop {
        let (last, mut prev_sha256) = verified.head.map_or((0, ORIGIN), |head| (head.id, head.sha256));
        let rows = store::after(connection, last, BATCH).await?;
        if rows.is_empty() {
            break;
        }
        for (expected, (link, sha256)) in (last + 1..).zip(rows) {
            let broken = |id, what| Err(VerifyError::Broken { id, what });
            if link.id != expected {
                return broken(expected, Break::Missing);
            }
            if link.prev_sha256 != prev_sha256 {
                return broken(link.id, Break::Unlinked);
            }
            if link.sha256() != sha256 {
                return broken(link.id, Break::Changed);
            }
            if kept.is_some_and(|kept| kept.id == link.id && kept.sha256 != sha256) {
                return broken(link.id, Break::NotTheKept);
            }
            verified.rows += 1;
            verified.head = Some(Head { id: link.id, sha256 });
            prev_sha256 = sha256;
        }
    }
    match kept {
        Some(kept) if verified.head.is_none_or(|head| head.id < kept.id) => {
            Err(VerifyError::Broken { id: kept.id, what: Break::NotTheKept })
        }
        _ => Ok(Some(verified)),
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is missing",
            Self::Unlinked => "it does not follow the row before it",
            Self::Changed => "it was changed after it was written",
            Self::NotTheKept => "it is not the row whose hash was kept, or the end was cut off",
        })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.id)?;
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (id, hash) = text.split_once(':')?;
            let id = id.parse().ok().filter(|id| *id > 0)?;
            if hash.len() != 64 || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            let mut sha256 = [0; 32];
            for (at, byte) in sha256.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).ok()?;
            }
            Some(Self { id, sha256 })
        };
        parse().ok_or_else(|| "a head is <id>:<64 hexadecimal digits>".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_as_it_is_shown() {
        let head = Head { id: 42, sha256: std::array::from_fn(|at| u8::try_from(at * 7).expect("small")) };
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in [
            "",
            "42",
            "42:",
            "0:00",
            "x:00",
            &format!("42:{}", "zz".repeat(32)),
            &format!("42:{}", "é".repeat(32)),
        ] {
            text.parse::<Head>().expect_err(text);
        }
    }
}
