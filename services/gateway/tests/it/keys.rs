//! Canonical keys: one entry for equivalent questions, different entries for different ones; and every
//! question that has no answer is refused before it costs anything.

use gateway::cache_policy::Read;
use gateway::error::Error;
use gateway::routes::Route;
use rls::UserId;

fn read(target: &str) -> Result<Read, Error> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (route, segment) = Route::find(path).ok_or(Error::NotFound)?;
    Read::parse(route, segment, query).map(|read| read.expect("the route is cached"))
}

fn key(target: &str) -> String {
    let mut key = String::new();
    read(target).unwrap_or_else(|error| panic!("{target}: {error}")).key(&mut key);
    key
}

fn check(target: &str, expected: &str) {
    assert_eq!(key(target), expected, "{target}");
}

fn check_refused(target: &str, code: &str, parameter: &str) {
    let error = read(target).expect_err(target);
    assert_eq!(error.code(), code, "{target}");
    match error {
        Error::InvalidParameter { name, .. } => assert_eq!(name, parameter, "{target}"),
        _ => assert_eq!(parameter, "", "{target}"),
    }
}

#[test]
fn keys_are_the_documents_own() {
    check("/api/v1/products", "products:page:1:per_page:20:category:none");
    check("/api/v1/products?page=3&per_page=50&category_id=7", "products:page:3:per_page:50:category:7");
    check("/api/v1/products?search=café", "search:café");
    check("/api/v1/products/42", "product:42");
    check("/api/v1/products/featured", "products:featured");
    check("/api/v1/products/new", "products:new");
    check("/api/v1/categories", "categories:all");
    check("/api/v1/categories/9", "category:9");
    check("/api/v1/products/by-slug/bourbon-amarelo", "product:slug:bourbon-amarelo");
}

/// The key of a user's own read, for user 7.
fn own_key(target: &str) -> String {
    let mut key = String::new();
    own(target).unwrap_or_else(|error| panic!("{target}: {error}")).key(&mut key);
    key
}

fn own(target: &str) -> Result<Read, Error> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (route, segment) = Route::find(path).ok_or(Error::NotFound)?;
    Read::parse_own(route, segment, query, UserId(7)).map(|read| read.expect("the route is cached"))
}

/// S37 to S40, and that both addresses of a resource ask for one entry.
#[test]
fn keys_of_a_users_own_are_the_documents_own() {
    for (paths, query, expected) in [
        (&["/api/events", "/api/v1/agenda/events"][..], "", "events:user:7:page:1:limit:20"),
        (&["/api/events", "/api/v1/agenda/events"], "limit=50&page=03", "events:user:7:page:3:limit:50"),
        (
            &["/api/events", "/api/v1/agenda/events"],
            "to=2026-11-23T00:00:00-03:00&status=done&kind=aula&from=2026-11-22T00:00:00.0004Z",
            "events:user:7:page:1:limit:20:from:2026-11-22T00:00:00.000Z:kind:aula:status:done\
             :to:2026-11-23T03:00:00.000Z",
        ),
        (&["/api/events/5", "/api/v1/agenda/events/05"], "", "event:5"),
        (&["/api/events.ics", "/api/v1/agenda/events.ics"], "", "events:user:7:ics"),
        (&["/api/professionals", "/api/v1/agenda/professionals"], "", "professionals:user:7"),
        (
            &["/api/professionals", "/api/v1/agenda/professionals"],
            "specialty=barista&page=2&limit=10",
            "professionals:user:7:limit:10:page:2:specialty:barista",
        ),
        (&["/api/professionals/3", "/api/v1/agenda/professionals/3"], "", "professional:3"),
        (&["/api/reports", "/api/v1/agenda/reports"], "", "reports:user:7:role:any:page:1:limit:20"),
        (
            &["/api/reports", "/api/v1/agenda/reports"],
            "role=sender&limit=5",
            "reports:user:7:role:sender:page:1:limit:5",
        ),
        (&["/api/reports/9", "/api/v1/agenda/reports/9"], "", "report:9"),
        (&["/api/notifications", "/api/v1/notifications"], "", "notifications:user:7"),
        (&["/api/notifications", "/api/v1/notifications"], "unread=false&page=1", "notifications:user:7"),
        (
            &["/api/notifications", "/api/v1/notifications"],
            "unread=true&page=2",
            "notifications:user:7:page:2:unread:true",
        ),
        (&["/api/v1/notifications/preferences"], "", "notifprefs:user:7"),
        (&["/api/v1/me"], "", "profile:user:7"),
        (&["/api/v1/me/addresses"], "", "addresses:user:7"),
    ] {
        for path in paths {
            assert_eq!(own_key(&format!("{path}?{query}")), expected, "{path}?{query}");
        }
    }
}

