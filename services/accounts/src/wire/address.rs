//! Addresses of the contract: read into domain types, written from rows.

use proto::accounts::v1 as pb;

use crate::domain::Invalid;
use crate::domain::address::{self, AddressFields, AddressPatch, Place};
use crate::store::addresses::Address;

/// An address as its owner sees it.
pub(crate) fn address(address: Address) -> pb::Address {
    pb::Address {
        id: address.id,
        label: address.label,
        recipient: address.recipient,
        line1: address.line1,
        line2: address.line2,
        district: address.district,
        city: address.city,
        state: address.state,
        postal_code: address.postal_code,
        country: address.country,
        is_default: address.is_default,
        version: address.version,
    }
}

/// Reads the fields of an address to be.
pub(crate) fn fields(fields: &pb::AddressFields) -> Result<AddressFields, Invalid> {
    Ok(AddressFields {
        label: address::label(fields.label.as_deref().unwrap_or_default())?,
        recipient: address::recipient(&fields.recipient)?,
        line1: address::line1(&fields.line1)?,
        line2: address::line2(fields.line2.as_deref().unwrap_or_default())?,
        district: address::district(fields.district.as_deref().unwrap_or_default())?,
        place: Place::parse(&fields.city, &fields.state, &fields.postal_code, "state")?,
    })
}

/// Reads which fields of an address change.
pub(crate) fn patch(request: pb::UpdateAddressRequest) -> Result<AddressPatch, Invalid> {
    Ok(AddressPatch {
        label: request.label.as_deref().map(address::label).transpose()?,
        recipient: request.recipient.as_deref().map(address::recipient).transpose()?,
        line1: request.line1.as_deref().map(address::line1).transpose()?,
        line2: request.line2.as_deref().map(address::line2).transpose()?,
        district: request.district.as_deref().map(address::district).transpose()?,
        city: request.city,
        state: request.state,
        postal_code: request.postal_code,
    })
}
