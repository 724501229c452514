//! The caller's own addresses, the default first.

use proto::accounts::v1::{ListAddressesRequest, ListAddressesResponse};

use super::Call;
use crate::error::Error;
use crate::store::addresses;
use crate::wire;

pub(crate) async fn list_addresses(
    call: &Call,
    _: ListAddressesRequest,
) -> Result<ListAddressesResponse, Error> {
    let oneself = call.oneself()?;
    let rows = call
        .read(oneself, move |tx| Box::pin(async move { Ok(addresses::addresses(tx, oneself.id).await?) }))
        .await?;
    Ok(ListAddressesResponse { addresses: rows.into_iter().map(wire::address::address).collect() })
}
