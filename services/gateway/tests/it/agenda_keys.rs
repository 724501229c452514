//! Keys S37 to S40, lifetimes S21 to S26 and tags S30 to S32 of the agenda's reads.

use std::time::Duration;

use gateway::cache_policy::Read;
use gateway::routes::Route;
use rls::UserId;
use tag_cache::Tag;

fn read(target: &str) -> Read {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (route, segment) = Route::find(path).unwrap_or_else(|| panic!("{target}: no route"));
    let read = Read::parse_own(route, segment, query, UserId(7));
    read.unwrap_or_else(|error| panic!("{target}: {error}")).expect("the route is cached for each user")
}

#[track_caller]
fn check(target: &str, key: &str, seconds: u64, tags: &[&str]) {
    let read = read(target);
    let mut found = String::new();
    read.key(&mut found);
    assert_eq!(found, key, "{target}");
    let lookup = read.lookup(&found, None);
    assert_eq!((lookup.owner, lookup.fresh), (7, Duration::from_secs(seconds)), "{target}");
    let expected: Vec<_> = tags.iter().map(|tag| Tag::of(tag)).collect();
    assert_eq!(read.tags(), expected, "{target}");
}

#[test]
fn keys_lifetimes_and_tags_are_the_documents_own() {
    for base in ["/api", "/api/v1/agenda"] {
        let at = |rest: &str| format!("{base}{rest}");
        check(&at("/events"), "events:user:7:page:1:limit:20", 300, &["events:user:7"]);
        let filtered = "events:user:7:page:2:limit:5:from:2026-05-02T12:00:00.000Z:kind:aula:status:done";
        let query = "/events?status=done&limit=5&kind=aula&page=2&from=2026-05-02T09:00:00-03:00";
        check(&at(query), filtered, 300, &["events:user:7"]);
        check(&at("/events/5"), "event:5", 600, &["events:user:7", "event:5"]);
        check(&at("/events.ics"), "events:user:7:ics", 300, &["events:user:7"]);
        check(&at("/professionals"), "professionals:user:7", 900, &["professionals:user:7"]);
        check(&at("/professionals?limit=20&page=1"), "professionals:user:7", 900, &["professionals:user:7"]);
        let second = "professionals:user:7:page:2:specialty:barista";
        check(&at("/professionals?specialty=barista&page=2"), second, 900, &["professionals:user:7"]);
        check(&at("/professionals/5"), "professional:5", 900, &["professionals:user:7"]);
        let sent = "reports:user:7:role:sender:page:1:limit:20";
        check(&at("/reports?role=sender"), sent, 300, &["reports:user:7"]);
        check(&at("/reports/5"), "report:5", 300, &["reports:user:7", "report:5"]);
    }
}

#[test]
fn different_questions_never_share_an_entry() {
    let targets = [
        "/api/events",
        "/api/events?page=2",
        "/api/events?limit=2",
        "/api/events?kind=aula",
        "/api/events?status=done",
        "/api/events?from=2026-05-02T12:00:00Z",
        "/api/events?to=2026-05-02T12:00:00Z",
        "/api/events?to=2026-05-02T12:00:00.001Z",
        "/api/events/1",
        "/api/events.ics",
        "/api/professionals",
        "/api/professionals?page=2",
        "/api/professionals?limit=2",
        "/api/professionals?specialty=barista",
        "/api/professionals/1",
        "/api/reports",
        "/api/reports?role=sender",
        "/api/reports?role=receiver",
        "/api/reports?page=2",
        "/api/reports/1",
    ];
    let mut keys: Vec<_> = targets
        .iter()
        .map(|target| {
            let mut key = String::new();
            read(target).key(&mut key);
            key
        })
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), targets.len(), "{keys:#?}");
}
