//! Stock bands, as orders tells them.

use ::events::{Event, Fact, ProductUpdated};
use proto::catalog::v1::*;
use proto::events::v1::{StockBandChanged, StockChanged};
use sqlx::Row as _;
use testkit::Nats;

use crate::app::{TestApp, Who, by_id, coffee, fields, list, summary, variant};
use crate::publisher::Publisher;

const DURABLE: &str = "catalog-stock";

struct Shop {
    app: TestApp,
    publisher: Publisher,
    _nats: Nats,
}

impl Shop {
    async fn open() -> Self {
        let nats = Nats::start().await;
        let publisher = Publisher::new(&nats.url()).await;
        Self { app: TestApp::start_with_nats(&nats.url()).await, publisher, _nats: nats }
    }

    /// Says that a variant's band changed, and waits until the catalog has heard.
    async fn say(&self, version: i64, product_id: i64, variant_id: i64, band: &str) -> Event {
        let fact =
            StockBandChanged { variant_id, product_id, old_band: String::new(), band: band.to_owned() };
        let event = self.publisher.publish(version, Fact::StockBandChanged(fact)).await;
        self.publisher.settled(DURABLE).await;
        event
    }

    /// The product's band and version, and the bands of its variants, as buyers see them.
    async fn bands(&self, id: i64) -> (String, i64, Vec<String>) {
        let product = self.app.get_product(Who::Anonymous, by_id(id)).await.unwrap().product.unwrap();
        let bands = product.variants.iter().map(|variant| variant.stock_band.clone()).collect();
        (summary(&product).stock_band.clone(), summary(&product).version, bands)
    }

    /// What the outbox says about updated products.
    async fn updates(&self) -> Vec<(i64, ProductUpdated, Vec<String>)> {
        let rows = sqlx::query("SELECT aggregate_version, payload, tags FROM outbox ORDER BY seq")
            .fetch_all(&mut self.app.admin().await)
            .await
            .unwrap();
        rows.iter()
            .filter_map(|row| match Event::decode(row.get("payload")).unwrap().fact() {
                Fact::ProductUpdated(fact) => {
                    Some((row.get("aggregate_version"), fact.clone(), row.get("tags")))
                }
                _ => None,
            })
            .collect()
    }
}

fn told(product: &str, version: i64, variants: &[&str]) -> (String, i64, Vec<String>) {
    (product.to_owned(), version, variants.iter().map(|band| (*band).to_owned()).collect())
}

#[tokio::test]
async fn a_product_shows_the_best_band_of_its_variants_and_says_when_it_changes() {
    let shop = Shop::open().await;
    let request = CreateProductRequest {
        fields: Some(fields("bourbon")),
        variants: vec![variant("A", 3_000), variant("B", 5_000)],
    };
    let product = shop.app.created(request).await;
    let (id, a, b) = (summary(&product).id, product.variants[0].id, product.variants[1].id);
    assert_eq!(shop.bands(id).await, told("out", 1, &["out", "out"]), "nothing is known to be there");

    shop.say(2, id, a, "low").await;
    assert_eq!(shop.bands(id).await, told("low", 2, &["low", "out"]));
    shop.say(2, id, b, "in").await;
    assert_eq!(shop.bands(id).await, told("in", 3, &["low", "in"]));
    // Of the product itself nothing changes, but its page shows the variant.
    shop.say(3, id, a, "out").await;
    assert_eq!(shop.bands(id).await, told("in", 4, &["out", "in"]));
    shop.say(3, id, b, "out").await;
    assert_eq!(shop.bands(id).await, told("out", 5, &["out", "out"]));

    let updates = shop.updates().await;
    let said: Vec<_> = updates.iter().map(|(version, fact, _)| (*version, fact.changed.clone())).collect();
    let word = |word: &str| vec![word.to_owned()];
    assert_eq!(
        said,
        [(2, word("stock_band")), (3, word("stock_band")), (4, word("variants")), (5, word("stock_band"))]
    );
    let page = [format!("product:{id}"), "product:slug:bourbon".to_owned()];
    for (version, fact, tags) in &updates {
        assert!(page.iter().all(|tag| tags.contains(tag)), "{tags:?}");
        let filtered = tags.contains(&"products:list:filtered".to_owned());
        assert_eq!((filtered, tags.len()), if *version == 4 { (false, 2) } else { (true, 3) }, "{tags:?}");
        assert!(fact.is_active && fact.was_active && fact.slug == "bourbon" && fact.old_slug == "bourbon");
    }
}

