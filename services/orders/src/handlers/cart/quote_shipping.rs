//! What shipping costs, for the caller's cart or for goods that are named.

use proto::orders::v1::{QuoteShippingRequest, QuoteShippingResponse, ShippingQuote};
use rls::Caller;

use crate::domain::cart::Quantity;
use crate::domain::cep::Cep;
use crate::domain::shipping::{LIFETIME, Quote, Service};
use crate::domain::{Invalid, VariantId};
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::store::{carts, shipping};
use crate::wire::timestamp;

const ITEMS_MAX: usize = 100;

pub(crate) async fn quote_shipping(
    call: &Call,
    request: QuoteShippingRequest,
) -> Result<QuoteShippingResponse, Error> {
    let cep = Cep::parse("cep", &request.cep)?;
    let goods = goods(call, &request).await?;
    let variants: Vec<i64> = goods.iter().map(|(variant, _)| *variant).collect();
    let quotes = call.shared.catalog.quote(&variants, &call.request_id).await?;
    let mut weight_g = 0;
    for (variant, quantity) in goods {
        let quote = quotes.confirmed(variant).ok_or_else(|| Error::unknown_variant("items"))?;
        weight_g += i64::from(quote.weight_g) * i64::from(quantity);
    }
    if weight_g == 0 {
        return Err(Invalid::value("items", "there is nothing to ship").into());
    }

    let asked = cep.clone();
    let rates = call
        .read_as(Caller::Anonymous, move |tx| {
            Box::pin(async move {
                let rates = shipping::rates(tx, &asked, weight_g).await?;
                if rates.is_empty() && shipping::place(tx, &asked).await?.is_none() {
                    return Err(Error::unknown_cep());
                }
                Ok(rates)
            })
        })
        .await?;
    let expires_at = now() + LIFETIME;
    let table_version = rates.first().map_or(0, |rate| rate.table_version);
    let mut offered = Vec::with_capacity(rates.len());
    for rate in rates {
        let quote = Quote {
            service: Service::parse("service", &rate.service)?,
            cep: cep.clone(),
            weight_g,
            amount: rate.amount,
            table_version: rate.table_version,
            expires_at,
        };
        offered.push(ShippingQuote {
            id: quote.sign(&call.shared.key),
            carrier: rate.carrier,
            service: rate.service,
            amount: rate.amount,
            currency: "BRL".to_owned(),
            days_min: rate.days_min,
            days_max: rate.days_max,
            expires_at: Some(timestamp(expires_at)),
        });
    }
    Ok(QuoteShippingResponse { quotes: offered, table_version, weight_g })
}

/// Variants and quantities: as named, else what is in the caller's cart.
async fn goods(call: &Call, request: &QuoteShippingRequest) -> Result<Vec<(i64, i32)>, Error> {
    if request.items.is_empty() {
        let buyer = call.buyer()?;
        let lines = call
            .read_as(buyer.caller(), |tx| {
                Box::pin(async move {
                    let Some(cart) = carts::own(tx).await? else { return Ok(Vec::new()) };
                    Ok(carts::lines(tx, cart.id).await?)
                })
            })
            .await?;
        return Ok(lines.iter().map(|line| (line.variant_id, line.quantity)).collect());
    }
    if request.items.len() > ITEMS_MAX {
        return Err(Invalid::value("items", format!("must be at most {ITEMS_MAX}")).into());
    }
    let mut goods = Vec::with_capacity(request.items.len());
    for (index, item) in request.items.iter().enumerate() {
        let variant = VariantId::parse(&format!("items.{index}.variant_id"), item.variant_id)?;
        let quantity = Quantity::parse(&format!("items.{index}.quantity"), item.quantity)?;
        goods.push((variant.get(), quantity.get()));
    }
    Ok(goods)
}
