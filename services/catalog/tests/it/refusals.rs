//! Who may not, and what is not accepted: the right code, reason and field, and nothing changed.

use proto::catalog::v1::*;
use tonic::{Code, Status};

use crate::app::{TestApp, Who, by_id, by_slug, coffee, fields, list, refusal, summary, variant};

/// Everything that a refused call could have changed.
async fn state(app: &TestApp) -> String {
    sqlx::query_scalar(
        "SELECT concat((SELECT string_agg(p::text, ' ' ORDER BY p.id) FROM products p),
                       (SELECT string_agg(v::text, ' ' ORDER BY v.id) FROM variants v),
                       (SELECT string_agg(p::text, ' ' ORDER BY p.variant_id) FROM prices p),
                       (SELECT string_agg(h::text, ' ' ORDER BY h.variant_id, h.valid) FROM price_history h),
                       (SELECT string_agg(c::text, ' ' ORDER BY c.category_id) FROM product_counts c),
                       (SELECT count(*) FROM outbox))",
    )
    .fetch_one(&mut app.admin().await)
    .await
    .unwrap()
}

struct Shop {
    app: TestApp,
    product: i64,
    variant: i64,
}

async fn shop() -> Shop {
    let app = TestApp::start().await;
    let product = app.created(coffee("bourbon")).await;
    app.created(coffee("catuai")).await;
    Shop { product: summary(&product).id, variant: product.variants[0].id, app }
}

/// One of each mutation, right in every way.
async fn mutations(shop: &Shop, who: Who) -> Vec<Result<(), Status>> {
    let Shop { app, product, variant } = shop;
    let id = *product;
    let prices = vec![VariantPrice { variant_id: *variant, amount: 1, compare_at_amount: None }];
    vec![
        app.create_product(who, coffee("novo")).await.map(drop),
        app.update_product(who, UpdateProductRequest { id, expected_version: 1, fields: Some(fields("x")) })
            .await
            .map(drop),
        app.patch_product(
            who,
            PatchProductRequest { id, expected_version: 1, name: Some("x".into()), ..Default::default() },
        )
        .await
        .map(drop),
        app.delete_product(who, DeleteProductRequest { id, expected_version: 1 }).await.map(drop),
        app.change_prices(who, ChangePricesRequest { product_id: id, expected_version: 1, prices })
            .await
            .map(drop),
    ]
}

#[tokio::test]
async fn only_staff_and_admins_change_anything() {
    let shop = shop().await;
    let before = state(&shop.app).await;
    for answer in mutations(&shop, Who::Anonymous).await {
        assert_eq!(refusal(answer), (Code::Unauthenticated, "unauthenticated".into(), String::new()));
    }
    for answer in mutations(&shop, Who::Customer).await {
        assert_eq!(refusal(answer), (Code::PermissionDenied, "permission_denied".into(), String::new()));
    }
    // Before anything else: not even told what is wrong with the request.
    let nonsense = shop.app.patch_product(Who::Customer, PatchProductRequest::default()).await;
    assert_eq!(refusal(nonsense).0, Code::PermissionDenied);
    assert_eq!(state(&shop.app).await, before);
}

#[tokio::test]
async fn a_token_that_proves_nobody_is_refused_even_for_reading() {
    let app = TestApp::start().await;
    let good = app.bearer(Who::Staff).unwrap();
    assert!(app.list_products_with_bearer(&good).await.is_ok());
    let foreign = TestApp::start().await.bearer(Who::Staff).unwrap();
    // What the gateway states to others, and what it was told itself (X10, X22).
    let elsewhere = app.keys.assertion("agenda", "staff", 7);
    let access_token = app.keys.token("staff", 7);
    for bearer in ["", "x", "a.b.c", &good[..good.len() - 4], &foreign, &elsewhere, &access_token] {
        let answer = app.list_products_with_bearer(bearer).await;
        assert_eq!(
            refusal(answer),
            (Code::Unauthenticated, "unauthenticated".into(), String::new()),
            "{bearer}"
        );
    }
}

