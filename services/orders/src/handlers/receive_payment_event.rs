//! What the payment provider tells us. The caller proves nothing: the signature does.

use proto::orders::v1::{ReceivePaymentEventRequest, ReceivePaymentEventResponse};

use super::Call;
use crate::error::Error;

pub(crate) async fn receive_payment_event(
    call: &Call,
    request: ReceivePaymentEventRequest,
) -> Result<ReceivePaymentEventResponse, Error> {
    let ReceivePaymentEventRequest { provider, body, signature } = request;
    call.shared.payments.receive(call, &provider, body, &signature).await?;
    Ok(ReceivePaymentEventResponse {})
}
