//! Ends carts that nobody has touched in time.

use std::time::Duration;

use events::{Event, Fact};
use rls::{Caller, Class, Database};
use tokio_util::sync::CancellationToken;

use super::pace;
use crate::error::Error;
use crate::facts;
use crate::handlers::{now, record_all};
use crate::store::carts;

/// Carts per transaction.
const BATCH: usize = 100;
const DEADLINE: Duration = Duration::from_secs(5);

/// Looks again and again until `stop`. Several processes do each other no harm: each takes other carts.
pub(crate) async fn run(db: Database, every: Duration, stop: CancellationToken) {
    while pace::pause(every, &stop).await {
        loop {
            match expire(&db).await {
                Ok(BATCH) if !stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "old carts were not ended");
                    break;
                }
            }
        }
    }
}

/// Ends one batch; answers how many those were.
async fn expire(db: &Database) -> Result<usize, Error> {
    let ended = db.run(&Caller::Service, Class::Worker, DEADLINE, |tx| {
        Box::pin(async move {
            let limit = i64::try_from(BATCH).expect("a batch is small");
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
            Ok::<_, Error>(carts.len())
        })
    });
    Ok(ended.await?.value)
}
