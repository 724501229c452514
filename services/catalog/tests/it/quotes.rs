//! What variants are and cost, for the processes that sell them and for nobody else.

use proto::catalog::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, by_id, coffee, fields, list, refusal, summary, variant};

fn asked(variant_ids: &[i64]) -> QuoteRequest {
    QuoteRequest { variant_ids: variant_ids.to_vec() }
}

#[tokio::test]
async fn a_quote_tells_what_a_line_needs() {
    let app = TestApp::start().await;
    let request = CreateProductRequest {
        fields: Some(fields("bourbon")),
        variants: vec![variant("A", 3_000), variant("B", 5_000)],
    };
    let product = app.created(request).await;
    let (id, [a, b]) = (summary(&product).id, [product.variants[0].id, product.variants[1].id]);
    let bare = app.created(coffee("sem-imagem")).await.variants[0].id;
    app.sql(
        "INSERT INTO images (product_id, variant_id, url, width, height, alt, position)
         SELECT p.id, NULL, '/first', 1, 1, '', 0 FROM products p WHERE slug = 'bourbon'
         UNION ALL
         SELECT v.product_id, v.id, '/of-b', 1, 1, '', 1 FROM variants v WHERE sku = 'B'",
    )
    .await;

    let answer = app.quote(Who::Service, asked(&[b, 999_999, bare, a, b])).await.unwrap();
    assert_eq!(answer.variants.iter().map(|quoted| quoted.variant_id).collect::<Vec<_>>(), [a, b, bare]);
    assert_eq!(
        answer.variants[1],
        QuotedVariant {
            variant_id: b,
            product_id: id,
            product_slug: "bourbon".into(),
            product_name: "bourbon".into(),
            variant_name: "250 g".into(),
            sku: "B".into(),
            unit_amount: 5_000,
            currency: "BRL".into(),
            weight_g: 250,
            image_url: Some("/of-b".into()),
            is_active: true,
            product_version: 1,
        }
    );
    assert_eq!(answer.variants[0].image_url.as_deref(), Some("/first"));
    assert_eq!(answer.variants[2].image_url, None);
}

#[tokio::test]
async fn a_quote_follows_the_price_and_tells_what_cannot_be_bought() {
    let app = TestApp::start().await;
    let product = app.created(coffee("bourbon")).await;
    let (product_id, variant_id) = (summary(&product).id, product.variants[0].id);
    let prices = vec![VariantPrice { variant_id, amount: 9_900, compare_at_amount: None }];
    app.change_prices(Who::Staff, ChangePricesRequest { product_id, expected_version: 1, prices })
        .await
        .unwrap();
    let quote = async || app.quote(Who::Service, asked(&[variant_id])).await.unwrap().variants.remove(0);
    let now = quote().await;
    assert_eq!((now.unit_amount, now.is_active, now.product_version), (9_900, true, 2));

    app.sql("UPDATE variants SET is_active = false").await;
    assert!(!quote().await.is_active, "the variant is gone");
    app.sql("UPDATE variants SET is_active = true").await;
    assert!(quote().await.is_active);
    app.delete_product(Who::Staff, DeleteProductRequest { id: product_id, expected_version: 2 })
        .await
        .unwrap();
    let gone = quote().await;
    assert!(!gone.is_active, "the product is gone");
    assert_eq!(gone.product_version, 3);
}

#[tokio::test]
async fn quotes_are_for_processes_and_the_rest_is_not() {
    let app = TestApp::start().await;
    let product = app.created(coffee("bourbon")).await;
    let denied = (Code::PermissionDenied, "permission_denied".to_owned(), String::new());
    for who in [Who::Anonymous, Who::Customer, Who::Staff, Who::Admin] {
        assert_eq!(refusal(app.quote(who, asked(&[product.variants[0].id])).await), denied, "{who:?}");
    }
    assert_eq!(refusal(app.list_products(Who::Service, list()).await), denied);
    assert_eq!(refusal(app.get_product(Who::Service, by_id(summary(&product).id)).await), denied);
    assert_eq!(refusal(app.create_product(Who::Service, coffee("outro")).await), denied);
}

#[tokio::test]
async fn questions_about_nothing_or_everything_are_refused() {
    let app = TestApp::start().await;
    let invalid = |field: &str| (Code::InvalidArgument, "invalid_value".to_owned(), field.to_owned());
    assert_eq!(refusal(app.quote(Who::Service, asked(&[])).await), invalid("variant_ids"));
    assert_eq!(refusal(app.quote(Who::Service, asked(&[1; 201])).await), invalid("variant_ids"));
    assert_eq!(refusal(app.quote(Who::Service, asked(&[1, -1])).await), invalid("variant_ids[1]"));
    assert!(app.quote(Who::Service, asked(&[1; 200])).await.unwrap().variants.is_empty());
}
