//! An address removed; when it was the default, the oldest of the others becomes it.

use idempotency::Done;
use proto::accounts::v1::{DeleteAddressRequest, DeleteAddressResponse};

use super::{Call, address_event, now};
use crate::domain::Version;
use crate::domain::address::AddressId;
use crate::error::{Error, Missing};
use crate::store::addresses;

pub(crate) async fn delete_address(
    call: &Call,
    request: DeleteAddressRequest,
) -> Result<Done<DeleteAddressResponse>, Error> {
    let oneself = call.oneself()?;
    let id = AddressId::parse("id", request.id)?;
    let expected =
        request.expected_version.map(|version| Version::parse("expected_version", version)).transpose()?;
    let now = now();

    call.once(
        oneself,
        |()| DeleteAddressResponse { receipts: Vec::new() },
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
                let deleted = addresses::delete(tx, user, id).await?;
                let (gone, heir) = deleted.ok_or(Error::NotFound(Missing::Address))?;
                address_event::record(tx, user, now, gone.id, gone.version + 1).await?;
                if let Some(heir) = heir {
                    address_event::record(tx, user, now, heir.id, heir.version).await?;
                }
                Ok(())
            })
        },
    )
    .await
}
