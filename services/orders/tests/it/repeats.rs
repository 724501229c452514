//! Repeats of what was done: answered as before, whatever became of the world, and kept without where somebody lives.

use proto::orders::v1::*;

use crate::app::{ANA, STAFF, TestApp, refusal};
use crate::buying::whole;

const REPLAYED: &str = "mc-idempotent-replayed";

#[tokio::test]
async fn a_repeat_does_not_ask_whether_it_could_be_done_again() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let add = async || {
        let message = AddItemRequest { variant_id: 1, quantity: 2 };
        app.carts.clone().add_item(app.keyed(ANA, message, "POST /api/v1/cart/items", "add")).await
    };
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let again = async || {
        let message = ReorderRequest { order_id: order.id };
        app.orders.clone().reorder(app.keyed(ANA, message, "POST /api/v1/orders/1/reorder", "again")).await
    };
    app.catalog.sells(9, 500);
    let adjust = async || {
        let adjustment = StockAdjustment {
            variant_id: 9,
            location_id: 1,
            delta: Some(5),
            reason: "counted".into(),
            ..Default::default()
        };
        let message = AdjustStockRequest { adjustments: vec![adjustment] };
        app.desk.clone().adjust_stock(app.keyed(STAFF, message, "POST /api/v1/admin/stock", "adjust")).await
    };
    let first = (add().await.unwrap(), again().await.unwrap(), adjust().await.unwrap());

    app.catalog.stops_selling(1);
    let second = add().await.unwrap();
    assert_eq!(second.metadata().get(REPLAYED).unwrap(), "true");
    assert_eq!(second.get_ref().cart, first.0.get_ref().cart);
    let refused = app.add_item(ANA, AddItemRequest { variant_id: 1, quantity: 2 }).await;
    assert_eq!(refusal(refused).1, "variant_not_found");

    app.catalog.leaves();
    let second = again().await.unwrap();
    assert_eq!(second.metadata().get(REPLAYED).unwrap(), "true");
    assert_eq!(second.get_ref().cart, first.1.get_ref().cart);
    app.sql("UPDATE stock_levels SET on_hand = 50 WHERE variant_id = 9").await;
    let second = adjust().await.unwrap();
    assert_eq!(second.metadata().get(REPLAYED).unwrap(), "true");
    assert_eq!(second.get_ref().levels, first.2.get_ref().levels);
}

#[tokio::test]
async fn an_order_that_was_placed_is_told_of_without_its_address() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.put(ANA, 1, 1).await;
    let wish = app.wish(ANA).await;
    let request = || app.keyed(ANA, wish.clone(), "POST /api/v1/checkout", "k");
    let first = app.checkouts.clone().place_order(request()).await.unwrap().into_inner();
    // The account's address was deleted meanwhile, so that the gateway has none to send.
    let mut again = request();
    again.get_mut().shipping_address = None;
    let again = app.checkouts.clone().place_order(again).await.unwrap();
    assert_eq!(again.metadata().get(REPLAYED).unwrap(), "true");
    assert_eq!(again.get_ref().order.as_ref().unwrap().id, first.order.unwrap().id);
    let mut fresh = app.keyed(ANA, wish.clone(), "POST /api/v1/checkout", "other");
    fresh.get_mut().shipping_address = None;
    assert_eq!(refusal(app.checkouts.clone().place_order(fresh).await).2, "shipping_address");
}

#[tokio::test]
async fn nobodys_address_is_kept_for_repeats() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let note = async || {
        let message = AddNoteRequest { order_id: order.id, body: "x".into() };
        let request = app.keyed(STAFF, message, "POST /api/v1/admin/orders/1/notes", "k");
        app.desk.clone().add_note(request).await.unwrap().into_inner().order.unwrap()
    };
    let cancel = async || {
        let request = app.keyed(ANA, whole(order.id), "POST /api/v1/orders/1/cancel", "k");
        app.orders.clone().cancel_order(request).await.unwrap().into_inner().order.unwrap()
    };
    let (noted, cancelled) = (note().await, cancel().await);
    assert_eq!(noted.shipping_address, order.shipping_address);
    assert_eq!(cancelled.shipping_address, order.shipping_address);
    assert!(order.shipping_address.is_some());
    assert_eq!((note().await, cancel().await), (noted, cancelled));
    let kept = "SELECT count(*) FILTER (WHERE position('Paulista'::bytea IN reply) > 0) || ' of ' || count(*) FROM idempotency_keys";
    assert_eq!(app.value(kept).await, "0 of 2");
}
