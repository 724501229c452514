//! What is ordered becomes popular, without a page being read anew for it.

use std::time::Duration;

use ::events::{Event, Fact};
use proto::catalog::v1::*;
use proto::events::v1::{OrderPlaced, OrderedLine};
use sqlx::Row as _;
use testkit::{Nats, eventually};

use crate::app::{TestApp, Who, coffee, ids, summary};
use crate::publisher::Publisher;

const DURABLE: &str = "catalog-sales";
const SOON: Duration = Duration::from_secs(30);

fn placed(order_id: i64, lines: &[(i64, i32)]) -> Fact {
    let line =
        |&(product_id, quantity): &(i64, i32)| OrderedLine { product_id, variant_id: product_id, quantity };
    Fact::OrderPlaced(OrderPlaced {
        order_id,
        currency: "BRL".to_owned(),
        lines: lines.iter().map(line).collect(),
        ..Default::default()
    })
}

async fn shop() -> (TestApp, Nats, Publisher) {
    let nats = Nats::start().await;
    let publisher = Publisher::new(&nats.url()).await;
    (TestApp::start_with_nats(&nats.url()).await, nats, publisher)
}

/// Waits until everything that was sold is counted.
async fn counted(app: &TestApp, publisher: &Publisher) {
    publisher.settled(DURABLE).await;
    eventually(SOON, "every sale counted", async || {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM popularity_pending")
            .fetch_one(&mut app.admin().await)
            .await
            .unwrap();
        (waiting == 0).then_some(())
    })
    .await;
}

async fn popularity(app: &TestApp) -> Vec<(String, i64, i64)> {
    sqlx::query_as("SELECT slug, popularity, version FROM products ORDER BY id")
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap()
}

/// What updates of products the outbox tells of: columns and tags.
async fn updates(app: &TestApp) -> Vec<(Vec<String>, Vec<String>)> {
    let rows = sqlx::query("SELECT payload, tags FROM outbox ORDER BY seq")
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap();
    rows.iter()
        .filter_map(|row| match Event::decode(row.get("payload")).unwrap().fact() {
            Fact::ProductUpdated(fact) => Some((fact.changed.clone(), row.get("tags"))),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn sales_are_counted_once_and_purge_nothing() {
    let (app, _nats, publisher) = shop().await;
    let a = summary(&app.created(coffee("a")).await).id;
    let b = summary(&app.created(coffee("b")).await).id;
    let event = publisher.publish(1, placed(1, &[(a, 2), (b, 1), (a, 3)])).await;
    // Of a product that is gone, and of nothing.
    publisher.publish(1, placed(2, &[(999_999, 7), (a, 0)])).await;
    publisher.publish(1, placed(3, &[(b, 4)])).await;
    publisher.send(&event, &event.id().to_string().to_uppercase()).await;
    counted(&app, &publisher).await;
    assert_eq!(popularity(&app).await, [("a".into(), 5, 1), ("b".into(), 5, 1)]);
    assert!(updates(&app).await.is_empty(), "{:?}", updates(&app).await);
}

#[tokio::test]
async fn the_featured_shelf_is_read_anew_when_its_order_changes_and_only_then() {
    let (app, _nats, publisher) = shop().await;
    let mut made = Vec::new();
    for (slug, popularity) in [("a", 30), ("b", 20), ("c", 10)] {
        let mut request = coffee(slug);
        request.fields.as_mut().unwrap().is_featured = true;
        made.push(summary(&app.created(request).await).id);
        sqlx::query("UPDATE products SET popularity = $1 WHERE slug = $2")
            .bind(popularity)
            .bind(slug)
            .execute(&mut app.admin().await)
            .await
            .unwrap();
    }
    let [a, b, c] = made[..] else { panic!("three products") };
    let shelf = async || {
        let request = ListFeaturedProductsRequest { limit: 10 };
        ids(&app.list_featured_products(Who::Anonymous, request).await.unwrap().products)
    };
    publisher.publish(1, placed(1, &[(b, 9)])).await;
    counted(&app, &publisher).await;
    assert_eq!(shelf().await, [a, b, c]);
    assert!(updates(&app).await.is_empty());

    publisher.publish(1, placed(2, &[(b, 2)])).await;
    counted(&app, &publisher).await;
    assert_eq!(shelf().await, [b, a, c]);
    let [(changed, tags)] = &updates(&app).await[..] else { panic!("one event") };
    assert_eq!(changed, &["popularity"]);
    assert!(tags.contains(&"products:featured".to_owned()), "{tags:?}");
    assert_eq!(popularity(&app).await, [("a".into(), 30, 1), ("b".into(), 31, 2), ("c".into(), 10, 1)]);
}
