//! Which variants can be bought now, and how many. For anybody.

use proto::orders::v1::{GetAvailabilityRequest, GetAvailabilityResponse};
use rls::Caller;

use crate::domain::{Invalid, VariantId};
use crate::error::Error;
use crate::handlers::Call;
use crate::store::stock;
use crate::wire;

const VARIANTS_MAX: usize = 100;

pub(crate) async fn get_availability(
    call: &Call,
    request: GetAvailabilityRequest,
) -> Result<GetAvailabilityResponse, Error> {
    if !(1..=VARIANTS_MAX).contains(&request.variant_ids.len()) {
        return Err(Invalid::value("variant_ids", format!("must be 1 to {VARIANTS_MAX}")).into());
    }
    let asked = request
        .variant_ids
        .iter()
        .map(|id| VariantId::parse("variant_ids", *id))
        .collect::<Result<Vec<_>, _>>()?;
    let rows = call
        .read_as(Caller::Anonymous, move |tx| {
            Box::pin(async move { Ok(stock::availability(tx, &request.variant_ids).await?) })
        })
        .await?;
    let variants = asked.into_iter().map(|variant| {
        let row = rows.iter().find(|row| row.variant_id == variant.get());
        wire::stock::availability(variant, row)
    });
    Ok(GetAvailabilityResponse { variants: variants.collect() })
}
