//! Corrections of stock: all of them, or none and why.

use std::collections::{BTreeMap, BTreeSet};

use idempotency::Done;
use proto::orders::v1::{AdjustStockRequest, AdjustStockResponse};
use rls::{Caller, Tx};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::stock::{self as rules, Adjustment, Backorder};
use crate::error::{Conflict, Error, LineProblem};
use crate::handlers::{Call, now, record_all};
use crate::stock::{self, StockChange};
use crate::store::stock::{self as store, Difference, LevelRow};
use crate::wire;

pub(crate) async fn adjust_stock(
    call: &Call,
    request: AdjustStockRequest,
) -> Result<Done<AdjustStockResponse>, Error> {
    let staff = call.staff()?;
    let asked = request.adjustments.into_iter();
    let asked = asked.map(|a| (a.variant_id, a.location_id, a.delta, a.from, a.to, a.reason)).collect();
    let adjustments = rules::adjustments(asked)?;
    // A repeat is answered as before, whether or not the catalog answers now.
    let asked = adjustments.clone();
    let unknown = async { Ok(unknown(call, staff, &asked).await) };
    let adjusting = Adjusting { staff, now: now(), request_id: call.request_id.clone(), adjustments };
    call.once_after(staff, unknown, move |tx, unknown: Vec<(i64, i64)>| Box::pin(adjusting.run(tx, unknown)))
        .await
}

/// Variants that have no level yet, with their products, as far as the catalog knows them.
async fn unknown(call: &Call, staff: Caller, adjustments: &[Adjustment]) -> Result<Vec<(i64, i64)>, Error> {
    let variants: BTreeSet<i64> = adjustments.iter().map(|adjustment| adjustment.variant.get()).collect();
    let asked: Vec<i64> = variants.iter().copied().collect();
    let known =
        call.read_as(staff, move |tx| Box::pin(async move { Ok(store::known(tx, &asked).await?) })).await?;
    let known: BTreeSet<i64> = known.into_iter().collect();
    let missing: Vec<i64> = variants.difference(&known).copied().collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let quotes = call.shared.catalog.quote(&missing, &call.request_id).await?;
    Ok(missing
        .into_iter()
        .filter_map(|variant| Some((variant, quotes.confirmed(variant)?.product_id)))
        .collect())
}

/// One attempt.
#[derive(Clone)]
struct Adjusting {
    staff: Caller,
    now: OffsetDateTime,
    request_id: String,
    adjustments: Vec<Adjustment>,
}

impl Adjusting {
    async fn run(self, tx: &mut Tx, unknown: Vec<(i64, i64)>) -> Result<AdjustStockResponse, Error> {
        if !unknown.is_empty() {
            store::insert(tx, &unknown).await?;
        }
        let variants: Vec<i64> = self.adjustments.iter().map(|adjustment| adjustment.variant.get()).collect();
        let levels = store::lock(tx, &variants).await?;
        let differences = self.differences(&levels)?;
        let cause = format!("adjust:{}", Uuid::now_v7());
        let mut adjusted = store::adjust(tx, &differences, &cause).await?;
        adjusted.sort_by_key(|row| row.change.variant_id);
        let changes: Vec<StockChange> = adjusted.iter().map(|row| row.change.clone()).collect();
        record_all(tx, &stock::events(&self.staff, self.now, &changes)).await?;
        let on_hand = |rows: Vec<(i64, i32)>| json!({ "on_hand": rows });
        audit::record(
            tx,
            &audit::Entry {
                actor: self.staff,
                action: "stock.adjusted",
                entity: "stock",
                entity_id: cause,
                before: Some(on_hand(levels.iter().map(|row| (row.variant_id, row.on_hand)).collect())),
                after: Some(on_hand(changes.iter().map(|row| (row.variant_id, row.on_hand)).collect())),
                request_id: self.request_id,
            },
        )
        .await?;
        Ok(AdjustStockResponse {
            levels: adjusted.iter().map(wire::stock::adjusted).collect(),
            receipts: Vec::new(),
        })
    }

    /// What each level changes by; or all that stands in the way, line by line.
    fn differences(&self, levels: &[LevelRow]) -> Result<Vec<Difference>, Error> {
        let levels: BTreeMap<i64, &LevelRow> = levels.iter().map(|row| (row.variant_id, row)).collect();
        let mut differences = Vec::with_capacity(self.adjustments.len());
        let mut problems = Vec::new();
        for (index, adjustment) in self.adjustments.iter().enumerate() {
            let variant_id = adjustment.variant.get();
            let problem = |code, available| LineProblem {
                index: i32::try_from(index).unwrap_or(i32::MAX),
                variant_id,
                code,
                available,
                unit_amount: 0,
            };
            let Some(level) = levels.get(&variant_id) else {
                problems.push(problem("unknown_variant", 0));
                continue;
            };
            let backorder = if level.backorder { Backorder::Sold } else { Backorder::Refused };
            match adjustment.how.difference(level.on_hand, level.reserved, backorder) {
                Ok(delta) => {
                    differences.push(Difference { variant_id, delta, reason: adjustment.reason.clone() });
                }
                Err(refusal) => problems.push(problem(refusal.code(), level.on_hand.into())),
            }
        }
        if problems.is_empty() {
            Ok(differences)
        } else {
            Err(Error::Lines(Conflict::StockChanged, problems))
        }
    }
}
