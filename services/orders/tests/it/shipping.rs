//! Shipping: what it costs where, and where a postal code is.

use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, GUEST, TestApp, Who, refusal};

fn to(cep: &str, items: &[(i64, i32)]) -> QuoteShippingRequest {
    let items =
        items.iter().map(|(variant_id, quantity)| QuoteItem { variant_id: *variant_id, quantity: *quantity });
    QuoteShippingRequest { cep: cep.to_owned(), items: items.collect() }
}

#[tokio::test]
async fn shipping_costs_by_weight_and_place() {
    let app = TestApp::start().await;
    app.catalog.sells(1, 1_000);
    let offers = async |cep: &str, quantity: i32| -> Vec<(String, i64)> {
        let reply = app.quote_shipping(Who::Nobody, to(cep, &[(1, quantity)])).await.unwrap();
        assert_eq!((reply.table_version, reply.weight_g), (1, 250 * i64::from(quantity)));
        reply.quotes.into_iter().map(|quote| (quote.service, quote.amount)).collect()
    };
    let offer = |service: &str, amount| (service.to_owned(), amount);
    // One bag and four: 250 g and a kilogram.
    assert_eq!(offers("01310-100", 1).await, [offer("PAC", 1_890), offer("SEDEX", 2_790)]);
    assert_eq!(offers("01310100", 4).await, [offer("PAC", 2_230), offer("SEDEX", 3_290)]);
    assert_eq!(offers("69000000", 1).await, [offer("PAC", 3_190), offer("SEDEX", 5_390)]);
    // At home it can be fetched.
    assert_eq!(offers("30130010", 1).await[0], offer("PICKUP", 0));
    // 24.75 kg go; two lines of it are too much for anybody.
    assert_eq!(offers("01310100", 99).await.len(), 2);
    let heavy = app.quote_shipping(Who::Nobody, to("01310100", &[(1, 99), (1, 99)])).await.unwrap();
    assert!(heavy.quotes.is_empty());
}

#[tokio::test]
async fn the_callers_cart_is_quoted_when_nothing_is_named() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    app.put(GUEST, 1, 2).await;
    let reply = app.quote_shipping(GUEST, to("01310100", &[])).await.unwrap();
    assert_eq!(reply.weight_g, 500);
    let quote = &reply.quotes[0];
    assert_eq!(
        (quote.carrier.as_str(), quote.currency.as_str(), quote.days_min, quote.days_max),
        ("Correios", "BRL", 4, 7)
    );
    assert!(quote.expires_at.is_some() && quote.id.len() > 40);
    // An empty cart weighs nothing.
    assert_eq!(refusal(app.quote_shipping(ANA, to("01310100", &[])).await).2, "items");
    assert_eq!(refusal(app.quote_shipping(Who::Nobody, to("01310100", &[])).await).0, Code::Unauthenticated);
    assert_eq!(refusal(app.quote_shipping(GUEST, to("0131010", &[])).await).2, "cep");
    assert_eq!(refusal(app.quote_shipping(GUEST, to("00000000", &[])).await).1, "cep_not_found");
    assert_eq!(refusal(app.quote_shipping(GUEST, to("01310100", &[(1, 0)])).await).2, "items.0.quantity");
    assert_eq!(refusal(app.quote_shipping(GUEST, to("01310100", &[(9, 1)])).await).1, "variant_not_found");
    app.catalog.leaves();
    let away = app.quote_shipping(GUEST, to("01310100", &[])).await;
    assert_eq!(refusal(away), (Code::Unavailable, "catalog_unavailable".to_owned(), String::new()));
}

#[tokio::test]
async fn a_postal_code_is_somewhere() {
    let app = TestApp::start().await;
    for (cep, state, region, city) in [
        ("01310100", "SP", "southeast", "São Paulo"),
        ("13083-970", "SP", "southeast", ""),
        ("30130010", "MG", "city", "Belo Horizonte"),
        ("35400000", "MG", "home", ""),
        ("69300000", "RR", "north", "Boa Vista"),
        ("69299999", "AM", "north", ""),
        ("72799999", "DF", "midwest", "Brasília"),
        ("72800000", "GO", "midwest", ""),
        ("40000000", "BA", "northeast", "Salvador"),
        ("99999999", "RS", "south", ""),
    ] {
        let reply = app.look_up_cep(Who::Nobody, LookUpCepRequest { cep: cep.to_owned() }).await.unwrap();
        assert_eq!((&*reply.state, &*reply.region, &*reply.city), (state, region, city), "{cep}");
    }
    for nowhere in ["00999999", "78900000"] {
        let answer = app.look_up_cep(Who::Nobody, LookUpCepRequest { cep: nowhere.to_owned() }).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, "cep_not_found".to_owned(), "cep".to_owned()));
    }
}

#[tokio::test]
async fn the_tables_are_whole() {
    let app = TestApp::start().await;
    assert_eq!(app.value("SELECT count(DISTINCT state) FROM shipping_ceps").await, "27");
    assert_eq!(app.value("SELECT count(DISTINCT state) FROM shipping_ceps WHERE city <> ''").await, "27");
    let overlapping = "SELECT count(*) FROM shipping_ceps a JOIN shipping_ceps b
        ON a.prefix_from < b.prefix_from AND a.prefix_to >= b.prefix_from";
    assert_eq!(app.value(overlapping).await, "0");
    // Every region is served by mail, in seven weights; what is heavier never costs less.
    let served = "SELECT count(*) FROM shipping_rates WHERE service IN ('PAC', 'SEDEX')";
    assert_eq!(app.value(served).await, "98");
    let cheaper = "SELECT count(*) FROM shipping_rates a JOIN shipping_rates b USING (service, region)
        WHERE a.weight_g_max < b.weight_g_max AND a.amount > b.amount";
    assert_eq!(app.value(cheaper).await, "0");
    assert_eq!(
        app.value(
            "SELECT count(*) FROM shipping_rates p JOIN shipping_rates s USING (region, weight_g_max)
        WHERE p.service = 'PAC' AND s.service = 'SEDEX' AND p.amount >= s.amount"
        )
        .await,
        "0"
    );
}
