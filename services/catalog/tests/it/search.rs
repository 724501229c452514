//! Words, accents and plurals.

use proto::catalog::v1::*;

use crate::app::{TestApp, Who, coffee, list};

async fn found(app: &TestApp, words: &str) -> Vec<String> {
    let request = ListProductsRequest { search: Some(words.to_owned()), ..list() };
    let answer = app.list_products(Who::Anonymous, request).await.unwrap();
    let mut slugs: Vec<_> = answer.products.into_iter().map(|product| product.slug).collect();
    assert_eq!(answer.pagination.unwrap().total, Some(slugs.len() as u64), "{words}");
    slugs.sort();
    slugs
}

#[tokio::test]
async fn words_are_found_with_and_without_accents_in_singular_and_plural() {
    let app = TestApp::start().await;
    for (slug, name, description, origin) in [
        ("plural", "Cafés Especiais", "", None),
        ("bare", "cafe coado", "", None),
        ("singular", "Café Premium", "", None),
        ("described", "Moedor", "para moer CAFÉ em casa", None),
        ("origin", "Bourbon", "", Some("São João da Boa Vista")),
        ("other", "Xícara de porcelana", "100% branca; preço bom", None),
    ] {
        let mut request = coffee(slug);
        let fields = request.fields.as_mut().unwrap();
        fields.name = name.into();
        fields.description = description.into();
        fields.origin = origin.map(str::to_owned);
        app.created(request).await;
    }
    let coffees = ["bare", "described", "plural", "singular"];
    for words in ["café", "Café", "CAFÉ", "cafe", "cafés", "cafes", "  café  ", "cafe\u{301}"] {
        assert_eq!(found(&app, words).await, coffees, "{words}");
    }
    assert_eq!(found(&app, "café premium").await, ["singular"]);
    assert_eq!(found(&app, "sao joao").await, ["origin"]);
    assert_eq!(found(&app, "xicaras").await, ["other"]);
    assert_eq!(found(&app, "café -premium").await, ["bare", "described", "plural"]);
    assert_eq!(found(&app, "\"cafés especiais\"").await, ["plural"]);

    // Nothing that a person can type is an error.
    for words in ["de", "&", "!!", "'", "\\", "a & | b", ":*", "(", "<->", "%", "\"", "-", "🦀", "chá"] {
        assert_eq!(found(&app, words).await, Vec::<String>::new(), "{words}");
    }
    // Blank words are no search.
    let request = ListProductsRequest { search: Some("  ".into()), ..list() };
    assert_eq!(app.list_products(Who::Anonymous, request).await.unwrap().products.len(), 6);
}

#[tokio::test]
async fn names_weigh_more_than_descriptions() {
    let app = TestApp::start().await;
    for (slug, name, description) in [
        ("described", "Moedor", "para café"),
        ("named", "Café do Cerrado", "doce"),
        ("both", "Café Café", "café"),
    ] {
        let mut request = coffee(slug);
        let fields = request.fields.as_mut().unwrap();
        (fields.name, fields.description) = (name.into(), description.into());
        app.created(request).await;
    }
    let request = ListProductsRequest { search: Some("cafés".into()), ..list() };
    let answer = app.list_products(Who::Anonymous, request).await.unwrap();
    let slugs: Vec<_> = answer.products.iter().map(|product| product.slug.as_str()).collect();
    assert_eq!(slugs, ["both", "named", "described"]);
}

#[tokio::test]
async fn changed_words_are_found_at_once() {
    let app = TestApp::start().await;
    let product = app.created(coffee("bourbon")).await;
    let id = product.summary.unwrap().id;
    assert_eq!(found(&app, "geisha").await, Vec::<String>::new());
    let patch =
        PatchProductRequest { id, expected_version: 1, name: Some("Geishas".into()), ..Default::default() };
    app.patch_product(Who::Staff, patch).await.unwrap();
    assert_eq!(found(&app, "geisha").await, ["bourbon"]);
    let patch = PatchProductRequest { id, expected_version: 2, is_active: Some(false), ..Default::default() };
    app.patch_product(Who::Staff, patch).await.unwrap();
    assert_eq!(found(&app, "geisha").await, Vec::<String>::new());
}
