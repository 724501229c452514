//! Counts what was sold into the popularity of products, all sales since the last time at once.
//!
//! Popularity is not shown, it only orders, and a sale must not purge a page. So lists ordered by it are as old as
//! their time to live allows, and the counting says nothing, with one exception: when the shelf of featured products
//! stands in another order afterwards, one event about the first product that moved makes it be read anew.

use std::time::Duration;

use events::{Event, Fact};
use proto::events::v1::ProductUpdated;
use rls::{Caller, Class, Database, Tx};
use tokio_util::sync::CancellationToken;

use crate::domain::ProductId;
use crate::error::Error;
use crate::handlers::{now, record};
use crate::store::{popularity, products};
use crate::wire;

/// Sold quantities counted per transaction.
const BATCH: i64 = 5_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// Counts every now and then until `shutdown`. Replicas take turns.
pub(crate) async fn keep_counted(db: Database, every: Duration, shutdown: CancellationToken) {
    loop {
        // Jittered, so that replicas do not step together.
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every.mul_f64(0.5 + fastrand::f64())) => {}
        }
        loop {
            match count(&db).await {
                Ok(counted) if counted >= BATCH.unsigned_abs() && !shutdown.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "sales were not counted");
                    break;
                }
            }
        }
    }
}

/// Counts one batch; answers how many quantities that were, none when another process is counting.
async fn count(db: &Database) -> Result<u64, Error> {
    let counted = db.run(&Caller::Service, Class::Worker, DEADLINE, |tx| {
        Box::pin(async move {
            if !popularity::is_my_turn(tx).await? {
                return Ok(0);
            }
            let before = popularity::featured(tx).await?;
            let counted = popularity::count(tx, BATCH).await?;
            if counted > 0 {
                let after = popularity::featured(tx).await?;
                let moved = after.iter().zip(&before).find(|(after, before)| after != before);
                if let Some((&product, _)) = moved {
                    say(tx, product).await?;
                }
            }
            Ok::<_, Error>(counted)
        })
    });
    Ok(counted.await?.value)
}

/// Says that the featured products are ordered anew, by the new version of one of them.
async fn say(tx: &mut Tx, product_id: i64) -> Result<(), Error> {
    let product = ProductId::parse("product_id", product_id)?;
    let Some(current) = products::lock(tx, product).await? else { return Ok(()) };
    let now = now();
    let version = popularity::touch(tx, product, now).await?;
    let fields = current.fields;
    let updated = ProductUpdated {
        product_id,
        old_slug: fields.slug.clone(),
        slug: fields.slug,
        old_category: wire::category_path(&current.category_path),
        category: wire::category_path(&current.category_path),
        was_active: fields.is_active,
        is_active: fields.is_active,
        was_featured: fields.is_featured,
        is_featured: fields.is_featured,
        changed: vec!["popularity".to_owned()],
    };
    record(tx, &Event::new(&Caller::Service, now, version, Fact::ProductUpdated(updated))).await
}
