//! Some fields of an address replaced.

use idempotency::Done;
use proto::accounts::v1::{UpdateAddressRequest, UpdateAddressResponse};

use super::{Call, address_event, now};
use crate::domain::address::AddressId;
use crate::domain::{Invalid, Version};
use crate::error::{Error, Missing};
use crate::store::addresses::{self, BecomesDefault};
use crate::wire;

pub(crate) async fn update_address(
    call: &Call,
    request: UpdateAddressRequest,
) -> Result<Done<UpdateAddressResponse>, Error> {
    let oneself = call.oneself()?;
    let id = AddressId::parse("id", request.id)?;
    let expected =
        request.expected_version.map(|version| Version::parse("expected_version", version)).transpose()?;
    let wanted_default = request.is_default;
    let patch = wire::address::patch(request)?;
    let now = now();

    call.once(
        oneself,
        |address| UpdateAddressResponse {
            address: Some(wire::address::address(address)),
            receipts: Vec::new(),
        },
        move |tx| {
            Box::pin(async move {
                let user = oneself.id;
                if !addresses::lock_owner(tx, user).await? {
                    return Err(Error::NotFound(Missing::Address));
                }
                let current = addresses::locked(tx, user, id).await?;
                let current = current.ok_or(Error::NotFound(Missing::Address))?;
                if let Some(expected) = expected.filter(|expected| expected.get() != current.version) {
                    return Err(Error::StaleVersion { expected: expected.get(), current: current.version });
                }
                let default = match wanted_default {
                    Some(false) if current.is_default => {
                        let detail = "make another address the default instead";
                        return Err(Invalid::value("is_default", detail).into());
                    }
                    Some(true) => BecomesDefault::Yes,
                    Some(false) | None => BecomesDefault::No,
                };
                let before = current.fields()?;
                let after = patch.apply(before.clone())?;
                if after == before && (current.is_default || default == BecomesDefault::No) {
                    return Ok(current);
                }
                let updated = addresses::update(tx, user, id, &after, default).await?;
                let (address, former) = updated.ok_or(Error::NotFound(Missing::Address))?;
                address_event::record(tx, user, now, address.id, address.version).await?;
                if let Some(former) = former {
                    address_event::record(tx, user, now, former.id, former.version).await?;
                }
                Ok(address)
            })
        },
    )
    .await
}