#[test]
fn questions_about_ones_own_are_as_strict() {
    for (target, code) in [
        ("/api/events?limit=101", "invalid_parameter"),
        ("/api/events?page=0", "invalid_parameter"),
        ("/api/events?page=501", "offset_too_deep"),
        ("/api/events?kind=party", "invalid_parameter"),
        ("/api/events?from=tomorrow", "invalid_parameter"),
        ("/api/events?from=0000-01-01T00:00:00Z", "invalid_parameter"),
        ("/api/events?per_page=20", "invalid_parameter"),
        ("/api/events/x", "invalid_parameter"),
        ("/api/events/me.css", "not_found"),
        ("/api/events.ics?page=1", "invalid_parameter"),
        ("/api/reports?role=both", "invalid_parameter"),
        ("/api/notifications?unread=1", "invalid_parameter"),
        ("/api/v1/me?x=1", "invalid_parameter"),
        ("/api/v1/me.css", "not_found"),
    ] {
        assert_eq!(own(target).expect_err(target).code(), code, "{target}");
    }
}

/// X59: what is one user's is asked for under their name, and only public answers under nobody's.
#[test]
fn a_lookup_names_the_owner() {
    let owner = |read: &Read| read.lookup("key", None).owner;
    assert_eq!(owner(&own("/api/events/5").expect("a read")), 7);
    assert_eq!(owner(&read("/api/v1/products/5").expect("a read")), 0);
}

#[test]
fn equivalent_queries_share_an_entry() {
    let plain = "products:page:1:per_page:20:category:none";
    for query in [
        "page=1",
        "page=001",
        "per_page=20",
        "limit=20",
        "per_page=20&page=1",
        "page=1&&per_page=20&",
        "sort=-created_at",
        "sort=%2Dcreated_at",
        "search=",
        "search=+%20+",
        "min_price=0",
        "fields=id,slug,name,category,price,stock_band,rating,image,is_featured,is_new,origin,roast,process,\
         sca_score,version,created_at",
    ] {
        check(&format!("/api/v1/products?{query}"), plain);
    }
    for query in
        ["search=caf%C3%A9", "search=CAF%C3%89", "search=%20caf%c3%a9+", "search=café&sort=relevance"]
    {
        check(&format!("/api/v1/products?{query}"), "search:café");
    }
    let filtered = "products:page:2:per_page:20:category:none:max_price:9000:min_price:1000:sort:price";
    check("/api/v1/products?min_price=1000&max_price=9000&sort=price&page=2", filtered);
    check("/api/v1/products?sort=price&page=2&max_price=09000&min_price=1000", filtered);
    let fields = "products:page:1:per_page:20:category:none:fields:id,name";
    check("/api/v1/products?fields=id,name", fields);
    check("/api/v1/products?fields=name,id,name", fields);
    check("/api/v1/products/1?include=variants,images", "product:1");
    check("/api/v1/products/1?fields=variants,id", "product:1:fields:id,variants");
    check("/api/v1/products/001", "product:1");
    check("/api/v1/products/featured?limit=20", "products:featured");
    check("/api/v1/categories?tree=true", "categories:all");
}

