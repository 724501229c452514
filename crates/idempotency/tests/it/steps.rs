//! Work of several transactions: claimed, taken over when late, finished by the latest attempt only.

use idempotency::{Claim, Done, Finish, Refused, Request, Ticket, claim};
use rls::{Class, Database, DatabaseError};
use tonic::Status;

use crate::app::{ANA, Error, PATIENCE, Reply, TestApp, effect, request};

async fn take(db: &Database, asked: &Request) -> Claim {
    let asked = asked.clone();
    let claimed = db.run(&ANA, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move { Ok::<_, DatabaseError>(claim(tx, &asked).await?) })
    });
    claimed.await.expect("claimed").value
}

async fn ticket(db: &Database, asked: &Request) -> Ticket {
    match take(db, asked).await {
        Claim::Fresh(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

async fn finish(db: &Database, ticket: &Ticket) -> Finish {
    let ticket = ticket.clone();
    let finished = db.run(&ANA, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            effect(tx).await?;
            Ok::<_, DatabaseError>(ticket.finish(tx, &Reply::default()).await?)
        })
    });
    finished.await.expect("committed").value
}

async fn replay(db: &Database, asked: &Request) -> Result<Done<Reply>, Error> {
    let asked = asked.clone();
    let replayed = db.run(&ANA, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            match claim(tx, &asked).await? {
                Claim::Done(stored) => Ok(stored.replay::<Reply>(tx)?),
                other => panic!("{other:?}"),
            }
        })
    });
    let committed = replayed.await.map_err(|error: Error| error)?;
    Ok(Done::new(committed.value, committed.receipts, true))
}

#[tokio::test]
async fn a_claim_stands_until_it_is_finished() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let first = ticket(&app.db, &asked).await;
    assert_eq!(first.attempt(), 1);
    assert!(matches!(take(&app.db, &asked).await, Claim::InFlight));
    assert!(matches!(take(&app.db, &request(&ANA, "k-1", 2)).await, Claim::OtherRequest));
    assert_eq!(finish(&app.db, &first).await, Finish::Kept);
    let again = replay(&app.db, &asked).await.expect("kept");
    assert_eq!(again.reply.receipts.len(), 1);
    assert!(again.reply.receipts[0].commit_lsn > 0);
    // Once.
    assert_eq!(finish(&app.db, &first).await, Finish::Overtaken);
}

#[tokio::test]
async fn a_late_attempt_is_taken_over_and_fenced_off() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let slow = ticket(&app.db, &asked).await;
    app.as_superuser("UPDATE shop.idempotency_keys SET locked_until = now()").await;
    assert!(
        matches!(take(&app.db, &request(&ANA, "k-1", 2)).await, Claim::OtherRequest),
        "late, but not theirs"
    );
    let quick = ticket(&app.db, &asked).await;
    assert_eq!(quick.attempt(), 2);
    assert!(matches!(take(&app.db, &asked).await, Claim::InFlight), "its time begins anew");
    assert_eq!(finish(&app.db, &slow).await, Finish::Overtaken);
    assert!(matches!(take(&app.db, &asked).await, Claim::InFlight), "the slow one kept nothing");
    assert_eq!(finish(&app.db, &quick).await, Finish::Kept);
    assert_eq!(finish(&app.db, &slow).await, Finish::Overtaken);
    replay(&app.db, &asked).await.expect("the quick one's reply");
}

#[tokio::test]
async fn one_takes_over_when_many_try() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let _late = ticket(&app.db, &asked).await;
    app.as_superuser("UPDATE shop.idempotency_keys SET locked_until = now()").await;
    let tries = (0..20).map(|_| take(&app.db, &asked));
    let claims = futures_util::future::join_all(tries).await;
    let fresh = claims.iter().filter(|claim| matches!(claim, Claim::Fresh(_))).count();
    let in_flight = claims.iter().filter(|claim| matches!(claim, Claim::InFlight)).count();
    assert_eq!((fresh, in_flight), (1, 19));
}

#[tokio::test]
async fn a_released_claim_is_free_at_once_and_a_refused_one_is_told_again() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let refuse = async |ticket: &Ticket, status: Status| {
        let ticket = ticket.clone();
        let refused = app.db.run(&ANA, Class::Write, PATIENCE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(ticket.refuse(tx, &status).await?) })
        });
        refused.await.expect("committed").value
    };
    let first = ticket(&app.db, &asked).await;
    assert_eq!(refuse(&first, Status::unavailable("the provider is away")).await, Finish::Kept);
    let second = ticket(&app.db, &asked).await;
    assert_eq!(second.attempt(), 2);
    assert_eq!(refuse(&second, Status::failed_precondition("payment_declined")).await, Finish::Kept);
    let told = replay(&app.db, &asked).await;
    let Err(Error::Refused(Refused::Replayed(status))) = told else { panic!("{told:?}") };
    assert_eq!(status.message(), "payment_declined");
}
