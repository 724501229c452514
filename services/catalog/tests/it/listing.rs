//! Pages, cursors, sorts, filters and totals.

use proto::catalog::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, ids, list, refusal};

/// 120 products with few different prices, names and days, so that ids decide often; every tenth is
/// inactive. Categories: 1 above 2 above 3, and 4.
const SHOP: &str = "
    INSERT INTO categories (id, parent_id, name, slug) VALUES
        (1, NULL, 'Cafés', 'cafes'), (2, 1, 'Grãos', 'graos'), (3, 2, 'Microlotes', 'microlotes'), (4, NULL, 'Filtros', 'filtros');
    INSERT INTO products (id, slug, name, description, category_id, price_min_amount, price_max_amount, is_active, created_at)
    SELECT n, 'p-' || n, (ARRAY['Ágata', 'agata', 'Zebra', 'Café', 'banana'])[1 + n % 5],
           repeat('café ', n % 4), 1 + n % 4, 1000 * (n % 6), 9000, n % 10 <> 0,
           timestamptz '2026-01-01' + (n % 7) * interval '1 day 1 microsecond'
      FROM generate_series(1, 120) n;";

const SORTS: [Sort; 6] =
    [Sort::CreatedAtDesc, Sort::CreatedAtAsc, Sort::PriceAsc, Sort::PriceDesc, Sort::NameAsc, Sort::NameDesc];

/// Follows `next_cursor` to the end, then `prev_cursor` back; every page on the way.
async fn walk(app: &TestApp, who: Who, first: ListProductsRequest) -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut page = app.list_products(who, first.clone()).await.unwrap();
    let mut number = 1;
    loop {
        let pagination = page.pagination.unwrap();
        assert_eq!(pagination.page, number);
        there.push(ids(&page.products));
        assert!(there.len() < 200, "the list does not end");
        let Some(cursor) = pagination.next_cursor else {
            back.push(there.last().unwrap().clone());
            let mut previous = pagination.prev_cursor;
            while let Some(cursor) = previous {
                assert!(back.len() < 200, "the way back does not end");
                let request = ListProductsRequest { page: 0, cursor: Some(cursor), ..first.clone() };
                let page = app.list_products(who, request).await.unwrap();
                let pagination = page.pagination.unwrap();
                back.push(ids(&page.products));
                assert_eq!(pagination.page as usize, there.len() + 1 - back.len());
                assert!(pagination.next_cursor.is_some(), "we just came from there");
                previous = pagination.prev_cursor;
            }
            back.reverse();
            return (there, back);
        };
        number += 1;
        let request = ListProductsRequest { page: 0, cursor: Some(cursor), ..first.clone() };
        page = app.list_products(who, request).await.unwrap();
    }
}

