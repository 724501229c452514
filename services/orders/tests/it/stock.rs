//! Stock: what staff correct, what buyers may know, and what is told of it.

use futures_util::future::join_all;
use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, STAFF, TestApp, Who, blamed, refusal};
use crate::buying::patiently;

fn by(variant_id: i64, delta: i32) -> StockAdjustment {
    StockAdjustment { variant_id, delta: Some(delta), reason: "recebimento".to_owned(), ..Default::default() }
}

fn from_to(variant_id: i64, from: i32, to: i32) -> StockAdjustment {
    StockAdjustment {
        variant_id,
        from: Some(from),
        to: Some(to),
        reason: "contagem".to_owned(),
        ..Default::default()
    }
}

fn all(adjustments: Vec<StockAdjustment>) -> AdjustStockRequest {
    AdjustStockRequest { adjustments }
}

#[tokio::test]
async fn a_correction_is_made_told_and_audited() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 12).await;
    app.shelf(2, 1_000, 3).await;
    let reply = app.adjust_stock(STAFF, all(vec![from_to(2, 3, 40), by(1, -2)])).await.unwrap();
    let counts: Vec<_> =
        reply.levels.iter().map(|level| (level.variant_id, level.on_hand, level.band.as_str())).collect();
    assert_eq!(counts, [(1, 10, "in"), (2, 40, "in")]);
    let told = app
        .value("SELECT string_agg(aggregate || ' ' || aggregate_id || ' v' || aggregate_version, ', ' ORDER BY seq) FROM outbox")
        .await;
    assert_eq!(told, "stock 1 v2, stock 2 v2, stock_band 2 v2");
    assert_eq!(reply.receipts.len(), 3);
    let moved = app
        .value("SELECT string_agg(concat_ws(' ', variant_id, kind, on_hand_delta, reason), ', ' ORDER BY variant_id) FROM stock_movements")
        .await;
    assert_eq!(moved, "1 adjust -2 recebimento, 2 adjust 37 contagem");
    let audited = app
        .value("SELECT concat_ws(' ', actor_id, actor_role, action, before, after) FROM audit_chain")
        .await;
    assert_eq!(audited, r#"7 staff stock.adjusted {"on_hand":[[1,12],[2,3]]} {"on_hand":[[1,10],[2,40]]}"#);
}

#[tokio::test]
async fn either_all_corrections_are_made_or_none() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 12).await;
    app.shelf(2, 1_000, 3).await;
    app.sql("UPDATE stock_levels SET reserved = 2 WHERE variant_id = 2").await;
    let answer = app.adjust_stock(STAFF, all(vec![by(1, 5), from_to(2, 4, 9), by(99, 1)])).await;
    assert_eq!(refusal(answer.clone()), (Code::Aborted, "stock_conflict".to_owned(), String::new()));
    let lines: Vec<_> = blamed(answer)
        .into_iter()
        .map(|line| (line.index, line.variant_id, line.code, line.available))
        .collect();
    assert_eq!(lines, [(1, 2, "stock_changed".to_owned(), 3), (2, 99, "unknown_variant".to_owned(), 0)]);
    let below = app.adjust_stock(STAFF, all(vec![by(2, -2)])).await;
    assert_eq!(blamed(below)[0].code, "below_reserved");
    assert_eq!(
        app.value("SELECT string_agg(on_hand::text, ' ' ORDER BY variant_id) FROM stock_levels").await,
        "12 3"
    );
    assert_eq!(app.value("SELECT concat((SELECT count(*) FROM outbox), (SELECT count(*) FROM stock_movements), (SELECT count(*) FROM audit_chain))").await, "000");
}

#[tokio::test]
async fn a_variant_that_the_catalog_knows_gets_its_first_stock() {
    let app = TestApp::start().await;
    app.catalog.sells(5, 1_000);
    let reply = app.adjust_stock(STAFF, all(vec![from_to(5, 0, 30)])).await.unwrap();
    let level = &reply.levels[0];
    assert_eq!((level.product_id, level.on_hand, level.band.as_str()), (50, 30, "in"));
    let told = app
        .value("SELECT string_agg(aggregate || ' ' || aggregate_version, ', ' ORDER BY seq) FROM outbox")
        .await;
    assert_eq!(told, "stock 2, stock_band 2");
}

