//! The event that every change of an address leaves.

use events::{Event, Fact};
use proto::events::v1::AddressChanged;
use rls::{Tx, UserId};
use time::OffsetDateTime;

use super::record as record_event;
use crate::error::Error;

/// Records that the user's address is now at `version`; a removed one is at the version after its last.
pub(crate) async fn record(
    tx: &mut Tx,
    user: UserId,
    now: OffsetDateTime,
    address: i64,
    version: i64,
) -> Result<(), Error> {
    let changed = AddressChanged { address_id: address, user_id: user.0 };
    let event = Event::new(tx.caller(), now, version, Fact::AddressChanged(changed));
    record_event(tx, &event).await
}