#[tokio::test]
async fn a_sale_inside_a_band_changes_nothing_here() {
    let shop = Shop::open().await;
    let product = shop.app.created(coffee("bourbon")).await;
    let (id, variant_id) = (summary(&product).id, product.variants[0].id);
    shop.say(2, id, variant_id, "in").await;
    let before = shop.bands(id).await;
    for on_hand in [90, 80, 70] {
        let fact = StockChanged { variant_id, product_id: id, on_hand, reserved: 0 };
        shop.publisher.publish(100 - i64::from(on_hand), Fact::StockChanged(fact)).await;
    }
    // The band once more, as after a repair: it is the same.
    shop.say(3, id, variant_id, "in").await;
    assert_eq!(shop.bands(id).await, before);
    assert_eq!(shop.updates().await.len(), 1, "only the first one");
}

#[tokio::test]
async fn what_comes_twice_or_late_changes_nothing() {
    let shop = Shop::open().await;
    let product = shop.app.created(coffee("bourbon")).await;
    let (id, variant_id) = (summary(&product).id, product.variants[0].id);
    let first = shop.say(2, id, variant_id, "low").await;
    shop.say(3, id, variant_id, "in").await;
    let before = shop.bands(id).await;
    assert_eq!(before, told("in", 3, &["in"]));
    // Beyond the stream's own window of duplicates the same event comes again; another one comes late.
    shop.publisher.send(&first, &first.id().to_string().to_uppercase()).await;
    shop.say(2, id, variant_id, "out").await;
    assert_eq!(shop.bands(id).await, before);
}

#[tokio::test]
async fn stock_of_what_there_is_not_is_passed_over() {
    let shop = Shop::open().await;
    let product = shop.app.created(coffee("bourbon")).await;
    let other = shop.app.created(coffee("catuai")).await;
    let (id, variant_id) = (summary(&product).id, product.variants[0].id);
    shop.say(2, 999_999, variant_id, "in").await;
    shop.say(2, summary(&other).id, variant_id, "in").await;
    shop.say(2, id, 999_999, "in").await;
    assert_eq!(shop.bands(id).await, told("out", 1, &["out"]));
    // And holds nothing up.
    shop.say(2, id, variant_id, "in").await;
    assert_eq!(shop.bands(id).await, told("in", 2, &["in"]));
    let listed = shop.app.list_products(Who::Anonymous, list()).await.unwrap().products;
    let band = |of: i64| listed.iter().find(|product| product.id == of).unwrap().stock_band.as_str();
    assert_eq!((band(id), band(summary(&other).id)), ("in", "out"));
}

#[tokio::test]
async fn what_is_off_the_shelf_keeps_its_band_up_to_date() {
    let shop = Shop::open().await;
    let request = CreateProductRequest {
        fields: Some(fields("bourbon")),
        variants: vec![variant("A", 3_000), variant("B", 5_000)],
    };
    let product = shop.app.created(request).await;
    let (id, a, b) = (summary(&product).id, product.variants[0].id, product.variants[1].id);
    shop.app.sql("UPDATE variants SET is_active = false WHERE sku = 'A'").await;
    shop.say(2, id, a, "in").await;
    assert_eq!(shop.bands(id).await, told("out", 1, &["out"]), "nobody sees that variant");
    shop.say(2, id, b, "low").await;
    assert_eq!(shop.bands(id).await, told("low", 2, &["low"]));
    shop.app.delete_product(Who::Staff, DeleteProductRequest { id, expected_version: 2 }).await.unwrap();
    shop.say(3, id, b, "out").await;
    let hidden = shop.app.get_product(Who::Staff, by_id(id)).await.unwrap().product.unwrap();
    assert_eq!((summary(&hidden).stock_band.as_str(), summary(&hidden).version), ("out", 4));
}
