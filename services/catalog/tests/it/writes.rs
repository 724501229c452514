//! Products made, replaced, patched and taken away.

use futures_util::future::join_all;
use proto::catalog::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, by_id, by_slug, coffee, fields, list, summary, variant};

#[tokio::test]
async fn what_was_made_is_what_is_read() {
    let app = TestApp::start().await;
    app.sql("INSERT INTO categories (id, name, slug) VALUES (1, 'A', 'a')").await;
    let request = CreateProductRequest {
        fields: Some(ProductFields {
            name: "Catuaí 62 – “doce” ☕".into(),
            description: "linha 1\nlinha 2".into(),
            category_id: Some(1),
            roast: Some("clara".into()),
            sca_score_tenths: Some(1_000),
            is_featured: true,
            ..fields("catuai-62")
        }),
        variants: (0..50).map(|n| variant(&format!("C-{n:02}"), 100_000_000 - n)).collect(),
    };
    let made = app.create_product(Who::Admin, request).await.unwrap();
    let product = made.product.unwrap();
    let listed = summary(&product);
    assert_eq!(listed.version, 1);
    assert_eq!(listed.price.as_ref().unwrap().current.as_ref().unwrap().amount, 99_999_951);
    assert_eq!(listed.stock_band, "out");
    assert_eq!(product.variants.len(), 50);
    assert_eq!(product.variants[49].sku, "C-49");
    assert_eq!(made.receipts.len(), 1);

    let read = app.get_product(Who::Anonymous, by_id(listed.id)).await.unwrap().product.unwrap();
    assert_eq!(read, product);
    // Empty attributes are the empty object.
    let mut bare = coffee("bare");
    bare.fields.as_mut().unwrap().attributes_json = String::new();
    bare.variants[0].options_json = String::new();
    let bare = app.created(bare).await;
    assert_eq!((bare.attributes_json.as_str(), bare.variants[0].options_json.as_str()), ("{}", "{}"));
}

#[tokio::test]
async fn replacing_writes_every_field_and_counts_up() {
    let app = TestApp::start().await;
    app.sql("INSERT INTO categories (id, name, slug) VALUES (1, 'A', 'a')").await;
    let mut request = coffee("bourbon");
    let full = request.fields.as_mut().unwrap();
    (full.origin, full.process, full.category_id) = (Some("Minas".into()), Some("natural".into()), Some(1));
    let product = app.created(request).await;
    let id = summary(&product).id;

    let new = ProductFields { name: "Novo".into(), is_featured: true, ..fields("novo") };
    let update = UpdateProductRequest { id, expected_version: 1, fields: Some(new.clone()) };
    let answer = app.update_product(Who::Staff, update).await.unwrap();
    let updated = answer.product.unwrap();
    let listed = summary(&updated);
    assert_eq!((listed.version, listed.name.as_str(), listed.slug.as_str()), (2, "Novo", "novo"));
    assert_eq!((&listed.origin, &listed.process, &listed.category), (&None, &None, &None));
    assert!(listed.is_featured);
    assert_eq!(listed.created_at, summary(&product).created_at);
    assert!(updated.updated_at.unwrap().seconds >= product.updated_at.unwrap().seconds);
    assert_eq!(updated.variants, product.variants, "variants are not among the fields");
    assert_eq!(answer.receipts.len(), 1);

    // The same again changes nothing and says nothing.
    let update = UpdateProductRequest { id, expected_version: 2, fields: Some(new) };
    let answer = app.update_product(Who::Staff, update).await.unwrap();
    assert_eq!((answer.product.unwrap(), answer.receipts.len()), (updated, 0));
    assert!(app.get_product(Who::Anonymous, by_slug("bourbon")).await.is_err());
}

