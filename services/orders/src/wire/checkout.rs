//! A checkout in the contract's words.

use proto::orders::v1 as pb;

use crate::domain::Invalid;
use crate::domain::cep::Cep;
use crate::domain::checkout::{COUNTRY, Destination, address_line, name};
use crate::domain::tax::State;
use crate::store::orders::StoredAddress;

/// Reads where an order goes.
pub(crate) fn destination(address: Option<pb::Address>) -> Result<Destination, Invalid> {
    let address = address.ok_or_else(|| Invalid::value("shipping_address", "must be given"))?;
    if address.country != COUNTRY {
        return Err(Invalid::value("shipping_address.country", "must be BR"));
    }
    let optional = |field: &str, text: Option<String>| {
        text.filter(|text| !text.trim().is_empty()).map(|text| address_line(field, &text)).transpose()
    };
    Ok(Destination {
        recipient: name("shipping_address.recipient", &address.recipient)?,
        line1: address_line("shipping_address.line1", &address.line1)?,
        line2: optional("shipping_address.line2", address.line2)?,
        district: optional("shipping_address.district", address.district)?,
        city: name("shipping_address.city", &address.city)?,
        state: State::named(&address.state)
            .ok_or_else(|| Invalid::value("shipping_address.state", "must be the two letters of a state"))?,
        cep: Cep::parse("shipping_address.postal_code", &address.postal_code)?,
    })
}

/// As an order keeps it.
pub(crate) fn stored(destination: &Destination) -> StoredAddress {
    StoredAddress {
        recipient: destination.recipient.clone(),
        line1: destination.line1.clone(),
        line2: destination.line2.clone(),
        district: destination.district.clone(),
        city: destination.city.clone(),
        state: destination.state.letters().to_owned(),
        postal_code: destination.cep.digits().to_owned(),
        country: COUNTRY.to_owned(),
    }
}