#[tokio::test]
async fn stale_versions_are_refused_and_told_the_current_one() {
    let shop = shop().await;
    let patch = PatchProductRequest {
        id: shop.product,
        expected_version: 1,
        name: Some("B".into()),
        ..Default::default()
    };
    shop.app.patch_product(Who::Staff, patch).await.unwrap();
    let before = state(&shop.app).await;

    for answer in mutations(&shop, Who::Admin).await.into_iter().skip(1) {
        let status = answer.clone().unwrap_err();
        assert_eq!(status.metadata().get("mc-current-version").unwrap(), "2");
        assert_eq!(refusal(answer), (Code::Aborted, "version_mismatch".into(), "expected_version".into()));
    }
    let created_meanwhile = sqlx::raw_sql("DELETE FROM products WHERE slug = 'novo'");
    created_meanwhile.execute(&mut shop.app.admin().await).await.unwrap();
    let outbox = sqlx::raw_sql("DELETE FROM outbox WHERE tags @> '{product:slug:novo}'");
    outbox.execute(&mut shop.app.admin().await).await.unwrap();
    assert_eq!(state(&shop.app).await, before);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_changed() {
    let Shop { app, .. } = shop().await;
    let (id, expected_version) = (999, 1);
    let prices = vec![VariantPrice { variant_id: 1, amount: 1, compare_at_amount: None }];
    let answers = [
        app.get_product(Who::Staff, by_id(id)).await.map(drop),
        app.get_product(Who::Staff, by_slug("nenhum")).await.map(drop),
        app.update_product(
            Who::Staff,
            UpdateProductRequest { id, expected_version, fields: Some(fields("x")) },
        )
        .await
        .map(drop),
        app.patch_product(Who::Staff, PatchProductRequest { id, expected_version, ..Default::default() })
            .await
            .map(drop),
        app.delete_product(Who::Staff, DeleteProductRequest { id, expected_version }).await.map(drop),
        app.change_prices(Who::Staff, ChangePricesRequest { product_id: id, expected_version, prices })
            .await
            .map(drop),
    ];
    for answer in answers {
        assert_eq!(refusal(answer), (Code::NotFound, "product_not_found".into(), String::new()));
    }
}

#[tokio::test]
async fn slugs_and_skus_are_taken_once() {
    let shop = shop().await;
    let before = state(&shop.app).await;
    let taken_slug = (Code::AlreadyExists, "slug_taken".to_owned(), "slug".to_owned());

    let mut request = coffee("bourbon");
    request.variants[0].sku = "other".into();
    assert_eq!(refusal(shop.app.create_product(Who::Staff, request).await), taken_slug);
    let patch = PatchProductRequest {
        id: shop.product,
        expected_version: 1,
        slug: Some("catuai".into()),
        ..Default::default()
    };
    assert_eq!(refusal(shop.app.patch_product(Who::Staff, patch).await), taken_slug);
    let update =
        UpdateProductRequest { id: shop.product, expected_version: 1, fields: Some(fields("catuai")) };
    assert_eq!(refusal(shop.app.update_product(Who::Staff, update).await), taken_slug);

    let mut request = coffee("novo");
    request.variants[0].sku = "catuai-250".into();
    let answer = shop.app.create_product(Who::Staff, request).await;
    assert_eq!(refusal(answer), (Code::AlreadyExists, "sku_taken".into(), "sku".into()));
    assert_eq!(state(&shop.app).await, before);
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let Shop { app, .. } = shop().await;
    let check = async |request: ListProductsRequest, reason: &str, field: &str| {
        let answer = app.list_products(Who::Anonymous, request).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, reason.into(), field.into()));
    };
    for (request, field) in [
        (ListProductsRequest { page: 0, ..list() }, "page"),
        (ListProductsRequest { per_page: 0, ..list() }, "per_page"),
        (ListProductsRequest { per_page: 101, ..list() }, "per_page"),
        (ListProductsRequest { per_page: u32::MAX, ..list() }, "per_page"),
        (ListProductsRequest { category_id: Some(0), ..list() }, "category_id"),
        (ListProductsRequest { category_id: Some(i64::MIN), ..list() }, "category_id"),
        (ListProductsRequest { category_slug: Some("A B".into()), ..list() }, "category_slug"),
        (ListProductsRequest { category_slug: Some("\0".into()), ..list() }, "category_slug"),
        (ListProductsRequest { min_price_amount: Some(-1), ..list() }, "min_price_amount"),
        (ListProductsRequest { max_price_amount: Some(i64::MAX), ..list() }, "max_price_amount"),
        (
            ListProductsRequest { min_price_amount: Some(2), max_price_amount: Some(1), ..list() },
            "min_price_amount",
        ),
        (ListProductsRequest { sort: 99, ..list() }, "sort"),
        (ListProductsRequest { sort: -1, ..list() }, "sort"),
        (ListProductsRequest { sort: Sort::Relevance.into(), ..list() }, "sort"),
        (ListProductsRequest { search: Some("é".repeat(129)), ..list() }, "search"),
        (ListProductsRequest { search: Some("a\0b".into()), ..list() }, "search"),
    ] {
        check(request, "invalid_value", field).await;
    }
    check(ListProductsRequest { page: 501, ..list() }, "offset_too_deep", "page").await;
    check(ListProductsRequest { page: u32::MAX, per_page: 100, ..list() }, "offset_too_deep", "page").await;
    assert!(app.list_products(Who::Anonymous, ListProductsRequest { page: 500, ..list() }).await.is_ok());
    assert!(
        app.list_products(Who::Anonymous, ListProductsRequest { search: Some("é".repeat(128)), ..list() })
            .await
            .is_ok()
    );

    let invalid = |field: &str| (Code::InvalidArgument, "invalid_value".to_owned(), field.to_owned());
    for id in [0, -1, i64::MIN] {
        assert_eq!(refusal(app.get_product(Who::Anonymous, by_id(id)).await), invalid("id"));
        assert_eq!(refusal(app.get_category(Who::Anonymous, GetCategoryRequest { id }).await), invalid("id"));
    }
    assert_eq!(refusal(app.get_product(Who::Anonymous, GetProductRequest { by: None }).await), invalid("id"));
    for slug in ["", "A", "a b", "a\0", "'; DROP TABLE products; --"] {
        assert_eq!(refusal(app.get_product(Who::Anonymous, by_slug(slug)).await), invalid("slug"));
    }
    for limit in [0, 51, u32::MAX] {
        let featured =
            app.list_featured_products(Who::Anonymous, ListFeaturedProductsRequest { limit }).await;
        assert_eq!(refusal(featured), invalid("limit"));
        let new = app.list_new_products(Who::Anonymous, ListNewProductsRequest { limit }).await;
        assert_eq!(refusal(new), invalid("limit"));
    }
}