#[tokio::test]
async fn patching_changes_what_is_named_and_nothing_else() {
    let app = TestApp::start().await;
    app.sql("INSERT INTO categories (id, name, slug) VALUES (1, 'A', 'a')").await;
    let mut request = coffee("bourbon");
    let full = request.fields.as_mut().unwrap();
    full.origin = Some("Minas".into());
    full.roast = Some("media".into());
    full.process = Some("natural".into());
    full.sca_score_tenths = Some(855);
    full.category_id = Some(1);
    full.attributes_json = r#"{"b": 1, "a": [true, null, "x"]}"#.into();
    let product = app.created(request).await;
    let id = summary(&product).id;
    let mut version = 1;
    let mut patched = async |patch: PatchProductRequest| {
        let patch = PatchProductRequest { id, expected_version: version, ..patch };
        let answer = app.patch_product(Who::Staff, patch).await.unwrap();
        let product = answer.product.unwrap();
        version = summary(&product).version;
        (product, answer.receipts.len())
    };
    let named = |change: fn(&mut ProductSummary)| {
        let mut expected = product.clone();
        change(expected.summary.as_mut().unwrap());
        expected
    };
    let without_time = |product: Product| Product { updated_at: product.updated_at, ..product };

    // Nothing named, or named as it is: nothing happens.
    let same = PatchProductRequest {
        name: Some("bourbon".into()),
        roast: Some("media".into()),
        attributes_json: Some(r#"{"a":[true,null,"x"],"b":1}"#.into()),
        ..Default::default()
    };
    assert_eq!(patched(PatchProductRequest::default()).await, (product.clone(), 0));
    assert_eq!(patched(same).await, (product.clone(), 0));

    let (after, receipts) =
        patched(PatchProductRequest { name: Some("Novo".into()), ..Default::default() }).await;
    let mut expected = named(|s| (s.name, s.version) = ("Novo".into(), 2));
    expected.updated_at = after.updated_at;
    assert_eq!((without_time(after), receipts), (expected, 1));

    let clear = ["category_id", "origin", "roast", "process", "sca_score_tenths"].map(str::to_owned).to_vec();
    let (after, receipts) = patched(PatchProductRequest { clear, ..Default::default() }).await;
    let listed = summary(&after);
    assert_eq!((&listed.category, &listed.origin, &listed.roast), (&None, &None, &None));
    assert_eq!((&listed.process, listed.sca_score_tenths, listed.version), (&None, None, 3));
    assert_eq!((after.breadcrumbs.len(), receipts), (0, 1));

    let set = PatchProductRequest {
        slug: Some("outro".into()),
        description: Some(String::new()),
        category_id: Some(1),
        origin: Some("Bahia".into()),
        roast: Some("escura".into()),
        process: Some("lavado".into()),
        sca_score_tenths: Some(0),
        attributes_json: Some("{}".into()),
        is_active: Some(false),
        is_featured: Some(true),
        ..Default::default()
    };
    let (after, receipts) = patched(set).await;
    let listed = summary(&after);
    assert_eq!((listed.slug.as_str(), listed.sca_score_tenths, receipts), ("outro", Some(0), 1));
    assert!(!listed.is_active && listed.is_featured && after.description.is_empty());
    assert_eq!(after.attributes_json, "{}");
}

#[tokio::test]
async fn deleting_hides_a_product_and_keeps_it_for_staff() {
    let app = TestApp::start().await;
    let id = summary(&app.created(coffee("bourbon")).await).id;
    let answer =
        app.delete_product(Who::Staff, DeleteProductRequest { id, expected_version: 1 }).await.unwrap();
    assert_eq!(answer.receipts.len(), 1);

    assert_eq!(app.get_product(Who::Anonymous, by_id(id)).await.unwrap_err().code(), Code::NotFound);
    assert!(app.list_products(Who::Anonymous, list()).await.unwrap().products.is_empty());
    let kept = app.get_product(Who::Staff, by_id(id)).await.unwrap().product.unwrap();
    assert_eq!((summary(&kept).version, summary(&kept).is_active, kept.variants.len()), (2, false, 1));

    // Once more is no mistake, and no news.
    let answer =
        app.delete_product(Who::Staff, DeleteProductRequest { id, expected_version: 2 }).await.unwrap();
    assert!(answer.receipts.is_empty());

    let patch = PatchProductRequest { id, expected_version: 2, is_active: Some(true), ..Default::default() };
    app.patch_product(Who::Staff, patch).await.unwrap();
    assert!(app.get_product(Who::Anonymous, by_id(id)).await.is_ok());
}

#[tokio::test]
async fn of_many_editors_who_saw_the_same_version_one_wins() {
    let app = TestApp::start().await;
    let id = summary(&app.created(coffee("bourbon")).await).id;
    let edits = (0..16).map(|n| {
        let name = Some(format!("editor {n}"));
        app.patch_product(
            Who::Staff,
            PatchProductRequest { id, expected_version: 1, name, ..Default::default() },
        )
    });
    let answers = join_all(edits).await;
    let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    for lost in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        // Waiting too long for one's turn is the other possible end.
        assert!(matches!(lost.code(), Code::Aborted | Code::Unavailable), "{lost:?}");
    }
    let product = app.get_product(Who::Anonymous, by_id(id)).await.unwrap().product.unwrap();
    assert_eq!(Some(&product), won[0].product.as_ref());
    let events: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&mut app.admin().await).await.unwrap();
    assert_eq!(events, 2);
}