#[test]
fn different_questions_never_share_an_entry() {
    let targets = [
        "/api/v1/products",
        "/api/v1/products?page=2",
        "/api/v1/products?per_page=2",
        "/api/v1/products?category_id=2",
        "/api/v1/products?category=2",
        "/api/v1/products?category=none",
        "/api/v1/products?count=none",
        "/api/v1/products?cursor=abc",
        "/api/v1/products?cursor=abc&limit=5",
        "/api/v1/products?sort=price",
        "/api/v1/products?sort=-price",
        "/api/v1/products?sort=name",
        "/api/v1/products?min_price=5",
        "/api/v1/products?max_price=5",
        "/api/v1/products?fields=id",
        "/api/v1/products?search=a",
        "/api/v1/products?search=a&page=2",
        "/api/v1/products?search=a%3Apage%3A2",
        "/api/v1/products?search=a%253Apage%3A2",
        "/api/v1/products?search=a&sort=-created_at",
        "/api/v1/products?search=a&cursor=abc",
        "/api/v1/products?search=a&category_id=2",
        "/api/v1/products?search=a%3Acategory%3A2",
        "/api/v1/products?search=a b",
        "/api/v1/products?search=ab",
        "/api/v1/products/featured",
        "/api/v1/products/featured?limit=5",
        "/api/v1/products/new",
        "/api/v1/products/1",
        "/api/v1/products/2",
        "/api/v1/products/by-slug/1",
        "/api/v1/categories",
        "/api/v1/categories/1",
    ];
    let mut keys: Vec<String> = targets.iter().map(|target| key(&target.replace(' ', "%20"))).collect();
    keys.sort();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "{keys:#?}");
}

#[test]
fn tags_of_the_question() {
    fn check(target: &str, expected: &[&str]) {
        let mut expected: Vec<_> = expected.iter().map(|name| tag_cache::Tag::of(name)).collect();
        let mut tags = read(target).expect("the target is good").tags();
        expected.sort();
        tags.sort();
        assert_eq!(tags, expected, "{target}");
    }
    check("/api/v1/products", &["products:list"]);
    check("/api/v1/products?sort=price", &["products:list", "products:list:price"]);
    check("/api/v1/products?sort=name", &["products:list", "products:list:filtered"]);
    check("/api/v1/products?category_id=3", &["products:list:category:3", "categories"]);
    check("/api/v1/products?category=graos", &["categories"]);
    check("/api/v1/products?search=a", &["search:all"]);
    check(
        "/api/v1/products?search=a&min_price=5&category_id=3",
        &["search:all", "products:list:price", "products:list:category:3", "categories"],
    );
    check("/api/v1/products/1", &["product:1"]);
    check("/api/v1/products/by-slug/a", &["product:slug:a"]);
    check("/api/v1/products/featured", &["products:featured"]);
    check("/api/v1/products/new", &["products:new"]);
    check("/api/v1/categories/1", &["categories", "category:1"]);
}

