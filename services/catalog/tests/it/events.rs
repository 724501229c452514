//! Every change leaves its fact in the outbox, in the transaction that makes it true.

use std::time::Duration;

use ::events::{CategoryPath, Event, Fact, PriceChanged, ProductCreated, ProductDeleted, ProductUpdated};
use futures_util::StreamExt as _;
use proto::catalog::v1::*;
use sqlx::Row as _;

use crate::app::{TestApp, Who, coffee, fields, summary, variant};

struct Recorded {
    event: Event,
    subject: String,
    version: i64,
    tags: Vec<String>,
}

/// What the outbox holds beyond the first `seen` rows.
async fn recorded(app: &TestApp, seen: i64) -> Vec<Recorded> {
    let rows = sqlx::query(
        "SELECT id, subject, aggregate_version, payload, tags FROM outbox ORDER BY seq OFFSET $1",
    )
    .bind(seen)
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    rows.iter()
        .map(|row| {
            let event = Event::decode(row.get("payload")).unwrap();
            assert_eq!(event.id(), row.get::<uuid::Uuid, _>("id"));
            let (subject, version, tags) =
                (row.get("subject"), row.get("aggregate_version"), row.get("tags"));
            Recorded { event, subject, version, tags }
        })
        .collect()
}

fn path(ids: &[i64]) -> Option<CategoryPath> {
    Some(CategoryPath { ids: ids.to_vec() })
}

#[tokio::test]
async fn every_change_states_the_old_and_the_new_facts() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO categories (id, parent_id, name, slug) VALUES (1, NULL, 'A', 'a'), (2, 1, 'B', 'b'), (3, NULL, 'C', 'c')",
    )
    .await;

    let request = CreateProductRequest {
        fields: Some(ProductFields { category_id: Some(2), is_featured: true, ..fields("bourbon") }),
        variants: vec![variant("A", 3_000), variant("B", 5_000)],
    };
    let made = app.create_product(Who::Staff, request).await.unwrap();
    let product = made.product.unwrap();
    let product_id = summary(&product).id;
    let [created] = &recorded(&app, 0).await[..] else { panic!("one event") };
    let slug = || "bourbon".to_owned();
    assert_eq!(
        created.event.fact(),
        &Fact::ProductCreated(ProductCreated {
            product_id,
            slug: slug(),
            category: path(&[1, 2]),
            is_active: true,
            is_featured: true,
        })
    );
    assert_eq!(
        (created.subject.as_str(), created.version),
        (&*format!("mc.catalog.product.created.{product_id}"), 1)
    );
    let [receipt] = &made.receipts[..] else { panic!("one receipt") };
    assert_eq!((&receipt.event_id, &receipt.tags), (&created.event.id().to_string(), &created.tags));
    assert_eq!(created.tags, created.event.stale_tags());
    assert!(receipt.commit_lsn > 0);

    let patch = PatchProductRequest {
        id: product_id,
        expected_version: 1,
        slug: Some("catuai".into()),
        category_id: Some(3),
        is_featured: Some(false),
        ..Default::default()
    };
    app.patch_product(Who::Admin, patch).await.unwrap();
    let [updated] = &recorded(&app, 1).await[..] else { panic!("one event") };
    assert_eq!(
        updated.event.fact(),
        &Fact::ProductUpdated(ProductUpdated {
            product_id,
            old_slug: slug(),
            slug: "catuai".into(),
            old_category: path(&[1, 2]),
            category: path(&[3]),
            was_active: true,
            is_active: true,
            was_featured: true,
            is_featured: false,
            changed: vec!["slug".into(), "category_id".into(), "is_featured".into()],
        })
    );
    assert_eq!(updated.version, 2);

    let prices = product.variants.iter().map(|v| VariantPrice {
        variant_id: v.id,
        amount: 4_000,
        compare_at_amount: None,
    });
    let request = ChangePricesRequest { product_id, expected_version: 2, prices: prices.collect() };
    let answer = app.change_prices(Who::Staff, request).await.unwrap();
    let priced = recorded(&app, 2).await;
    assert_eq!(priced.len(), 2);
    for ((recorded, variant), old_amount) in priced.iter().zip(&product.variants).zip([3_000, 5_000]) {
        let Fact::PriceChanged(fact) = recorded.event.fact() else { panic!("{:?}", recorded.event) };
        let expected = PriceChanged {
            product_id,
            variant_id: variant.id,
            price_list: "base".into(),
            currency: "BRL".into(),
            old_amount,
            amount: 4_000,
            valid_from: fact.valid_from,
        };
        assert_eq!(fact, &expected);
        assert_eq!(
            (recorded.subject.as_str(), recorded.version),
            (&*format!("mc.catalog.price.changed.{}", variant.id), 2)
        );
    }
    let told: Vec<_> = answer.receipts.iter().map(|receipt| receipt.event_id.clone()).collect();
    assert_eq!(told, priced.iter().map(|recorded| recorded.event.id().to_string()).collect::<Vec<_>>());

    app.delete_product(Who::Staff, DeleteProductRequest { id: product_id, expected_version: 3 })
        .await
        .unwrap();
    let [deleted] = &recorded(&app, 4).await[..] else { panic!("one event") };
    assert_eq!(
        deleted.event.fact(),
        &Fact::ProductDeleted(ProductDeleted {
            product_id,
            slug: "catuai".into(),
            category: path(&[3]),
            was_active: true,
            was_featured: false,
        })
    );
    assert_eq!(deleted.version, 4);
}

#[tokio::test]
async fn a_change_and_its_event_are_one_transaction() {
    let app = TestApp::start().await;
    let id = summary(&app.created(coffee("bourbon")).await).id;
    let same: bool = sqlx::query_scalar(
        "SELECT (SELECT xmin::text FROM products) = (SELECT xmin::text FROM outbox)
            AND (SELECT xmin::text FROM variants) = (SELECT xmin::text FROM outbox)",
    )
    .fetch_one(&mut app.admin().await)
    .await
    .unwrap();
    assert!(same);

    // When the event cannot be written, nothing happens.
    app.sql("ALTER TABLE outbox ADD CONSTRAINT closed CHECK (aggregate_version < 2) NOT VALID").await;
    let patch = PatchProductRequest { id, expected_version: 1, name: Some("x".into()), ..Default::default() };
    let status = app.patch_product(Who::Staff, patch).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    // What went wrong inside is not told.
    assert!(!status.message().contains("closed"), "{status:?}");
    let product = app.get_product(Who::Staff, crate::app::by_id(id)).await.unwrap().product.unwrap();
    assert_eq!((summary(&product).version, summary(&product).name.as_str()), (1, "bourbon"));
}

#[tokio::test]
async fn events_reach_the_stream() {
    let nats = testkit::Nats::start().await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    ::events::streams::declare(&jetstream, 1).await.unwrap();
    let app = TestApp::start_with_nats(&nats.url()).await;

    let made = app.create_product(Who::Staff, coffee("bourbon")).await.unwrap();
    let id = summary(made.product.as_ref().unwrap()).id;

    let stream = jetstream.get_stream(::events::streams::MUTATIONS).await.unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let message =
        tokio::time::timeout(Duration::from_secs(10), messages.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(message.subject.as_str(), format!("mc.catalog.product.created.{id}"));
    let event = Event::decode(&message.payload).unwrap();
    assert_eq!(event.id().to_string(), made.receipts[0].event_id);
    app.stop().await;
}