/// The ids in the order that the words of the sort promise, asked of the table itself.
async fn expected(app: &TestApp, sort: Sort, condition: &str) -> Vec<i64> {
    let order = match sort {
        Sort::CreatedAtDesc => "created_at DESC, id DESC",
        Sort::CreatedAtAsc => "created_at, id",
        Sort::PriceAsc => "price_min_amount, id",
        Sort::PriceDesc => "price_min_amount DESC, id DESC",
        Sort::NameAsc => r#"lower(unaccent(name)) COLLATE "C", id"#,
        Sort::NameDesc => r#"lower(unaccent(name)) COLLATE "C" DESC, id DESC"#,
        Sort::Unspecified | Sort::Relevance => {
            "ts_rank(search_vector, websearch_to_tsquery('app.mc_pt', 'café')) DESC, id DESC"
        }
    };
    let sql = format!("SELECT id FROM products WHERE {condition} ORDER BY {order}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut app.admin().await).await.unwrap()
}

async fn walks_everything(app: &TestApp, who: Who, request: ListProductsRequest, condition: &str) {
    let expected = expected(app, Sort::try_from(request.sort).unwrap(), condition).await;
    assert!(expected.len() > 12, "a list worth walking");
    let (there, back) = walk(app, who, request.clone()).await;
    assert_eq!(there.concat(), expected, "{request:?}");
    assert_eq!(back, there, "the same pages on the way back: {request:?}");
}

#[tokio::test]
async fn cursors_walk_every_list_there_and_back_without_gap_or_repeat() {
    let app = TestApp::start().await;
    app.sql(SHOP).await;
    for sort in SORTS {
        let request = ListProductsRequest { page: 1, per_page: 7, sort: sort.into(), ..Default::default() };
        walks_everything(&app, Who::Anonymous, request.clone(), "is_active").await;

        let of_category = ListProductsRequest { category_slug: Some("graos".into()), ..request.clone() };
        walks_everything(&app, Who::Anonymous, of_category, "is_active AND category_id IN (2, 3)").await;

        let with_words = ListProductsRequest { search: Some("cafe".into()), ..request.clone() };
        let found = "is_active AND search_vector @@ websearch_to_tsquery('app.mc_pt', 'café')";
        walks_everything(&app, Who::Customer, with_words, found).await;

        let everything = ListProductsRequest { include_inactive: Some(true), ..request.clone() };
        walks_everything(&app, Who::Staff, everything, "true").await;

        let priced =
            ListProductsRequest { min_price_amount: Some(1000), max_price_amount: Some(3000), ..request };
        walks_everything(
            &app,
            Who::Anonymous,
            priced,
            "is_active AND price_min_amount BETWEEN 1000 AND 3000",
        )
        .await;
    }
    let relevant =
        ListProductsRequest { page: 1, per_page: 7, search: Some("CAFÉS".into()), ..Default::default() };
    let found = "is_active AND search_vector @@ websearch_to_tsquery('app.mc_pt', 'café')";
    walks_everything(&app, Who::Anonymous, relevant.clone(), found).await;
    let of_category =
        ListProductsRequest { category_id: Some(1), sort: Sort::Relevance.into(), ..relevant.clone() };
    walks_everything(&app, Who::Anonymous, of_category, &format!("{found} AND category_id IN (1, 2, 3)"))
        .await;
    let everything = ListProductsRequest { include_inactive: Some(true), ..relevant };
    let found = "search_vector @@ websearch_to_tsquery('app.mc_pt', 'café')";
    walks_everything(&app, Who::Staff, everything, found).await;
}

#[tokio::test]
async fn numbered_pages_are_the_pages_that_cursors_walk() {
    let app = TestApp::start().await;
    app.sql(SHOP).await;
    for sort in SORTS {
        let request = ListProductsRequest {
            page: 1,
            per_page: 7,
            sort: sort.into(),
            category_id: Some(1),
            ..Default::default()
        };
        let (there, _) = walk(&app, Who::Anonymous, request.clone()).await;
        for (page, expected) in (1..).zip(&there) {
            let request = ListProductsRequest { page, ..request.clone() };
            let answer = app.list_products(Who::Anonymous, request).await.unwrap();
            assert_eq!(&ids(&answer.products), expected);
            let pagination = answer.pagination.unwrap();
            assert_eq!(pagination.prev_cursor.is_some(), page > 1);
            assert_eq!(pagination.next_cursor.is_some(), (page as usize) < there.len());
        }
    }
    let behind = ListProductsRequest { page: 50, ..list() };
    let answer = app.list_products(Who::Anonymous, behind).await.unwrap();
    assert!(answer.products.is_empty());
    assert_eq!(answer.pagination.unwrap().next_cursor, None);
}

#[tokio::test]
async fn a_cursor_holds_its_place_while_products_come_and_go() {
    let app = TestApp::start().await;
    app.sql(SHOP).await;
    let first = app.list_products(Who::Anonymous, list()).await.unwrap();
    let shown = ids(&first.products);
    app.sql(
        "INSERT INTO products (id, slug, name, price_min_amount, price_max_amount, is_active)
         VALUES (500, 'newest', 'Novo', 1, 1, true);
         UPDATE products SET is_active = false WHERE id = 97",
    )
    .await;
    let cursor = first.pagination.unwrap().next_cursor;
    let second = app.list_products(Who::Anonymous, ListProductsRequest { cursor, ..list() }).await.unwrap();
    let expected: Vec<i64> = expected(&app, Sort::CreatedAtDesc, "is_active AND id <> 500")
        .await
        .into_iter()
        .filter(|id| !shown.contains(id))
        .take(20)
        .collect();
    assert_eq!(ids(&second.products), expected);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_question_only() {
    let app = TestApp::start().await;
    app.sql(SHOP).await;
    let question = ListProductsRequest {
        search: Some("café".into()),
        sort: Sort::PriceAsc.into(),
        per_page: 5,
        ..list()
    };
    let cursor =
        app.list_products(Who::Anonymous, question.clone()).await.unwrap().pagination.unwrap().next_cursor;
    let question = ListProductsRequest { cursor, page: 0, ..question };
    // How many at once is not part of the question.
    let more = ListProductsRequest { per_page: 9, skip_count: true, ..question.clone() };
    assert_eq!(app.list_products(Who::Anonymous, more).await.unwrap().products.len(), 9);

    let invalid = (Code::InvalidArgument, "invalid_cursor".to_owned(), "cursor".to_owned());
    let others = [
        ListProductsRequest { sort: Sort::PriceDesc.into(), ..question.clone() },
        ListProductsRequest { sort: Sort::NameAsc.into(), ..question.clone() },
        ListProductsRequest { sort: Sort::Unspecified.into(), ..question.clone() },
        ListProductsRequest { search: Some("cafe".into()), ..question.clone() },
        ListProductsRequest { search: None, ..question.clone() },
        ListProductsRequest { category_id: Some(1), ..question.clone() },
        ListProductsRequest { category_slug: Some("cafes".into()), ..question.clone() },
        ListProductsRequest { min_price_amount: Some(1), ..question.clone() },
        ListProductsRequest { max_price_amount: Some(9000), ..question.clone() },
        ListProductsRequest { include_inactive: Some(true), ..question.clone() },
    ];
    for other in others {
        assert_eq!(refusal(app.list_products(Who::Staff, other).await), invalid);
    }
    let mut edited = question.cursor.clone().unwrap();
    let last = if edited.ends_with('A') { 'E' } else { 'A' };
    edited.pop();
    edited.push(last);
    for wrong in [edited, String::new(), "é".to_owned(), "A".repeat(4000)] {
        let request = ListProductsRequest { cursor: Some(wrong), ..question.clone() };
        assert_eq!(refusal(app.list_products(Who::Anonymous, request).await), invalid);
    }
}

#[tokio::test]
async fn a_category_holds_what_is_below_it() {
    let app = TestApp::start().await;
    app.sql(SHOP).await;
    let in_category = async |request: ListProductsRequest| {
        let answer = app
            .list_products(Who::Anonymous, ListProductsRequest { per_page: 100, ..request })
            .await
            .unwrap();
        let mut ids = ids(&answer.products);
        ids.sort_unstable();
        (ids, answer.category_path, answer.pagination.unwrap().total.unwrap())
    };
    let all_of = async |condition: &'static str| {
        let sql = format!("SELECT id FROM products WHERE is_active AND {condition} ORDER BY id");
        let ids: Vec<i64> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut app.admin().await).await.unwrap();
        let total = ids.len() as u64;
        (ids, total)
    };
    for (request, condition, path) in [
        (ListProductsRequest { category_id: Some(1), ..list() }, "category_id IN (1, 2, 3)", vec![1]),
        (
            ListProductsRequest { category_slug: Some("graos".into()), ..list() },
            "category_id IN (2, 3)",
            vec![1, 2],
        ),
        (ListProductsRequest { category_id: Some(3), ..list() }, "category_id = 3", vec![1, 2, 3]),
        (
            ListProductsRequest { category_id: Some(4), category_slug: Some("filtros".into()), ..list() },
            "category_id = 4",
            vec![4],
        ),
        (
            ListProductsRequest { category_id: Some(1), min_price_amount: Some(4000), ..list() },
            "category_id IN (1, 2, 3) AND price_min_amount >= 4000",
            vec![1],
        ),
        (
            ListProductsRequest { category_id: Some(1), search: Some("zebra".into()), ..list() },
            "category_id IN (1, 2, 3) AND name = 'Zebra'",
            vec![1],
        ),
        (ListProductsRequest { ..list() }, "true", vec![]),
    ] {
        let (expected, total) = all_of(condition).await;
        let (ids, category_path, counted) = in_category(request).await;
        // 108 active products do not fit on one page.
        assert!(ids.iter().all(|id| expected.contains(id)), "{condition}");
        assert_eq!(
            (ids.len(), category_path, counted),
            (expected.len().min(100), path, total),
            "{condition}"
        );
    }

    for request in [
        ListProductsRequest { category_id: Some(99), ..list() },
        ListProductsRequest { category_slug: Some("nenhuma".into()), ..list() },
        ListProductsRequest { category_id: Some(1), category_slug: Some("filtros".into()), ..list() },
        ListProductsRequest { category_id: Some(99), search: Some("café".into()), ..list() },
        ListProductsRequest { category_id: Some(99), skip_count: true, ..list() },
    ] {
        let (code, reason, _) = refusal(app.list_products(Who::Anonymous, request).await);
        assert_eq!((code, reason.as_str()), (Code::NotFound, "category_not_found"));
    }
}