#[tokio::test]
async fn products_that_make_no_sense_are_refused() {
    let shop = shop().await;
    let before = state(&shop.app).await;
    let with = |change: fn(&mut ProductFields)| {
        let mut fields = fields("novo");
        change(&mut fields);
        fields
    };
    for (wrong, field) in [
        (with(|f| f.slug = String::new()), "slug"),
        (with(|f| f.slug = "Não".into()), "slug"),
        (with(|f| f.slug = "a".repeat(121)), "slug"),
        (with(|f| f.name = String::new()), "name"),
        (with(|f| f.name = "  ".into()), "name"),
        (with(|f| f.name = "é".repeat(201)), "name"),
        (with(|f| f.name = "a\0".into()), "name"),
        (with(|f| f.description = "\0".into()), "description"),
        (with(|f| f.description = "x".repeat(20_001)), "description"),
        (with(|f| f.category_id = Some(0)), "category_id"),
        (with(|f| f.origin = Some(String::new())), "origin"),
        (with(|f| f.origin = Some("x".repeat(101))), "origin"),
        (with(|f| f.roast = Some("torrada".into())), "roast"),
        (with(|f| f.process = Some("\u{7}".into())), "process"),
        (with(|f| f.sca_score_tenths = Some(-1)), "sca_score_tenths"),
        (with(|f| f.sca_score_tenths = Some(1001)), "sca_score_tenths"),
        (with(|f| f.attributes_json = "[]".into()), "attributes_json"),
        (with(|f| f.attributes_json = "{".into()), "attributes_json"),
        (with(|f| f.attributes_json = r#"{"a":"\u0000"}"#.into()), "attributes_json"),
        (with(|f| f.attributes_json = format!(r#"{{"a":"{}"}}"#, "x".repeat(20_000))), "attributes_json"),
    ] {
        let invalid = (Code::InvalidArgument, "invalid_value".to_owned(), field.to_owned());
        let create = CreateProductRequest { fields: Some(wrong.clone()), ..coffee("novo") };
        assert_eq!(refusal(shop.app.create_product(Who::Staff, create).await), invalid);
        let update = UpdateProductRequest { id: shop.product, expected_version: 1, fields: Some(wrong) };
        assert_eq!(refusal(shop.app.update_product(Who::Staff, update).await), invalid);
    }
    let unknown = (Code::InvalidArgument, "category_not_found".to_owned(), "category_id".to_owned());
    let elsewhere = with(|f| f.category_id = Some(99));
    let create = CreateProductRequest { fields: Some(elsewhere.clone()), ..coffee("novo") };
    assert_eq!(refusal(shop.app.create_product(Who::Staff, create).await), unknown);
    let update = UpdateProductRequest { id: shop.product, expected_version: 1, fields: Some(elsewhere) };
    assert_eq!(refusal(shop.app.update_product(Who::Staff, update).await), unknown);
    let nothing = CreateProductRequest { fields: None, ..coffee("novo") };
    assert_eq!(refusal(shop.app.create_product(Who::Staff, nothing).await).2, "fields");
    assert_eq!(state(&shop.app).await, before);
}

#[tokio::test]
async fn variants_that_make_no_sense_are_refused() {
    let shop = shop().await;
    let before = state(&shop.app).await;
    let with = |change: fn(&mut NewVariant)| {
        let mut variant = variant("NOVO", 100);
        change(&mut variant);
        vec![variant]
    };
    for (variants, field) in [
        (vec![], "variants"),
        ((0..51).map(|n| variant(&format!("S{n}"), 1)).collect(), "variants"),
        (vec![variant("A", 1), variant("A", 1)], "variants[1].sku"),
        (with(|v| v.sku = String::new()), "variants[0].sku"),
        (with(|v| v.sku = "a b".into()), "variants[0].sku"),
        (with(|v| v.name = "\0".into()), "variants[0].name"),
        (with(|v| v.options_json = "[]".into()), "variants[0].options_json"),
        (with(|v| v.options_json = r#"{"peso":250}"#.into()), "variants[0].options_json"),
        (with(|v| v.weight_g = 0), "variants[0].weight_g"),
        (with(|v| v.weight_g = i32::MAX), "variants[0].weight_g"),
        (with(|v| v.price_amount = -1), "variants[0].price_amount"),
        (with(|v| v.price_amount = 100_000_001), "variants[0].price_amount"),
        (with(|v| v.compare_at_amount = Some(99)), "variants[0].compare_at_amount"),
        (with(|v| v.compare_at_amount = Some(i64::MAX)), "variants[0].compare_at_amount"),
    ] {
        let answer =
            shop.app.create_product(Who::Staff, CreateProductRequest { variants, ..coffee("novo") }).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, "invalid_value".into(), field.into()));
    }
    assert_eq!(state(&shop.app).await, before);
}

#[tokio::test]
async fn changes_that_make_no_sense_are_refused() {
    let shop = shop().await;
    let before = state(&shop.app).await;
    let Shop { app, product, variant } = &shop;
    let patch = || PatchProductRequest { id: *product, expected_version: 1, ..Default::default() };
    for (wrong, reason, field) in [
        (PatchProductRequest { id: 0, ..patch() }, "invalid_value", "id"),
        (PatchProductRequest { expected_version: 0, ..patch() }, "version_required", "expected_version"),
        (PatchProductRequest { expected_version: -1, ..patch() }, "invalid_value", "expected_version"),
        (PatchProductRequest { name: Some(String::new()), ..patch() }, "invalid_value", "name"),
        (PatchProductRequest { category_id: Some(99), ..patch() }, "category_not_found", "category_id"),
        (PatchProductRequest { clear: vec!["name".into()], ..patch() }, "invalid_value", "clear[0]"),
        (
            PatchProductRequest { clear: vec!["origin".into(), "\0".into()], ..patch() },
            "invalid_value",
            "clear[1]",
        ),
        (
            PatchProductRequest { clear: vec!["origin".into()], origin: Some("x".into()), ..patch() },
            "invalid_value",
            "origin",
        ),
    ] {
        let answer = app.patch_product(Who::Staff, wrong).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, reason.into(), field.into()));
    }

    let price = |variant_id, amount| VariantPrice { variant_id, amount, compare_at_amount: None };
    let right = || ChangePricesRequest {
        product_id: *product,
        expected_version: 1,
        prices: vec![price(*variant, 5)],
    };
    let elsewhere =
        app.get_product(Who::Staff, by_slug("catuai")).await.unwrap().product.unwrap().variants[0].id;
    for (wrong, reason, field) in [
        (ChangePricesRequest { product_id: -5, ..right() }, "invalid_value", "product_id"),
        (ChangePricesRequest { expected_version: 0, ..right() }, "version_required", "expected_version"),
        (ChangePricesRequest { prices: vec![], ..right() }, "invalid_value", "prices"),
        (
            ChangePricesRequest { prices: (1..=51).map(|id| price(id, 1)).collect(), ..right() },
            "invalid_value",
            "prices",
        ),
        (
            ChangePricesRequest { prices: vec![price(0, 1)], ..right() },
            "invalid_value",
            "prices[0].variant_id",
        ),
        (
            ChangePricesRequest { prices: vec![price(*variant, 1), price(*variant, 2)], ..right() },
            "invalid_value",
            "prices[1].variant_id",
        ),
        (
            ChangePricesRequest { prices: vec![price(*variant, 1), price(elsewhere, 2)], ..right() },
            "variant_not_found",
            "prices[1].variant_id",
        ),
        (
            ChangePricesRequest { prices: vec![price(*variant, -1)], ..right() },
            "invalid_value",
            "prices[0].amount",
        ),
        (
            ChangePricesRequest { prices: vec![price(*variant, i64::MAX)], ..right() },
            "invalid_value",
            "prices[0].amount",
        ),
        (
            ChangePricesRequest {
                prices: vec![VariantPrice { compare_at_amount: Some(1), ..price(*variant, 2) }],
                ..right()
            },
            "invalid_value",
            "prices[0].compare_at_amount",
        ),
    ] {
        let answer = app.change_prices(Who::Staff, wrong).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, reason.into(), field.into()));
    }
    let no_version =
        app.delete_product(Who::Staff, DeleteProductRequest { id: *product, expected_version: 0 }).await;
    assert_eq!(refusal(no_version).1, "version_required");
    assert_eq!(state(app).await, before);
}
