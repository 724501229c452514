//! Ends carts that nobody has touched in time, and deletes those that ended long ago.

use std::time::Duration;

use events::{Event, Fact};
use rls::{Caller, Class, Database, Tx};
use tokio_util::sync::CancellationToken;

use super::pace;
use crate::error::Error;
use crate::facts;
use crate::handlers::{now, record_all};
use crate::store::carts;

/// Rows per transaction.
const BATCH: u64 = 100;
const DEADLINE: Duration = Duration::from_secs(5);
/// How seldom what ended is looked for, among looks for what has to end: it is in nobody's way.
const DELETE_AMONG: u32 = 10;
/// How long what ended is kept: a merge tells its report until then.
const KEPT: time::Duration = time::Duration::days(30);

/// Looks again and again until `stop`. Several processes do each other no harm: each takes other carts.
pub(crate) async fn run(db: Database, every: Duration, stop: CancellationToken) {
    let mut looks = 0_u32;
    while pace::pause(every, &stop).await {
        all_of(&db, Work::Expire, &stop).await;
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(DELETE_AMONG) {
            all_of(&db, Work::DeleteOrderedLines, &stop).await;
            all_of(&db, Work::DeleteEnded, &stop).await;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Expire,
    DeleteEnded,
    DeleteOrderedLines,
}

/// Batch after batch, until one is not full.
async fn all_of(db: &Database, work: Work, stop: &CancellationToken) {
    loop {
        let batch = db.run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            Box::pin(async move {
                let limit = i64::try_from(BATCH).expect("a batch is small");
                match work {
                    Work::Expire => expire(tx, limit).await,
                    Work::DeleteEnded => Ok(carts::delete_ended(tx, limit, KEPT).await?),
                    Work::DeleteOrderedLines => Ok(carts::delete_ordered_lines(tx, limit, KEPT).await?),
                }
            })
        });
        match batch.await {
            Ok(done) if done.value >= BATCH && !stop.is_cancelled() => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(?work, %error, "old carts were not dealt with");
                return;
            }
        }
    }
}

/// Ends one batch; answers how many those were.
async fn expire(tx: &mut Tx, limit: i64) -> Result<u64, Error> {
    let carts = carts::expire(tx, limit).await?;
    let at = now();
    let events: Vec<Event> = carts
        .iter()
        .map(|cart| {
            let fact = facts::cart(cart.id, cart.user_id, cart.token_sha256.as_deref());
            Event::new(&Caller::Service, at, cart.version, Fact::CartExpired(fact))
        })
        .collect();
    record_all(tx, &events).await?;
    Ok(u64::try_from(carts.len()).expect("a batch is small"))
}
