//! Statistics over a window, from memory: Redis is not asked.

use std::sync::Arc;

use proto::metrics::v1::{QueryRequest, QueryResponse};

use crate::{clock, domain::Question, error::Error, state::State};

pub(crate) async fn query(state: Arc<State>, request: QueryRequest) -> Result<QueryResponse, Error> {
    let question = Question::parse(request)?;
    // A busy hour is milliseconds of adding up, which would hold up the streams on this thread.
    let answer = tokio::task::spawn_blocking(move || state.aggregator().answer(&question, clock::now_s()));
    answer.await.map_err(Error::Internal)
}