#[tokio::test]
async fn one_of_many_corrections_from_the_same_sight_is_made() {
    let app = &TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 10).await;
    let correcting =
        (0..20).map(|n| patiently(move || app.adjust_stock(STAFF, all(vec![from_to(1, 10, 100 + n)]))));
    let made = join_all(correcting).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(made, 1);
    // Differences commute.
    let before: i64 = app.value("SELECT on_hand FROM stock_levels").await.parse().unwrap();
    let adding = (0..20).map(|_| patiently(|| app.adjust_stock(STAFF, all(vec![by(1, 2)]))));
    assert!(join_all(adding).await.iter().all(Result::is_ok));
    assert_eq!(app.value("SELECT on_hand FROM stock_levels").await, (before + 40).to_string());
    // Versions have no gap, and the last one is the row's.
    let versions = app
        .value("SELECT concat_ws(' ', count(*), max(aggregate_version), (SELECT version FROM stock_levels)) FROM outbox WHERE aggregate = 'stock'")
        .await;
    assert_eq!(versions, "21 22 22");
}

#[tokio::test]
async fn corrections_of_the_same_goods_in_any_order_never_block_each_other() {
    let app = &TestApp::start_with_many_writers().await;
    for variant in 1..=10 {
        app.shelf(variant, 1_000, 100).await;
    }
    let correcting = (0..24).map(|n| {
        let mut goods: Vec<_> = (1..=10).map(|variant| by(variant, 1)).collect();
        if n % 2 == 0 {
            goods.reverse();
        }
        patiently(move || app.adjust_stock(STAFF, all(goods.clone())))
    });
    for answer in join_all(correcting).await {
        answer.unwrap();
    }
    assert_eq!(
        app.value("SELECT concat_ws(' ', min(on_hand), max(on_hand)) FROM stock_levels").await,
        "124 124"
    );
}

#[tokio::test]
async fn stock_is_listed_for_staff_only() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 12).await;
    app.shelf(2, 1_000, 3).await;
    app.shelf(3, 1_000, 0).await;
    let list = |band: Option<&str>| ListStockRequest {
        page: 1,
        per_page: 2,
        band: band.map(str::to_owned),
        ..Default::default()
    };
    let page = app.list_stock(STAFF, list(None)).await.unwrap();
    assert_eq!((page.total, page.levels.len(), page.levels[0].variant_id), (3, 2, 1));
    let low = app.list_stock(STAFF, list(Some("low"))).await.unwrap();
    assert_eq!((low.total, low.levels[0].variant_id), (1, 2));
    let some = ListStockRequest { variant_ids: vec![3, 1], product_id: Some(30), ..list(None) };
    assert_eq!(app.list_stock(STAFF, some).await.unwrap().levels[0].variant_id, 3);
    assert_eq!(refusal(app.list_stock(STAFF, list(Some("full"))).await).2, "band");
    for (who, code) in [
        (ANA, Code::PermissionDenied),
        (Who::Service("gateway"), Code::PermissionDenied),
        (Who::Nobody, Code::Unauthenticated),
    ] {
        assert_eq!(refusal(app.list_stock(who, list(None)).await).0, code, "{who:?}");
        assert_eq!(refusal(app.adjust_stock(who, all(vec![by(1, 1)])).await).0, code, "{who:?}");
    }
}

#[tokio::test]
async fn anybody_may_know_what_can_be_bought() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 250).await;
    app.shelf(2, 1_000, 3).await;
    app.shelf(3, 1_000, 0).await;
    app.sql("UPDATE stock_levels SET reserved = 1 WHERE variant_id = 2; UPDATE stock_levels SET backorder = true WHERE variant_id = 3").await;
    let request = GetAvailabilityRequest { variant_ids: vec![3, 1, 2, 9] };
    let reply = app.get_availability(Who::Nobody, request).await.unwrap();
    let told: Vec<_> = reply
        .variants
        .iter()
        .map(|variant| (variant.variant_id, variant.available, variant.max_quantity, variant.band.as_str()))
        .collect();
    assert_eq!(told, [(3, true, 99, "in"), (1, true, 99, "in"), (2, true, 2, "low"), (9, false, 0, "out")]);
    let none = app.get_availability(Who::Nobody, GetAvailabilityRequest::default()).await;
    assert_eq!(refusal(none).2, "variant_ids");
}

#[tokio::test]
async fn the_demo_shop_is_loaded_once() {
    let app = TestApp::start().await;
    let stock: Vec<_> = (1..=2_500)
        .map(|variant_id| orders::seed::Stock { variant_id, product_id: variant_id, on_hand: 20 })
        .collect();
    let loaded = orders::seed::load(&app.database.url, &stock, |_| ()).await.unwrap();
    assert_eq!((loaded.levels, loaded.coupons), (2_500, 2));
    let again = orders::seed::load(&app.database.url, &stock, |_| ()).await.unwrap();
    assert_eq!((again.levels, again.coupons), (0, 0));
    let page = ListCouponsRequest { page: 1, per_page: 10 };
    assert_eq!(app.list_coupons(STAFF, page).await.unwrap().total, 2);
    assert_eq!(
        app.value("SELECT count(*) FROM stock_levels s JOIN stock_movements m USING (variant_id) WHERE s.on_hand = m.on_hand_delta").await,
        "2500"
    );
}