#[tokio::test]
async fn words_that_nearly_all_hold_are_listed_by_popularity() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO categories (id, name, slug) VALUES (1, 'A', 'a'), (2, 'B', 'b');
         INSERT INTO products (slug, name, category_id, price_min_amount, price_max_amount, is_active, popularity)
         SELECT 'p-' || n, CASE WHEN n % 25 = 0 THEN 'Café de café' ELSE 'Café' END, 1 + n % 2, n % 50, 50,
                n % 11 <> 0, n % 13
           FROM generate_series(1, 2600) n;
         ANALYZE products;",
    )
    .await;
    let popular = async |condition: &str| -> Vec<i64> {
        let sql = format!("SELECT id FROM products WHERE {condition} ORDER BY popularity DESC, id DESC");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut app.admin().await).await.unwrap()
    };
    let words =
        ListProductsRequest { page: 1, per_page: 100, search: Some("cafés".into()), ..Default::default() };
    let (there, back) = walk(&app, Who::Anonymous, words.clone()).await;
    assert_eq!(there.concat(), popular("is_active").await);
    assert_eq!(back, there);
    let of_category = ListProductsRequest { category_id: Some(2), skip_count: true, ..words.clone() };
    let (there, _) = walk(&app, Who::Anonymous, of_category).await;
    assert_eq!(there.concat(), popular("is_active AND category_id = 2").await);
    let everything = ListProductsRequest { include_inactive: Some(true), ..words.clone() };
    let (there, _) = walk(&app, Who::Staff, everything).await;
    assert_eq!(there.concat(), popular("true").await);
    for sort in SORTS {
        let sorted = ListProductsRequest { sort: sort.into(), min_price_amount: Some(10), ..words.clone() };
        walks_everything(&app, Who::Anonymous, sorted, "is_active AND price_min_amount >= 10").await;
    }

    // A list that was begun by popularity goes on so when the words become rare, and the other way round.
    let first = app.list_products(Who::Anonymous, words.clone()).await.unwrap();
    let expected = popular("is_active AND popularity >= 11").await;
    app.sql("UPDATE products SET name = 'Chá' WHERE popularity < 11").await;
    let cursor = first.pagination.unwrap().next_cursor;
    let second =
        app.list_products(Who::Anonymous, ListProductsRequest { cursor, ..words.clone() }).await.unwrap();
    assert_eq!([ids(&first.products), ids(&second.products)].concat(), expected[..200]);

    let first = app.list_products(Who::Anonymous, words.clone()).await.unwrap();
    let expected = expected_by_rank(&app).await;
    assert_eq!(ids(&first.products), expected[..100]);
    app.sql("UPDATE products SET name = 'Cafés ' || name WHERE name = 'Chá'").await;
    let cursor = first.pagination.unwrap().next_cursor;
    let second = app.list_products(Who::Anonymous, ListProductsRequest { cursor, ..words }).await.unwrap();
    let ranked = expected_by_rank(&app).await;
    let last = *ids(&first.products).last().unwrap();
    let on = 1 + ranked.iter().position(|id| *id == last).unwrap();
    assert_eq!(ids(&second.products), ranked[on..on + 100]);
}

