//! One payment, for whoever owns its order.

use proto::orders::v1::{GetPaymentRequest, GetPaymentResponse};
use uuid::Uuid;

use super::Call;
use crate::domain::Invalid;
use crate::error::{Error, Missing};
use crate::store::payments;
use crate::wire::payment as wire;

pub(crate) async fn get_payment(
    call: &Call,
    request: GetPaymentRequest,
) -> Result<GetPaymentResponse, Error> {
    let caller = call.buyer()?.caller();
    let Ok(id) = request.payment_id.parse::<Uuid>() else {
        return Err(Invalid::value("payment_id", "must be a UUID").into());
    };
    let payment = call.read_as(caller, move |tx| {
        Box::pin(async move { payments::payment(tx, id).await?.ok_or(Error::NotFound(Missing::Payment)) })
    });
    Ok(GetPaymentResponse { payment: Some(wire::shown(payment.await?)) })
}
