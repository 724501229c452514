//! New base prices for variants of one product.

use std::collections::HashMap;

use events::{Event, Fact};
use proto::catalog::v1::{ChangePricesRequest, ChangePricesResponse};
use proto::events::v1::PriceChanged;

use super::edit::{detail, lock};
use super::{Call, record};
use crate::domain::price::{BASE_LIST, CURRENCY, PriceChanges};
use crate::domain::{Invalid, ProductId, Version};
use crate::error::Error;
use crate::store::prices::{self, ChangedPrice};
use crate::wire;

pub(crate) async fn change_prices(
    call: &Call,
    request: ChangePricesRequest,
) -> Result<ChangePricesResponse, Error> {
    let editor = call.editor()?;
    let id = ProductId::parse("product_id", request.product_id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let wanted = wire::prices(request.prices)?;
    let now = super::now();

    let committed = call
        .write(&editor, move |tx| {
            Box::pin(async move {
                lock(tx, id, expected).await?;
                let current = prices::current(tx, id).await?;
                let changes = changes(&wanted, current)?;
                if changes.is_empty() {
                    return detail(tx, id).await;
                }

                let versions: HashMap<i64, i64> = prices::write(tx, &changes).await?.into_iter().collect();
                // The history tells amounts; a new former price alone is not in it.
                let repriced: Vec<_> =
                    changes.iter().filter(|c| c.old.amount != c.new.amount).copied().collect();
                if !repriced.is_empty() {
                    prices::write_history(tx, &repriced, now).await?;
                }
                prices::refresh_product(tx, id, now).await?;
                for change in &changes {
                    let version = versions[&change.variant.get()];
                    let fact = PriceChanged {
                        product_id: id.get(),
                        variant_id: change.variant.get(),
                        price_list: BASE_LIST.to_owned(),
                        currency: CURRENCY.to_owned(),
                        old_amount: change.old.amount,
                        amount: change.new.amount,
                        valid_from: Some(wire::timestamp(now)),
                    };
                    record(tx, &Event::new(&editor.0, now, version, Fact::PriceChanged(fact))).await?;
                }
                detail(tx, id).await
            })
        })
        .await?;
    Ok(ChangePricesResponse {
        product: Some(wire::product(committed.value, now)),
        receipts: wire::receipts(committed.receipts),
    })
}

/// The prices that really change; every variant named must be one of the product's.
fn changes(wanted: &PriceChanges, current: Vec<prices::CurrentPrice>) -> Result<Vec<ChangedPrice>, Invalid> {
    let current: HashMap<i64, _> = current.into_iter().map(|row| (row.variant_id, row.price)).collect();
    let mut changes = Vec::new();
    for (index, (variant, new)) in wanted.iter().enumerate() {
        let Some(old) = current.get(&variant.get()).copied() else {
            let field = format!("prices[{index}].variant_id");
            return Err(Invalid::because("variant_not_found", field, "is not a variant of this product"));
        };
        if old != new {
            changes.push(ChangedPrice { variant, old, new });
        }
    }
    Ok(changes)
}