async fn expected_by_rank(app: &TestApp) -> Vec<i64> {
    let found = "is_active AND search_vector @@ websearch_to_tsquery('app.mc_pt', 'café')";
    expected(app, Sort::Relevance, found).await
}

#[tokio::test]
async fn totals_are_exact_up_to_ten_thousand_and_near_beyond() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO categories (id, parent_id, name, slug) VALUES (1, NULL, 'A', 'a'), (2, 1, 'B', 'b');
         INSERT INTO products (slug, name, category_id, price_min_amount, price_max_amount, is_active)
         SELECT 'p-' || n, CASE WHEN n % 8 = 0 THEN 'Chá' ELSE 'Café' END, 1 + n % 2, n, 90000, n > 600
           FROM generate_series(1, 25600) n;
         ANALYZE products;",
    )
    .await;
    let total = async |request: ListProductsRequest| {
        let answer = app.list_products(Who::Staff, request).await.unwrap();
        let pagination = answer.pagination.unwrap();
        (pagination.total, pagination.total_exact)
    };
    // Counters know these.
    assert_eq!(total(list()).await, (Some(25_000), true));
    assert_eq!(total(ListProductsRequest { category_id: Some(1), ..list() }).await, (Some(25_000), true));
    assert_eq!(total(ListProductsRequest { category_id: Some(2), ..list() }).await, (Some(12_500), true));
    assert_eq!(
        total(ListProductsRequest { include_inactive: Some(true), ..list() }).await,
        (Some(25_600), true)
    );
    // Counted: up to ten thousand.
    let priced = ListProductsRequest { max_price_amount: Some(10_600), ..list() };
    assert_eq!(total(priced.clone()).await, (Some(10_000), true));
    assert_eq!(
        total(ListProductsRequest { search: Some("chá".into()), ..list() }).await,
        (Some(3_125), true)
    );
    assert_eq!(total(ListProductsRequest { category_id: Some(2), ..priced }).await, (Some(5_000), true));
    // Estimated: one more is too many.
    let near = |(total, exact): (Option<u64>, bool), truth: u64| {
        assert!(!exact);
        let total = total.unwrap();
        assert!(total > 10_000 && total.abs_diff(truth) < truth / 5, "{total} is not near {truth}");
    };
    near(total(ListProductsRequest { max_price_amount: Some(10_601), ..list() }).await, 10_001);
    near(total(ListProductsRequest { search: Some("café".into()), ..list() }).await, 21_875);
    near(
        total(ListProductsRequest { search: Some("café".into()), category_id: Some(1), ..list() }).await,
        21_875,
    );
    near(
        total(ListProductsRequest { search: Some("café".into()), max_price_amount: Some(20_000), ..list() })
            .await,
        16_975,
    );
    near(
        total(ListProductsRequest { include_inactive: Some(true), min_price_amount: Some(1), ..list() })
            .await,
        25_600,
    );
    // Not counted.
    assert_eq!(total(ListProductsRequest { skip_count: true, ..list() }).await, (None, false));
    assert_eq!(
        total(ListProductsRequest { skip_count: true, category_id: Some(2), ..list() }).await,
        (None, false)
    );
}
