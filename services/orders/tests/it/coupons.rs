//! Coupons: what staff write, and what buyers get for them before they buy.

use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, GUEST, STAFF, TestApp, Who, refusal};

fn coupon(code: &str, kind: &str, value: i64) -> Coupon {
    Coupon {
        code: code.to_owned(),
        kind: kind.to_owned(),
        value,
        rules: Some(CouponRules::default()),
        per_customer_limit: 1,
        is_active: true,
        ..Default::default()
    }
}

async fn created(app: &TestApp, coupon: Coupon) -> Coupon {
    let request = CreateCouponRequest { coupon: Some(coupon) };
    app.create_coupon(STAFF, request).await.unwrap().coupon.unwrap()
}

async fn with(app: &TestApp, code: &str) -> Cart {
    app.set_coupon(ANA, SetCouponRequest { code: code.to_owned() }).await.unwrap().cart.unwrap()
}

#[tokio::test]
async fn staff_write_coupons_that_are_audited() {
    let app = TestApp::start().await;
    let new = created(&app, coupon("dez", "percent", 1_000)).await;
    assert_eq!((new.code.as_str(), new.version, new.used), ("DEZ", 1, 0));
    let twice =
        app.create_coupon(STAFF, CreateCouponRequest { coupon: Some(coupon("DEZ", "fixed", 1)) }).await;
    assert_eq!(refusal(twice), (Code::Aborted, "coupon_taken".to_owned(), String::new()));

    let update = |version| UpdateCouponRequest {
        coupon: Some(Coupon { usage_limit: Some(5), ..coupon("Dez", "percent", 1_500) }),
        expected_version: version,
    };
    let newer = app.update_coupon(STAFF, update(1)).await.unwrap().coupon.unwrap();
    assert_eq!((newer.value, newer.usage_limit, newer.version), (1_500, Some(5), 2));
    assert_eq!(refusal(app.update_coupon(STAFF, update(1)).await).1, "version_mismatch");
    let get = |code: &str| GetCouponRequest { code: code.to_owned() };
    assert_eq!(app.get_coupon(STAFF, get("dez")).await.unwrap().coupon.unwrap(), newer);
    assert_eq!(refusal(app.get_coupon(STAFF, get("x")).await).1, "coupon_not_found");
    assert_eq!(refusal(app.get_coupon(ANA, get("dez")).await).0, Code::PermissionDenied);

    let audited = app
        .value("SELECT string_agg(concat_ws(' ', action, entity_id, before->>'value', after->>'value'), ', ' ORDER BY id) FROM audit_chain")
        .await;
    assert_eq!(audited, "coupon.created DEZ 1000, coupon.updated DEZ 1000 1500");
    let told = app
        .value("SELECT string_agg(subject || ' ' || aggregate_version, ', ' ORDER BY seq) FROM outbox")
        .await;
    assert_eq!(told, "mc.orders.coupon.changed.DEZ 1, mc.orders.coupon.changed.DEZ 2");
}

#[tokio::test]
async fn what_a_coupon_gives_is_shown_in_the_cart() {
    let app = TestApp::start().await;
    app.shelf(1, 3_333, 100).await;
    app.shelf(2, 1_000, 100).await;
    app.put(ANA, 1, 1).await;
    app.put(ANA, 2, 3).await;
    created(&app, coupon("DEZ", "percent", 1_000)).await;
    created(&app, coupon("CINCO", "fixed", 500)).await;
    created(&app, coupon("FRETE", "free_shipping", 0)).await;
    let rules = CouponRules { buy_quantity: 3, free_quantity: 1, variant_ids: vec![2], ..Default::default() };
    created(&app, Coupon { rules: Some(rules), ..coupon("LEVE3", "bxgy", 0) }).await;
    let rules = CouponRules { min_items_amount: Some(10_000), ..Default::default() };
    created(&app, Coupon { rules: Some(rules), ..coupon("GRANDE", "fixed", 5_000) }).await;

    for (code, discount, total) in
        [("dez", 633, 5_700), ("CINCO", 500, 5_833), ("LEVE3", 1_000, 5_333), ("FRETE", 0, 6_333)]
    {
        let cart = with(&app, code).await;
        let totals = cart.totals.unwrap();
        assert_eq!((totals.discount_amount, totals.total_amount), (discount, total), "{code}");
        assert_eq!(cart.coupon.unwrap().discount_amount, discount, "{code}");
        assert!(cart.warnings.is_empty(), "{code}");
    }
    let cart = with(&app, "GRANDE").await;
    assert_eq!(cart.coupon.unwrap().not_applicable, "below_minimum");
    assert_eq!(cart.warnings, ["coupon_not_applicable"]);
    assert_eq!(cart.totals.unwrap().discount_amount, 0);
}