#[test]
fn bad_parameters_are_named() {
    for value in [
        "-1",
        "0",
        "1.5",
        "NaN",
        "1e3",
        "1,1",
        "+1",
        "%2B1",
        "",
        "9223372036854775808",
        "99999999999999999999999",
    ] {
        check_refused(&format!("/api/v1/products?page={value}"), "invalid_parameter", "page");
    }
    for value in ["0", "101", "100000", "-5", "x"] {
        check_refused(&format!("/api/v1/products?per_page={value}"), "invalid_parameter", "per_page");
        check_refused(&format!("/api/v1/products?limit={value}"), "invalid_parameter", "limit");
    }
    check_refused("/api/v1/products?page=1&page=2", "invalid_parameter", "page");
    check_refused("/api/v1/products?page=1&p%61ge=1", "invalid_parameter", "page");
    check_refused("/api/v1/products?limit=5&per_page=5", "invalid_parameter", "limit");
    check_refused("/api/v1/products?cursor=abc&page=1", "invalid_parameter", "page");
    check_refused("/api/v1/products?cursor=a%20b", "invalid_parameter", "cursor");
    check_refused("/api/v1/products?cursor=", "invalid_parameter", "cursor");
    check_refused("/api/v1/products?sort=password_hash", "invalid_parameter", "sort");
    check_refused("/api/v1/products?sort=relevance", "invalid_parameter", "sort");
    check_refused("/api/v1/products?fields=*", "invalid_parameter", "fields");
    check_refused("/api/v1/products?fields=", "invalid_parameter", "fields");
    check_refused("/api/v1/products?include=variants", "invalid_parameter", "include");
    check_refused("/api/v1/products/1?include=everything", "invalid_parameter", "include");
    check_refused("/api/v1/products?category_id=1&category=a", "invalid_parameter", "category");
    check_refused("/api/v1/products?category=Gr%C3%A3os", "invalid_parameter", "category");
    check_refused("/api/v1/products?min_price=5&max_price=4", "invalid_parameter", "min_price");
    check_refused("/api/v1/products?min_price=-5", "invalid_parameter", "min_price");
    check_refused("/api/v1/products?count=all", "invalid_parameter", "count");
    check_refused("/api/v1/products?debug=1", "invalid_parameter", "debug");
    check_refused("/api/v1/products?search=%00", "invalid_parameter", "search");
    check_refused("/api/v1/products?search=%ff", "invalid_parameter", "search");
    check_refused("/api/v1/products?search=100%", "invalid_parameter", "search");
    check_refused("/api/v1/products?search=a%0d%0ab", "invalid_parameter", "search");
    check_refused(&format!("/api/v1/products?search={}", "a".repeat(129)), "invalid_parameter", "search");
    check_refused(&format!("/api/v1/products?search={}", "%25".repeat(1_000)), "invalid_parameter", "search");
    check_refused(&format!("/api/v1/products?x={}", "a".repeat(5_000)), "invalid_parameter", "query");
    check_refused(&format!("/api/v1/products?{}", "a&".repeat(500)), "invalid_parameter", "a");
    check_refused("/api/v1/products/featured?limit=51", "invalid_parameter", "limit");
    check_refused("/api/v1/categories?tree=false", "invalid_parameter", "tree");
    check_refused("/api/v1/categories/1?x=1", "invalid_parameter", "x");
    for id in ["0", "abc", "-1", "9223372036854775808"] {
        check_refused(&format!("/api/v1/products/{id}"), "invalid_parameter", "id");
    }
}

#[test]
fn a_search_of_128_characters_is_asked_for() {
    assert!(key(&format!("/api/v1/products?search={}", "%C3%A9".repeat(128))).starts_with("search:éé"));
}

#[test]
fn pages_reach_ten_thousand_rows() {
    check("/api/v1/products?page=100&per_page=100", "products:page:100:per_page:100:category:none");
    check_refused("/api/v1/products?page=101&per_page=100", "offset_too_deep", "");
    check_refused("/api/v1/products?page=4294967295&per_page=100", "offset_too_deep", "");
}

#[test]
fn paths_in_other_spellings_do_not_exist() {
    for path in [
        "//api/v1/products",
        "/api/v1/products/",
        "/api/v1/./products",
        "/api/v1/%2e%2e/products",
        "/api/v1/products;x=1",
        "/api/v1/Products",
        "/api/v1/products/1;x=1",
        "/api/v1/products/1%00",
        "/api/v1/products/1%2f",
        "/api/v1/products/1.css",
        "/api/v1/products/1/2",
        "/api/v1/products/by-slug/A",
        "/api/v1/products/by-slug/a%20b",
        "/images/abc.svg",
        "/images/ABCDEF.svg",
    ] {
        check_refused(path, "not_found", "");
    }
}
