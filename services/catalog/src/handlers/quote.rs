//! What variants are and cost now, for the processes that sell them.

use proto::catalog::v1::{QuoteRequest, QuoteResponse};

use super::Call;
use crate::domain::quote::Quoted;
use crate::error::Error;
use crate::store::quotes;
use crate::wire;

pub(crate) async fn quote(call: &Call, request: QuoteRequest) -> Result<QuoteResponse, Error> {
    let quoted = Quoted::parse("variant_ids", &request.variant_ids)?;
    let quotes = call.read(move |tx| Box::pin(async move { Ok(quotes::quotes(tx, &quoted).await?) })).await?;
    Ok(QuoteResponse { variants: quotes.into_iter().map(wire::quote).collect() })
}
