//! What the facts of orders mean to the catalog. Every handler may run twice: the inbox knows.

pub(crate) mod sales;
pub(crate) mod stock;

use std::time::Duration;

use anyhow::Context as _;
use events::{Delivery, Failure, inbox};
use rls::{BoxFuture, Caller, Class, Database, Tx};

use crate::error::Error;

const DEADLINE: Duration = Duration::from_secs(5);

/// Runs `work` once per message.
async fn once<W>(db: &Database, consumer: &'static str, delivery: &Delivery, work: W) -> Result<(), Failure>
where
    W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<(), Error>> + Send + 'static,
{
    let message_id = delivery.event_id.context("the message has no id").map_err(Failure::Never)?.to_string();
    db.run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
        Box::pin(async move {
            if inbox::first_time(tx, consumer, &message_id).await? {
                work(tx).await?;
            }
            Ok::<_, Error>(())
        })
    })
    .await
    .map(|_committed| ())
    .map_err(|error| Failure::Later(error.into()))
}
