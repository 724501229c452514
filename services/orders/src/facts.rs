//! What events say: facts made from rows, in one way everywhere.

use std::fmt::Write as _;

use proto::events::v1::CartFact;
use uuid::Uuid;

use crate::handlers::Buyer;

/// A cart, and whose it is.
pub(crate) fn cart(id: Uuid, user_id: Option<i64>, token_sha256: Option<&[u8]>) -> CartFact {
    CartFact { cart_id: id.to_string(), user_id, token_sha256: token_sha256.map(hex) }
}

/// The caller's own cart.
pub(crate) fn own_cart(id: Uuid, buyer: &Buyer) -> CartFact {
    cart(id, buyer.user_id(), buyer.token_sha256().as_ref().map(<[u8; 32]>::as_slice))
}

/// Lower-case hexadecimal digits, as events spell hashes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
