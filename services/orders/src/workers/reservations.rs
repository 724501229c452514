//! Orders that nobody pays in time expire: their goods and their coupon are free again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rls::{Caller, Class, Tx};
use tokio_util::sync::CancellationToken;

use super::pace::pause;
use crate::domain::OrderId;
use crate::domain::order::{Mover, Status};
use crate::error::Error;
use crate::handlers::{Shared, now, record_all};
use crate::order_facts;
use crate::payments::facts::Facts;
use crate::store::order_changes as orders;
use crate::store::payments::stock;
use crate::store::sweep as store;

/// How often it is looked, at most.
const EVERY: Duration = Duration::from_secs(2);
/// Orders that one sweep ends; the rest waits for the next one.
const ORDERS_MAX: usize = 200;
const DEADLINE: Duration = Duration::from_secs(5);

/// Sweeps now and then until `stop`.
pub(crate) async fn run(shared: Shared, every: Duration, stop: CancellationToken) {
    while pause(every.min(EVERY), &stop).await {
        if let Err(error) = sweep(&shared, &stop).await {
            tracing::warn!(%error, "overdue orders were not all ended");
        }
    }
}

/// One order per transaction: nobody waits for many, and one that fails does not keep the others.
async fn sweep(shared: &Shared, stop: &CancellationToken) -> Result<(), Error> {
    let mut after = 0;
    for _ in 0..ORDERS_MAX {
        if stop.is_cancelled() {
            break;
        }
        let found = Arc::new(OnceLock::new());
        let finding = Arc::clone(&found);
        let looked = shared.db.run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            let found = Arc::clone(&finding);
            Box::pin(async move { expire_next(tx, after, &found).await })
        });
        match looked.await.map(|looked| looked.value) {
            Ok(Looked::Nothing) => break,
            Ok(Looked::LeftAlone(id)) => after = id.get(),
            Ok(Looked::Expired(id)) => {
                shared.timelines.changed(id);
                after = id.get();
            }
            // The next sweep tries that one again; the others do not wait for it.
            Err(error) => {
                let Some(id) = found.get().copied() else { return Err(error) };
                tracing::warn!(order.id = id, %error, "an overdue order was not ended");
                after = id;
            }
        }
    }
    Ok(())
}

/// What became of the next order.
enum Looked {
    Nothing,
    /// Money is in flight.
    LeftAlone(OrderId),
    Expired(OrderId),
}

async fn expire_next(tx: &mut Tx, after: i64, found: &OnceLock<i64>) -> Result<Looked, Error> {
    let Some(order) = store::next_overdue(tx, after).await? else { return Ok(Looked::Nothing) };
    let _first = found.set(order.id);
    let id = OrderId::known(order.id);
    if !store::is_overdue(tx, id).await? {
        return Ok(Looked::LeftAlone(id));
    }
    let released = stock::release(tx, order.id).await?;
    stock::give_coupon_back(tx, order.id).await?;
    let version = orders::move_to(tx, id, Status::Expired, Mover::System, None).await?;
    let mut facts = Facts::new(Caller::Service, now());
    facts.push(version, order_facts::moved(&order, Status::Expired));
    facts.stock(&released);
    record_all(tx, facts.events()).await?;
    Ok(Looked::Expired(id))
}
