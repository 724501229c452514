//! Work of one transaction, done once however often it is asked for.

use std::time::{Duration, Instant};

use rls::{BoxFuture, Caller, Class, Committed, Database, DatabaseError, Tx};
use tonic::Status;

use crate::claim::{Claim, Finish, claim};
use crate::done::Done;
use crate::here::Turn;
use crate::refused::{Refused, is_kept};
use crate::reply::Reply;
use crate::request::Request;
use crate::store;
use crate::stored::{self, Stored};

/// Which of a service's errors are refusals of what the caller did wrong.
pub trait Verdict {
    /// The status of the refusal, as the caller is told; `None` for what is not the caller's fault. Of those, only
    /// what asking again cannot change is kept for repeats.
    fn refusal(&self) -> Option<Status>;
}

/// Runs `work` in a transaction as [`Database::run`] does, and keeps its reply under `request`'s key in the same
/// transaction.
///
/// A repeat gets that reply, with receipts of its own commit. Without a request, `work` is just run.
///
/// A refusal (see [`Verdict`]) is kept too, after the transaction was rolled back. When a repeat that reached another
/// process was quicker, its answer is given, so that all repeats are told the same.
///
/// # Errors
/// What `work` answers, a [`Refused`], or a [`DatabaseError`].
///
/// # Panics
/// With what `work` panicked with; nothing is kept.
pub async fn once<R, E, W>(
    db: &Database,
    caller: &Caller,
    class: Class,
    within: Duration,
    request: Option<&Request>,
    work: W,
) -> Result<Done<R>, E>
where
    R: Reply,
    E: From<DatabaseError> + From<Refused> + Verdict + Send + 'static,
    W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<R, E>> + Send + 'static,
{
    once_after(db, caller, class, within, request, std::future::ready(()), |tx, ()| work(tx)).await
}

/// As [`once`], with something to find out first, outside the transaction: what `before` gives is handed to `work`.
///
/// Repeats that come while it is found out are refused without asking anybody. A repeat of what was done finds out
/// in vain.
///
/// # Errors
/// As [`once`].
///
/// # Panics
/// As [`once`].
pub async fn once_after<P, R, E, W>(
    db: &Database,
    caller: &Caller,
    class: Class,
    within: Duration,
    request: Option<&Request>,
    before: impl Future<Output = P> + Send,
    work: W,
) -> Result<Done<R>, E>
where
    P: Send + 'static,
    R: Reply,
    E: From<DatabaseError> + From<Refused> + Verdict + Send + 'static,
    W: for<'t> FnOnce(&'t mut Tx, P) -> BoxFuture<'t, Result<R, E>> + Send + 'static,
{
    let by = Instant::now() + within;
    let Some(request) = request else {
        let found = before.await;
        let left = by.saturating_duration_since(Instant::now());
        let Committed { value, receipts } = db.run(caller, class, left, |tx| work(tx, found)).await?;
        return Ok(Done::new(value, receipts, false));
    };
    let Some(_turn) = Turn::take(db.instance(), request) else { return Err(Refused::InFlight.into()) };
    let found = before.await;
    let within = by.saturating_duration_since(Instant::now());
    let claimed = request.clone();
    let ran = db.run(caller, class, within, move |tx| {
        Box::pin(async move { attempt::<R, E, _>(tx, &claimed, |tx| work(tx, found)).await })
    });
    let (error, status) = match ran.await {
        Ok(Committed { value: Worked { reply, replayed }, receipts }) => {
            return Ok(Done::new(reply, receipts, replayed));
        }
        Err(Ended::Otherwise(error)) => return Err(error),
        Err(Ended::Refused { error, status }) => (error, status),
    };
    let left = by.saturating_duration_since(Instant::now());
    match settle::<R>(db, caller, class, left, request.clone(), *status).await {
        Ok(None) => Err(error),
        Ok(Some(answered)) => answered.map_err(E::from),
        Err(failure) => {
            // A repeat will be refused anew, or succeed: nothing was done.
            tracing::warn!(error = %failure, "a refusal could not be kept for repeats");
            Err(error)
        }
    }
}

/// What a transaction gave.
struct Worked<R> {
    reply: R,
    replayed: bool,
}

/// How a transaction came to nothing.
enum Ended<E> {
    /// By a refusal that is to be kept.
    Refused {
        error: E,
        status: Box<Status>,
    },
    Otherwise(E),
}

impl<E: From<DatabaseError>> From<DatabaseError> for Ended<E> {
    fn from(error: DatabaseError) -> Self {
        Self::Otherwise(error.into())
    }
}

async fn attempt<R, E, W>(tx: &mut Tx, request: &Request, work: W) -> Result<Worked<R>, Ended<E>>
where
    R: Reply,
    E: From<DatabaseError> + From<Refused> + Verdict,
    W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<R, E>>,
{
    let refused = |refused: Refused| Ended::Otherwise(E::from(refused));
    let ticket = match claim(tx, request).await.map_err(DatabaseError::from)? {
        Claim::Fresh(ticket) => ticket,
        Claim::Done(stored) => {
            let reply = stored.replay(tx).map_err(refused)?;
            return Ok(Worked { reply, replayed: true });
        }
        Claim::InFlight => return Err(refused(Refused::InFlight)),
        Claim::OtherRequest => return Err(refused(Refused::OtherRequest)),
    };
    let reply = work(tx).await.map_err(|error| match error.refusal().filter(is_kept) {
        Some(status) => Ended::Refused { error, status: Box::new(status) },
        None => Ended::Otherwise(error),
    })?;
    match ticket.finish(tx, &reply).await.map_err(DatabaseError::from)? {
        Finish::Kept => Ok(Worked { reply, replayed: false }),
        Finish::Overtaken => Err(refused(Refused::InFlight)),
    }
}

/// Keeps the refusal, unless something was answered meanwhile: then that. The rollback of the refused transaction may
/// still be under way, so this waits for it.
async fn settle<R: Reply>(
    db: &Database,
    caller: &Caller,
    class: Class,
    within: Duration,
    request: Request,
    status: Status,
) -> Result<Option<Result<Done<R>, Refused>>, DatabaseError> {
    let settled = db.run(caller, class, within, move |tx| {
        Box::pin(async move {
            store::wait(tx, &request).await?;
            let body = stored::refusal_bytes(&status);
            if store::refuse(tx, &request, status.code(), body).await? {
                return Ok(None);
            }
            let answer = store::answer(tx, &request).await?;
            Ok::<_, DatabaseError>(answer.map(|stored: Stored| stored.replay::<R>(tx)))
        })
    });
    let Committed { value, receipts } = settled.await?;
    Ok(value.map(|replayed| replayed.map(|reply| Done::new(reply, receipts, true))))
}