#[tokio::test]
async fn a_coupon_that_does_not_work_is_refused_and_one_that_stops_is_shown() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.put(ANA, 1, 1).await;
    app.sql(
        "INSERT INTO coupons (code, kind, value, starts_at, ends_at, usage_limit, used, is_active) VALUES
            ('CEDO', 'fixed', 1, now() + interval '1 day', NULL, NULL, 0, true),
            ('TARDE', 'fixed', 1, NULL, now() - interval '1 day', NULL, 0, true),
            ('GASTO', 'fixed', 1, NULL, NULL, 3, 3, true),
            ('FORA', 'fixed', 1, NULL, NULL, NULL, 0, false),
            ('BOM', 'fixed', 100, NULL, NULL, NULL, 0, true)",
    )
    .await;
    let set = |code: &str| SetCouponRequest { code: code.to_owned() };
    for (code, reason) in [
        ("NADA", "coupon_not_found"),
        ("CEDO", "coupon_not_found"),
        ("FORA", "coupon_not_found"),
        ("TARDE", "coupon_exhausted"),
        ("GASTO", "coupon_exhausted"),
    ] {
        assert_eq!(refusal(app.set_coupon(ANA, set(code)).await).1, reason, "{code}");
    }
    assert_eq!(refusal(app.set_coupon(ANA, set("a b")).await).2, "code");
    assert_eq!(with(&app, "BOM").await.totals.unwrap().discount_amount, 100);
    for (change, reason) in [
        ("is_active = false", "not_found"),
        ("is_active = true, ends_at = now() - interval '1 hour'", "ended"),
        ("ends_at = NULL, usage_limit = 1, used = 1", "exhausted"),
    ] {
        app.sql(&format!("UPDATE coupons SET {change} WHERE code = 'BOM'")).await;
        let cart = app.cart(ANA).await;
        let shown = cart.coupon.unwrap();
        assert_eq!((shown.code.as_str(), shown.not_applicable.as_str()), ("BOM", reason));
        assert_eq!(
            (cart.totals.unwrap().discount_amount, cart.warnings),
            (0, vec!["coupon_not_applicable".to_owned()])
        );
    }
}

#[tokio::test]
async fn a_coupon_may_come_before_the_goods() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    created(&app, coupon("DEZ", "percent", 1_000)).await;
    let cart =
        app.set_coupon(GUEST, SetCouponRequest { code: "DEZ".to_owned() }).await.unwrap().cart.unwrap();
    assert_eq!((cart.items.len(), cart.coupon.unwrap().code.as_str()), (0, "DEZ"));
    assert_eq!(app.put(GUEST, 1, 1).await.totals.unwrap().discount_amount, 100);
    // Versions have no gap, and the last event has the row's.
    let versions = app
        .value("SELECT concat_ws(' ', count(*), max(aggregate_version), (SELECT version FROM carts)) FROM outbox WHERE aggregate = 'cart'")
        .await;
    assert_eq!(versions, "3 3 3");
    let nobody = app.set_coupon(Who::Nobody, SetCouponRequest { code: "DEZ".to_owned() }).await;
    assert_eq!(refusal(nobody).0, Code::Unauthenticated);
}

#[tokio::test]
async fn what_staff_may_not_write_is_refused() {
    let app = TestApp::start().await;
    let field = async |wrong: Coupon| {
        let answer = app.create_coupon(STAFF, CreateCouponRequest { coupon: Some(wrong) }).await;
        refusal(answer).2
    };
    assert_eq!(field(coupon("a b", "percent", 1)).await, "code");
    assert_eq!(field(coupon("A", "half", 1)).await, "kind");
    assert_eq!(field(coupon("A", "percent", 10_001)).await, "value");
    assert_eq!(field(coupon("A", "bxgy", 0)).await, "rules.buy_quantity");
    assert_eq!(field(Coupon { usage_limit: Some(0), ..coupon("A", "fixed", 1) }).await, "usage_limit");
    assert_eq!(
        field(Coupon { per_customer_limit: -1, ..coupon("A", "fixed", 1) }).await,
        "per_customer_limit"
    );
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let backwards =
        Coupon { starts_at: at(1_800_000_000), ends_at: at(1_700_000_000), ..coupon("A", "fixed", 1) };
    assert_eq!(field(backwards).await, "ends_at");
    assert_eq!(app.value("SELECT count(*) FROM coupons").await, "0");
}
