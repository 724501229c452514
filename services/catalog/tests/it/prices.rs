//! Prices changed, the product's own price, and the history.

use proto::catalog::v1::*;

use crate::app::{TestApp, Who, by_id, coffee, fields, summary, variant};

async fn shop() -> (TestApp, i64, Vec<i64>) {
    let app = TestApp::start().await;
    let variants = vec![variant("A", 3_000), variant("B", 5_000), variant("C", 9_000)];
    let product = app.created(CreateProductRequest { fields: Some(fields("p")), variants }).await;
    let ids = product.variants.iter().map(|variant| variant.id).collect();
    (app, summary(&product).id, ids)
}

fn price(variant_id: i64, amount: i64) -> VariantPrice {
    VariantPrice { variant_id, amount, compare_at_amount: None }
}

#[tokio::test]
async fn a_product_costs_what_its_cheapest_variant_costs_after_every_change() {
    let (app, product_id, variants) = shop().await;
    let mut version = 1;
    let mut change = async |prices: Vec<VariantPrice>| {
        let request = ChangePricesRequest { product_id, expected_version: version, prices };
        let answer = app.change_prices(Who::Staff, request).await.unwrap();
        let product = answer.product.unwrap();
        version = summary(&product).version;
        let listed = summary(&product).price.clone().unwrap();
        (listed.current.unwrap().amount, listed.compare_at_amount, answer.receipts.len(), version)
    };
    let span = async || -> (i64, i64) {
        sqlx::query_as("SELECT price_min_amount::bigint, price_max_amount::bigint FROM products")
            .fetch_one(&mut app.admin().await)
            .await
            .unwrap()
    };
    let [a, b, c] = variants[..] else { panic!("three variants") };

    assert_eq!(change(vec![price(a, 6_000)]).await, (5_000, None, 1, 2));
    assert_eq!(span().await, (5_000, 9_000));
    assert_eq!(change(vec![price(c, 1_000), price(b, 7_000)]).await, (1_000, None, 2, 3));
    assert_eq!(span().await, (1_000, 7_000));
    let reduced = VariantPrice { compare_at_amount: Some(2_000), ..price(c, 1_000) };
    assert_eq!(change(vec![reduced]).await, (1_000, Some(2_000), 1, 4));
    // As it is: nothing happens, and nothing is said.
    assert_eq!(change(vec![reduced, price(a, 6_000)]).await, (1_000, Some(2_000), 0, 4));
    // One of two is new.
    assert_eq!(change(vec![reduced, price(a, 0)]).await, (0, None, 1, 5));

    let product = app.get_product(Who::Anonymous, by_id(product_id)).await.unwrap().product.unwrap();
    let versions: Vec<_> = product.variants.iter().map(|variant| variant.version).collect();
    assert_eq!(versions, [3, 2, 3], "each variant counts its own changes");
    let amounts: Vec<_> = product
        .variants
        .iter()
        .map(|variant| variant.price.as_ref().unwrap().current.as_ref().unwrap().amount)
        .collect();
    assert_eq!(amounts, [0, 7_000, 1_000]);
}

#[tokio::test]
async fn the_history_has_no_gap_and_one_price_at_a_time() {
    let (app, product_id, variants) = shop().await;
    for (expected_version, amount) in (1..).zip([4_000, 2_000, 2_500]) {
        let request =
            ChangePricesRequest { product_id, expected_version, prices: vec![price(variants[0], amount)] };
        app.change_prices(Who::Staff, request).await.unwrap();
    }
    // A former price alone is no new price.
    let reduced = VariantPrice { compare_at_amount: Some(9_000), ..price(variants[0], 2_500) };
    let request = ChangePricesRequest { product_id, expected_version: 4, prices: vec![reduced] };
    app.change_prices(Who::Staff, request).await.unwrap();

    let history: Vec<(i64, bool, bool)> = sqlx::query_as(
        "SELECT amount::bigint, upper_inf(valid),
                lower(valid) = coalesce(lag(upper(valid)) OVER (ORDER BY lower(valid)), lower(valid))
           FROM price_history WHERE variant_id = $1 AND NOT isempty(valid) ORDER BY lower(valid)",
    )
    .bind(variants[0])
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    let expected = [(3_000, false, true), (4_000, false, true), (2_000, false, true), (2_500, true, true)];
    assert_eq!(history, expected);
}

#[tokio::test]
async fn a_writer_with_a_slow_clock_does_not_break_the_history() {
    let (app, product_id, variants) = shop().await;
    app.sql("UPDATE price_history SET valid = tstzrange(now() + interval '1 hour', NULL)").await;
    for (expected_version, amount) in (1..).zip([4_000, 2_000]) {
        let request =
            ChangePricesRequest { product_id, expected_version, prices: vec![price(variants[0], amount)] };
        app.change_prices(Who::Staff, request).await.unwrap();
    }
    let current: Vec<i64> = sqlx::query_scalar(
        "SELECT amount::bigint FROM price_history WHERE variant_id = $1 AND NOT isempty(valid)",
    )
    .bind(variants[0])
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert_eq!(current, [2_000]);
}

#[tokio::test]
async fn lists_sorted_by_price_follow_a_change() {
    let app = TestApp::start().await;
    for slug in ["a", "b", "c"] {
        app.created(coffee(slug)).await;
    }
    let cheap = || ListProductsRequest { sort: Sort::PriceAsc.into(), ..crate::app::list() };
    let first = app.list_products(Who::Anonymous, cheap()).await.unwrap().products.remove(0);
    let product = app.get_product(Who::Anonymous, by_id(first.id)).await.unwrap().product.unwrap();
    let prices = vec![price(product.variants[0].id, 5_000)];
    app.change_prices(Who::Staff, ChangePricesRequest { product_id: first.id, expected_version: 1, prices })
        .await
        .unwrap();
    let last = app.list_products(Who::Anonymous, cheap()).await.unwrap().products.pop().unwrap();
    assert_eq!(last.id, first.id);
    assert_eq!(last.price.unwrap().current.unwrap().amount, 5_000);
}
