//! Work of one transaction, done once however often it is asked for.

use std::time::Duration;

use rls::{BoxFuture, Caller, Class, Committed, Database, DatabaseError, Tx};
use tonic::Status;

use crate::attempts::Attempts;
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

    /// Whether another transaction was in the way, so that nothing was done and the same work may be tried again at
    /// once: see [`once_after`]. Never, unless the service says so.
    fn is_conflict(&self) -> bool {
        false
    }
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
    let attempts = Attempts::within(within);
    let Some(request) = request else {
        let Committed { value, receipts } = db.run(caller, class, within, work).await?;
        return Ok(Done::new(value, receipts, false));
    };
    let Some(_turn) = Turn::take(db.instance(), request) else { return Err(Refused::InFlight.into()) };
    let claimed = request.clone();
    let ran = db.run(caller, class, within, move |tx| Box::pin(attempt::<R, E, W>(tx, claimed, work)));
    conclude(db, caller, class, attempts.left(), request, ran.await).await
}

/// As [`once`], with something to find out first, outside the transaction: what `before` gives is handed to `work`.
///
/// When another transaction is in the way, `work` is tried again while there is time ([`Attempts`]).
///
/// Repeats that come while it is found out are refused without asking anybody. A repeat of what was done finds out
/// in vain. `before` may find out that there is nothing to do: a refusal inside is answered, and kept, like one of
/// `work`, without trying. A failure outside, such as having no place for more, is answered without asking anybody.
///
/// # Errors
/// As [`once`], and what `before` answers.
///
/// # Panics
/// As [`once`].
pub async fn once_after<P, R, E, W>(
    db: &Database,
    caller: &Caller,
    class: Class,
    within: Duration,
    request: Option<&Request>,
    before: impl Future<Output = Result<Result<P, E>, E>> + Send,
    work: W,
) -> Result<Done<R>, E>
where
    P: Clone + Send + 'static,
    R: Reply,
    E: From<DatabaseError> + From<Refused> + Verdict + Send + 'static,
    W: for<'t> FnOnce(&'t mut Tx, P) -> BoxFuture<'t, Result<R, E>> + Clone + Send + 'static,
{
    let mut attempts = Attempts::within(within);
    let Some(request) = request else {
        let found = before.await??;
        loop {
            let (found, work) = (found.clone(), work.clone());
            match db.run(caller, class, attempts.left(), |tx| work(tx, found)).await {
                Ok(Committed { value, receipts }) => return Ok(Done::new(value, receipts, false)),
                Err(error) if E::is_conflict(&error) && attempts.again().await => {}
                Err(error) => return Err(error),
            }
        }
    };
    let Some(_turn) = Turn::take(db.instance(), request) else { return Err(Refused::InFlight.into()) };
    let found = match before.await? {
        Ok(found) => found,
        Err(refusal) => return refuse(db, caller, class, attempts.left(), request, refusal).await,
    };
    loop {
        let (found, work, claimed) = (found.clone(), work.clone(), request.clone());
        let ran = db.run(caller, class, attempts.left(), move |tx| {
            Box::pin(attempt::<R, E, _>(tx, claimed, |tx: &mut Tx| work(tx, found)))
        });
        match ran.await {
            Err(Ended::Otherwise(error)) if error.is_conflict() && attempts.again().await => {}
            ended => return conclude(db, caller, class, attempts.left(), request, ended).await,
        }
    }
}

/// The answer of a transaction that has ended; a refusal is kept first.
async fn conclude<R, E>(
    db: &Database,
    caller: &Caller,
    class: Class,
    within: Duration,
    request: &Request,
    ended: Result<Committed<Worked<R>>, Ended<E>>,
) -> Result<Done<R>, E>
where
    R: Reply,
    E: From<Refused>,
{
    let (error, status) = match ended {
        Ok(Committed { value: Worked { reply, replayed }, receipts }) => {
            return Ok(Done::new(reply, receipts, replayed));
        }
        Err(Ended::Otherwise(error)) => return Err(error),
        Err(Ended::Refused { error, status }) => (error, status),
    };
    match settle::<R>(db, caller, class, within, request.clone(), *status).await {
        Ok(None) => Err(error),
        Ok(Some(answered)) => answered.map_err(E::from),
        Err(failure) => {
            // A repeat will be refused anew, or succeed: nothing was done.
            tracing::warn!(error = %failure, "a refusal could not be kept for repeats");
            Err(error)
        }
    }
}

/// What was found out before any work speaks against it: claimed and kept in one transaction, unless the request was
/// answered before, or is one whose refusals are not kept.
async fn refuse<R, E>(
    db: &Database,
    caller: &Caller,
    class: Class,
    within: Duration,
    request: &Request,
    refusal: E,
) -> Result<Done<R>, E>
where
    R: Reply,
    E: From<DatabaseError> + From<Refused> + Verdict + Send + 'static,
{
    let request = request.clone();
    let kept = db.run(caller, class, within, move |tx| {
        Box::pin(async move {
            let ticket = match claim(tx, &request).await.map_err(DatabaseError::from)? {
                Claim::Fresh(ticket) => ticket,
                Claim::Done(stored) => return Ok(Ok(stored.replay::<R>(tx)?)),
                Claim::InFlight => return Err(Refused::InFlight.into()),
                Claim::OtherRequest => return Err(Refused::OtherRequest.into()),
            };
            let Some(status) = refusal.refusal().filter(is_kept) else { return Err(refusal) };
            match ticket.refuse(tx, &status).await.map_err(DatabaseError::from)? {
                Finish::Kept => Ok(Err(refusal)),
                Finish::Overtaken => Err(Refused::InFlight.into()),
            }
        })
    });
    let Committed { value, receipts } = kept.await?;
    value.map(|reply| Done::new(reply, receipts, true))
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

async fn attempt<R, E, W>(tx: &mut Tx, request: Request, work: W) -> Result<Worked<R>, Ended<E>>
where
    R: Reply,
    E: From<DatabaseError> + From<Refused> + Verdict,
    W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<R, E>>,
{
    let refused = |refused: Refused| Ended::Otherwise(E::from(refused));
    let ticket = match claim(tx, &request).await.map_err(DatabaseError::from)? {
        Claim::Fresh(ticket) => ticket,
        Claim::Done(stored) => {
            let reply = stored.replay(tx).map_err(refused)?;
            return Ok(Worked { reply, replayed: true });
        }
        Claim::InFlight => return Err(refused(Refused::InFlight)),
        Claim::OtherRequest => return Err(refused(Refused::OtherRequest)),
    };
    let reply = work(tx).await.map_err(|error| match error.refusal().filter(is_kept) {
        Some(status) if !error.is_conflict() => Ended::Refused { error, status: Box::new(status) },
        Some(_) | None => Ended::Otherwise(error),
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
