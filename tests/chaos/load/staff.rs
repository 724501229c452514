//! The shop's own work: prices, stock, refunds.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::json;

use super::{REPRICED, World};
use crate::client::{Ask, Client};

/// One piece of work.
pub(super) async fn work(world: &World, admin: &mut Client) {
    match admin.draw.u8(0..10) {
        0..4 => change_price(world, admin).await,
        4..6 => adjust_stock(world, admin).await,
        6..8 => {
            admin.ask(&Ask::get("admin_orders", "/api/v1/admin/orders?per_page=20")).await;
        }
        _ => change_an_order(admin).await,
    }
}

/// Makes a product dearer. Changes come one after the other, so that a higher amount is a newer one.
async fn change_price(world: &World, admin: &mut Client) {
    let _turn = world.pricing.lock().await;
    let product = admin.draw.i64(1..=REPRICED);
    let path = format!("/api/v1/admin/products/{product}");
    let current = admin.ask(&Ask::get("admin_product", &path)).await;
    let variant = current.json["data"]["product"]["variants"][0]["id"].clone();
    let (true, Some(tag)) = (current.is_ok(), current.etag) else { return };
    let amount = world.next_amount.fetch_add(1, Ordering::Relaxed);
    let path = format!("{path}/prices");
    let mut ask = Ask::new("price_change", Method::PUT, &path);
    ask.body = json!({ "prices": [{ "variant_id": variant, "amount": amount }] });
    ask.if_match = Some(&tag);
    let changed = admin.ask(&ask).await;
    if changed.is_ok() {
        world.history.lock().repriced.push((product, amount, changed.ended));
    }
}

async fn adjust_stock(world: &World, admin: &mut Client) {
    let variant = world.variants[admin.draw.usize(0..world.variants.len())];
    let delta = admin.draw.i32(-3..8);
    let body = json!([{ "variant_id": variant.id, "location_id": 1, "delta": delta, "reason": "contagem" }]);
    admin.ask_surely(Ask::post("stock_adjust", "/api/v1/admin/stock/adjust", body)).await;
}

/// Moves a paid order on, or gives some of its money back.
async fn change_an_order(admin: &mut Client) {
    let list = admin.ask(&Ask::get("admin_orders", "/api/v1/admin/orders?status=paid&per_page=20")).await;
    let Some(orders) = list.json["data"]["orders"].as_array().filter(|orders| !orders.is_empty()) else {
        return;
    };
    let Some(order) = orders[admin.draw.usize(0..orders.len())]["id"].as_i64() else { return };
    let path = format!("/api/v1/admin/orders/{order}");
    if admin.draw.bool() {
        let refunds = format!("{path}/refunds");
        let amount = admin.draw.i64(1..500);
        admin
            .ask_surely(Ask::post("refund", &refunds, json!({ "amount": amount, "reason": "gentileza" })))
            .await;
        return;
    }
    let seen = admin.ask(&Ask::get("admin_order", &path)).await;
    let Some(tag) = seen.etag else { return };
    let mut ask = Ask::new("order_status", Method::PATCH, &path);
    ask.body = json!({ "status": "processing" });
    ask.if_match = Some(&tag);
    admin.ask(&ask).await;
}
