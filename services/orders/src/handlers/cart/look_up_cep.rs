//! Where a postal code is, by the tables that price shipping.

use proto::orders::v1::{LookUpCepRequest, LookUpCepResponse};
use rls::Caller;

use crate::domain::cep::Cep;
use crate::error::Error;
use crate::handlers::Call;
use crate::store::shipping;

pub(crate) async fn look_up_cep(call: &Call, request: LookUpCepRequest) -> Result<LookUpCepResponse, Error> {
    let cep = Cep::parse("cep", &request.cep)?;
    let asked = cep.clone();
    let place = call
        .read_as(Caller::Anonymous, move |tx| {
            Box::pin(async move { shipping::place(tx, &asked).await?.ok_or_else(Error::unknown_cep) })
        })
        .await?;
    Ok(LookUpCepResponse {
        cep: cep.digits().to_owned(),
        state: place.state,
        region: place.region,
        city: place.city,
    })
}
