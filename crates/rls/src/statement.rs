//! One statement of a transaction: times it, and shows it in the trace of a sampled request.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use latency::Histogram;
use sqlx::PgConnection;
use tracing::Span;

/// The connection, lent for one named statement.
///
/// Dropping it records the time since it was made in `database_query_duration_seconds{query}` and
/// closes the client span; hold it no longer than the statement runs.
#[derive(Debug)]
pub struct Statement<'t> {
    connection: &'t mut PgConnection,
    times: Arc<Histogram>,
    started: Instant,
    /// Disabled, and free, in a request that is not sampled.
    _span: Span,
}

impl<'t> Statement<'t> {
    pub(crate) fn new(connection: &'t mut PgConnection, times: Arc<Histogram>, name: &'static str) -> Self {
        let span = tracing::info_span!(
            "sql",
            otel.name = name,
            otel.kind = "client",
            db.system.name = "postgresql",
            db.query.summary = name,
        );
        Self { connection, times, started: Instant::now(), _span: span }
    }
}

impl Deref for Statement<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection
    }
}

impl DerefMut for Statement<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        self.times.record(self.started.elapsed());
    }
}
