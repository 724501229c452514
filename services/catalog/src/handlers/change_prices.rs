//! New base prices for variants of one product.

use std::collections::HashMap;

use events::{Event, Fact};
use idempotency::Done;
use proto::catalog::v1::{ChangePricesRequest, ChangePricesResponse};
use proto::events::v1::PriceChanged;
use serde_json::{Value, json};

use super::edit::{detail, lock};
use super::{Call, record};
use crate::domain::price::{BASE_LIST, CURRENCY, Price, PriceChanges};
use crate::domain::{Invalid, ProductId, Version};
use crate::error::Error;
use crate::store::prices::{self, ChangedPrice};
use crate::wire;

pub(crate) async fn change_prices(
    call: &Call,
    request: ChangePricesRequest,
) -> Result<Done<ChangePricesResponse>, Error> {
    let editor = call.editor()?;
    let id = ProductId::parse("product_id", request.product_id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let wanted = wire::prices(request.prices)?;
    let now = super::now();
    let signer = editor.clone();

    call.once(
        &editor,
        move |product| ChangePricesResponse {
            product: Some(wire::product(product, now)),
            receipts: Vec::new(),
        },
        move |tx| {
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
                    record(tx, &Event::new(&signer.caller, now, version, Fact::PriceChanged(fact))).await?;
                }
                let detail = detail(tx, id).await?;
                let (before, after) =
                    (told(&changes, |change| change.old), told(&changes, |change| change.new));
                signer.sign(tx, "product.prices_changed", id, Some(before), Some(after)).await?;
                Ok(detail)
            })
        },
    )
    .await
}

/// Prices by variant, for people who ask later who changed what.
fn told(changes: &[ChangedPrice], of: fn(&ChangedPrice) -> Price) -> Value {
    let told = changes.iter().map(|change| {
        let Price { amount, compare_at } = of(change);
        (change.variant.get().to_string(), json!({ "amount": amount, "compare_at_amount": compare_at }))
    });
    Value::Object(told.collect())
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
