//! The demo shop, loaded through the bulk path.

use proto::catalog::v1::*;

use crate::app::{TestApp, Who, by_id, coffee, list, summary};

#[tokio::test]
async fn a_loaded_shop_is_whole() {
    let app = TestApp::start().await;
    let loaded = catalog::seed::load(&app.database.url, 1_200, |_| {}).await.unwrap();
    assert_eq!((loaded.products, loaded.fresh), (1_200, true));
    assert!(loaded.categories >= 8);

    let page =
        app.list_products(Who::Anonymous, ListProductsRequest { per_page: 100, ..list() }).await.unwrap();
    assert_eq!(page.pagination.unwrap().total, Some(1_200));
    for listed in &page.products {
        let product = app.get_product(Who::Anonymous, by_id(listed.id)).await.unwrap().product.unwrap();
        assert_eq!(summary(&product), listed);
        assert!(!product.variants.is_empty() && !product.breadcrumbs.is_empty(), "{}", listed.slug);
        let amounts =
            product.variants.iter().map(|v| v.price.as_ref().unwrap().current.as_ref().unwrap().amount);
        assert_eq!(amounts.min(), Some(listed.price.as_ref().unwrap().current.as_ref().unwrap().amount));
    }
    let image = page.products[0].image.as_ref().unwrap();
    let sha256 = image.url.strip_prefix("/images/").unwrap().strip_suffix(".svg").unwrap().to_owned();
    let file = app.get_image(Who::Anonymous, GetImageRequest { sha256 }).await.unwrap();
    assert_eq!(file.content_type, "image/svg+xml");

    // Stock that agrees with every band that is shown.
    let stock = catalog::seed::stock(&app.database.url).await.unwrap();
    let bands: Vec<(i64, i64, String, String)> = sqlx::query_as(
        "SELECT v.id, v.product_id, v.stock_band, p.stock_band
           FROM variants v JOIN products p ON p.id = v.product_id ORDER BY v.id",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert_eq!(stock.len(), bands.len());
    for (stock, (variant, product, band, of_product)) in stock.iter().zip(&bands) {
        assert_eq!((stock.variant_id, stock.product_id), (*variant, *product));
        let agreed = match stock.on_hand {
            0 => "out",
            1..=5 => "low",
            6.. => "in",
            i32::MIN..0 => "impossible",
        };
        assert_eq!((band.as_str(), of_product.as_str()), (agreed, agreed), "{stock:?}");
    }
    for band in ["in", "low", "out"] {
        assert!(bands.iter().any(|(.., of_product)| of_product == band), "{band}");
    }

    // Once: a second load finds the first.
    let again = catalog::seed::load(&app.database.url, 5, |_| {}).await.unwrap();
    assert_eq!((again.products, again.fresh), (1_200, false));
    // Numbering goes on behind it.
    assert_eq!(summary(&app.created(coffee("depois")).await).id, 1_201);
    let without_history: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM variants v
          WHERE NOT EXISTS (SELECT FROM price_history h WHERE h.variant_id = v.id AND upper_inf(h.valid))
             OR NOT EXISTS (SELECT FROM prices p WHERE p.variant_id = v.id)",
    )
    .fetch_one(&mut app.admin().await)
    .await
    .unwrap();
    assert_eq!(without_history, 0);
}
