//! Whatever staff change leaves an entry in the chain, with the change or not at all.

use proto::catalog::v1::*;
use serde_json::{Value, json};

use crate::app::{TestApp, Who, coffee, fields, summary};

type Row = (String, i64, String, String, Option<Value>, Option<Value>, String);

async fn entries(app: &TestApp) -> Vec<Row> {
    sqlx::query_as(
        "SELECT action, actor_id, actor_role, entity || ':' || entity_id, before, after, request_id
           FROM audit_chain ORDER BY id",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap()
}

async fn verified(app: &TestApp) -> Result<u64, String> {
    let mut connection = audit::connect(&app.database.url).await.unwrap();
    let verified = audit::verify(&mut connection, None).await.map_err(|broken| broken.to_string())?;
    Ok(verified.expect("there is a log").rows)
}

#[tokio::test]
async fn every_change_is_written_down_with_what_changed() {
    let app = TestApp::start().await;
    let product = app.created(coffee("bourbon")).await;
    let (id, variant_id) = (summary(&product).id, product.variants[0].id);
    let patch = PatchProductRequest { id, expected_version: 1, name: Some("B".into()), ..Default::default() };
    app.patch_product(Who::Admin, patch.clone()).await.unwrap();
    let update = UpdateProductRequest { id, expected_version: 2, fields: Some(fields("catuai")) };
    app.update_product(Who::Staff, update).await.unwrap();
    let prices = vec![VariantPrice { variant_id, amount: 9, compare_at_amount: Some(10) }];
    let prices = ChangePricesRequest { product_id: id, expected_version: 3, prices };
    app.change_prices(Who::Staff, prices).await.unwrap();
    app.delete_product(Who::Admin, DeleteProductRequest { id, expected_version: 4 }).await.unwrap();

    let entries = entries(&app).await;
    let told: Vec<_> = entries
        .iter()
        .map(|(action, actor, role, entity, ..)| (action.as_str(), *actor, role.as_str(), entity.as_str()))
        .collect();
    let entity = format!("product:{id}");
    assert_eq!(
        told,
        [
            ("product.created", 7, "staff", &*entity),
            ("product.updated", 1, "admin", &*entity),
            ("product.updated", 7, "staff", &*entity),
            ("product.prices_changed", 7, "staff", &*entity),
            ("product.deleted", 1, "admin", &*entity),
        ]
    );
    assert!(entries.iter().all(|(.., request_id)| !request_id.is_empty()));
    let change = |index: usize| (entries[index].4.clone(), entries[index].5.clone());
    let (none, made) = change(0);
    assert_eq!(none, None);
    let made = made.unwrap();
    assert_eq!((&made["slug"], &made["is_active"]), (&json!("bourbon"), &json!(true)));
    assert_eq!(made["variants"], json!([{ "sku": "bourbon-250", "amount": 4290 }]));
    assert_eq!(change(1), (Some(json!({ "name": "bourbon" })), Some(json!({ "name": "B" }))));
    assert_eq!(change(2).1, Some(json!({ "slug": "catuai", "name": "catuai" })));
    let price = |amount, compare_at: Option<i64>| {
        let variant = variant_id.to_string();
        Some(json!({ variant: { "amount": amount, "compare_at_amount": compare_at } }))
    };
    assert_eq!(change(3), (price(4290, None), price(9, Some(10))));
    assert_eq!(change(4), (Some(json!({ "is_active": true })), Some(json!({ "is_active": false }))));
    assert_eq!(verified(&app).await, Ok(5));

    // What changes nothing, or is refused, is no deed.
    assert!(app.patch_product(Who::Staff, patch).await.is_err());
    app.delete_product(Who::Staff, DeleteProductRequest { id, expected_version: 5 }).await.unwrap();
    assert!(app.create_product(Who::Staff, coffee("catuai")).await.is_err());
    assert_eq!(verified(&app).await, Ok(5));
}

#[tokio::test]
async fn what_is_changed_behind_the_policies_breaks_the_chain() {
    let app = TestApp::start().await;
    for slug in ["a", "b", "c"] {
        app.created(coffee(slug)).await;
    }
    assert_eq!(verified(&app).await, Ok(3));
    app.sql("UPDATE audit_chain SET actor_id = 8 WHERE id = 2").await;
    assert!(verified(&app).await.unwrap_err().starts_with("row 2: "));
}
