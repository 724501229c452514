//! A new address; a user's first one becomes the default.

use idempotency::Done;
use proto::accounts::v1::{CreateAddressRequest, CreateAddressResponse};

use super::{Call, address_event, now};
use crate::domain::Invalid;
use crate::domain::address::ADDRESSES_MAX;
use crate::error::{Error, Missing};
use crate::store::addresses::{self, BecomesDefault};
use crate::wire;

pub(crate) async fn create_address(
    call: &Call,
    request: CreateAddressRequest,
) -> Result<Done<CreateAddressResponse>, Error> {
    let oneself = call.oneself()?;
    let given = request.fields.ok_or_else(|| Invalid::value("fields", "must be given"))?;
    let fields = wire::address::fields(&given)?;
    let default = if given.is_default == Some(true) { BecomesDefault::Yes } else { BecomesDefault::No };
    let now = now();

    call.once(
        oneself,
        |address| CreateAddressResponse {
            address: Some(wire::address::address(address)),
            receipts: Vec::new(),
        },
        move |tx| {
            Box::pin(async move {
                if !addresses::lock_owner(tx, oneself.id).await? {
                    return Err(Error::NotFound(Missing::User));
                }
                if addresses::is_full(tx, oneself.id).await? {
                    let detail = format!("a user has at most {ADDRESSES_MAX} addresses");
                    return Err(Invalid::because("too_many_addresses", "fields", detail).into());
                }
                let (address, former) = addresses::insert(tx, oneself.id, &fields, default).await?;
                address_event::record(tx, oneself.id, now, address.id, address.version).await?;
                if let Some(former) = former {
                    address_event::record(tx, oneself.id, now, former.id, former.version).await?;
                }
                Ok(address)
            })
        },
    )
    .await
}
