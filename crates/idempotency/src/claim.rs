//! Taking a key, and giving it back with an answer.

use rls::Tx;
use tonic::{Code, Status};

use crate::refused::is_kept;
use crate::reply::Reply;
use crate::request::Request;
use crate::store::{self, Found, Known};
use crate::stored::{self, Stored};

/// What a request with a key may do.
#[derive(Debug)]
pub enum Claim {
    /// It is the first, or takes over from one that is late: work, then [`Ticket::finish`].
    Fresh(Ticket),
    /// It was done: [`Stored::replay`].
    Done(Stored),
    /// It is being worked on: [`Refused::InFlight`](crate::Refused::InFlight).
    InFlight,
    /// The key belongs to another request: [`Refused::OtherRequest`](crate::Refused::OtherRequest).
    OtherRequest,
}

/// The right to work on a request, for 15 seconds from the claim.
///
/// That is longer than any work under a key has (a payment's transactions and calls end within 12), and short enough
/// for a buyer whose process was killed to ask again. Whoever takes over after that fences this attempt off: it can no
/// longer keep its answer.
#[derive(Debug, Clone)]
#[must_use = "a claim that is not finished stands in the way for 15 seconds"]
pub struct Ticket {
    request: Request,
    attempt: i32,
}

/// Whether an attempt was still the latest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Its answer is kept.
    Kept,
    /// Another attempt has taken over; its answer will be kept.
    Overtaken,
}

/// Claims `request`'s key in `tx`. Never waits for another request with the same key.
///
/// In work of one transaction, use [`once`](crate::once). In work of several, commit the claim with the first of them.
///
/// # Errors
/// When the database fails.
pub async fn claim(tx: &mut Tx, request: &Request) -> Result<Claim, sqlx::Error> {
    let mut found = store::claim(tx, request).await?;
    if matches!(found, Found::Missed) {
        // Its row was committed after this statement had begun to look; another one sees it.
        found = store::claim(tx, request).await?;
    }
    let known = match found {
        Found::Ours(attempt) => {
            failpoints::hit("idem.after_claim").await.map_err(injected)?;
            return Ok(Claim::Fresh(Ticket::new(request, attempt)));
        }
        Found::Taken | Found::Missed => return Ok(Claim::InFlight),
        Found::Row(known) => known,
    };
    match known {
        Known { expired: true, mine: true, .. }
        | Known { stored: None, same_request: true, lapsed: true, mine: true, .. } => {
            let attempt = store::take_over(tx, request).await?;
            Ok(attempt.map_or(Claim::InFlight, |attempt| Claim::Fresh(Ticket::new(request, attempt))))
        }
        Known { expired: true, mine: false, .. } => Ok(Claim::InFlight),
        Known { same_request: false, .. } => Ok(Claim::OtherRequest),
        Known { stored: Some(stored), .. } => Ok(Claim::Done(stored)),
        Known { stored: None, .. } => Ok(Claim::InFlight),
    }
}

/// Whether `request`'s key is in use already, for this request or another: done, or being worked on.
///
/// For whoever is about to do something outside the database that cannot be taken back; the claim says then what to
/// answer.
///
/// # Errors
/// When the database fails.
pub async fn is_known(tx: &mut Tx, request: &Request) -> Result<bool, sqlx::Error> {
    store::is_known(tx, request).await
}

impl Ticket {
    fn new(request: &Request, attempt: i32) -> Self {
        Self { request: request.clone(), attempt }
    }

    /// Which attempt at the request this is, from 1.
    pub fn attempt(&self) -> i32 {
        self.attempt
    }

    /// Keeps `reply` for repeats, with the receipts that it holds and with what `tx` has made stale so far. The last
    /// statement of the transaction that makes the reply true.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish<R: Reply>(&self, tx: &mut Tx, reply: &R) -> Result<Finish, sqlx::Error> {
        let body = stored::reply_bytes(tx, reply);
        self.keep(tx, Code::Ok, body).await
    }

    /// Keeps a refusal for repeats, or lets another attempt begin when it is one that asking again may change.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refuse(&self, tx: &mut Tx, status: &Status) -> Result<Finish, sqlx::Error> {
        if is_kept(status) {
            return self.keep(tx, status.code(), stored::refusal_bytes(status)).await;
        }
        self.release(tx).await?;
        Ok(Finish::Kept)
    }

    /// Lets another attempt begin at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        store::release(tx, &self.request, self.attempt).await
    }

    async fn keep(&self, tx: &mut Tx, code: Code, body: Option<Vec<u8>>) -> Result<Finish, sqlx::Error> {
        failpoints::hit("idem.before_finish").await.map_err(injected)?;
        let latest = store::finish(tx, &self.request, self.attempt, code, body).await?;
        Ok(if latest { Finish::Kept } else { Finish::Overtaken })
    }
}

fn injected(injected: failpoints::Injected) -> sqlx::Error {
    sqlx::Error::Io(injected.into())
}
