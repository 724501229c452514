//! Removes what has expired, a bounded piece at a time.

use std::time::Duration;

use rls::{Caller, Class, Database};
use tokio_util::sync::CancellationToken;

use crate::handlers::now;
use crate::store::sweep;

/// Between two sweeps, with up to half as much again, so that processes do not sweep together.
const PAUSE: Duration = Duration::from_secs(60);
/// Before the first one: those who start have other things to do.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(5);
/// Pieces of one table in one sweep; what is left is for the next.
const PIECES_MAX: u32 = 20;

/// Sweeps until `stop`.
pub(crate) async fn run(db: Database, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)) => {}
        }
        once(&db, &stop).await;
        pause = PAUSE;
    }
}

async fn once(db: &Database, stop: &CancellationToken) {
    for (table, statement) in sweep::STATEMENTS {
        for _ in 0..PIECES_MAX {
            if stop.is_cancelled() {
                return;
            }
            let (table, statement, now) = (*table, *statement, now());
            let swept = db.run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
                Box::pin(async move { sweep::piece(tx, statement, now).await })
            });
            match swept.await {
                Ok(swept) if swept.value < sweep::PIECE_ROWS => break,
                Ok(_more) => {}
                Err(error) => {
                    tracing::warn!(
                        table,
                        error = &error as &dyn std::error::Error,
                        "not swept, tried again later"
                    );
                    break;
                }
            }
        }
    }
}
