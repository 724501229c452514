//! Bodies of the agenda: every mistake with its pointer, and nothing that was not asked for.

use gateway::agenda_bodies;
use gateway::error::Error;
use gateway::json::{Json, parse};
use proto::agenda::v1::Scores;

/// The pointers and codes of what `read` finds wrong.
fn mistakes<T: std::fmt::Debug>(read: fn(Json) -> Result<T, Error>, body: &str) -> Vec<(String, String)> {
    let json = parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    match read(json) {
        Ok(_) => Vec::new(),
        Err(Error::Validation(errors)) => {
            errors.into_iter().map(|error| (error.pointer, error.code.into_owned())).collect()
        }
        Err(other) => panic!("{body}: {other}"),
    }
}

#[track_caller]
fn check<T: std::fmt::Debug>(read: fn(Json) -> Result<T, Error>, body: &str, expected: &[(&str, &str)]) {
    let found = mistakes(read, body);
    let found: Vec<_> = found.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect();
    assert_eq!(found, expected, "{body}");
}

const SCORES: &str = r#"{"fragrance":8.5,"flavor":8,"aftertaste":7.75e0,"acidity":0,"body":10,"balance":8.1,"uniformity":1e1,"clean_cup":10.0,"sweetness":0.1,"overall":9.9}"#;

fn scores(aftertaste: &str) -> String {
    SCORES.replace("7.75e0", aftertaste)
}

#[test]
fn events_are_read_member_by_member() {
    let event = |body: &str| agenda_bodies::event(parse(body.as_bytes()).expect("JSON"));
    let good = r#"{"title":"Cupping","kind":"cupping","startsAt":"2026-05-02T14:00:00.250-03:00","endsAt":"2026-05-02T18:00:00Z","professionalId":null,"location":"Loja","status":"done"}"#;
    let fields = event(good).expect("a good body");
    assert_eq!(fields.starts_at.map(|at| (at.seconds, at.nanos)), Some((1_777_741_200, 250_000_000)));
    assert_eq!((fields.professional_id, fields.location.as_deref()), (None, Some("Loja")));
    assert_eq!((fields.status.as_deref(), fields.description), (Some("done"), None));

    let required =
        [("/title", "required"), ("/kind", "required"), ("/startsAt", "required"), ("/endsAt", "required")];
    check(agenda_bodies::event, "{}", &required);
    check(agenda_bodies::event, "[]", &[&[("", "type")], &required[..]].concat());
    check(
        agenda_bodies::event,
        r#"{"title":1,"kind":"festa","startsAt":"2 de maio","endsAt":5,"professionalId":0,"location":"","status":"open","version":1,"starts_at":"x"}"#,
        &[
            ("/title", "type"),
            ("/kind", "invalid"),
            ("/startsAt", "format"),
            ("/endsAt", "type"),
            ("/professionalId", "min"),
            ("/location", "min"),
            ("/status", "invalid"),
            ("/version", "unknown"),
            ("/starts_at", "unknown"),
        ],
    );
    for moment in [
        "2026-05-02",
        "2026-05-02T14:00:00",
        "2026-13-02T14:00:00Z",
        "1777723200",
        "",
        "2026-05-02T25:00:00Z",
    ] {
        let body =
            format!(r#"{{"title":"x","kind":"aula","startsAt":"{moment}","endsAt":"2026-05-02T18:00:00Z"}}"#);
        let found = mistakes(agenda_bodies::event, &body);
        assert!(
            found.iter().all(|(pointer, _)| pointer == "/startsAt") && !found.is_empty(),
            "{moment}: {found:?}"
        );
    }
}

#[test]
fn professionals_are_read_member_by_member() {
    check(agenda_bodies::professional, r#"{"name":"Helena","specialty":"q_grader","bio":"x"}"#, &[]);
    check(
        agenda_bodies::professional,
        r#"{"name":"a\u0000","specialty":"Barista","email":"","phone":[],"id":3}"#,
        &[
            ("/name", "format"),
            ("/specialty", "invalid"),
            ("/email", "min"),
            ("/phone", "type"),
            ("/id", "unknown"),
        ],
    );
}

#[test]
fn scores_have_one_decimal_at_most() {
    let body = format!(r#"{{"receiverId":43,"title":"x","scores":{}}}"#, scores("7.8"));
    let (receiver, fields) =
        agenda_bodies::new_report(parse(body.as_bytes()).expect("JSON")).expect("a good body");
    let expected = Scores {
        fragrance: 85,
        flavor: 80,
        aftertaste: 78,
        acidity: 0,
        body: 100,
        balance: 81,
        uniformity: 100,
        clean_cup: 100,
        sweetness: 1,
        overall: 99,
    };
    assert_eq!((receiver, fields.scores), (43, Some(expected)));

    for (score, code) in [
        ("8.25", "format"),
        ("7.75", "format"),
        ("0.01", "format"),
        ("10.1", "max"),
        ("11", "max"),
        ("-0.1", "min"),
        ("-1", "min"),
        ("9223372036854775807", "max"),
        ("1e19", "max"),
        ("\"8\"", "type"),
        ("null", "required"),
        ("[8]", "type"),
    ] {
        let body = format!(r#"{{"title":"x","scores":{}}}"#, scores(score));
        check(agenda_bodies::report, &body, &[("/scores/aftertaste", code)]);
    }
    // Every tenth there is.
    for tenths in 0..=100 {
        let body =
            format!(r#"{{"title":"x","scores":{}}}"#, scores(&format!("{}.{}", tenths / 10, tenths % 10)));
        let fields = agenda_bodies::report(parse(body.as_bytes()).expect("JSON")).expect("a good body");
        assert_eq!(fields.scores.map(|scores| scores.aftertaste), Some(tenths));
    }
}

#[test]
fn reports_are_read_member_by_member() {
    let all: Vec<_> = [
        "fragrance",
        "flavor",
        "aftertaste",
        "acidity",
        "body",
        "balance",
        "uniformity",
        "clean_cup",
        "sweetness",
        "overall",
    ]
    .map(|name| (format!("/scores/{name}"), "required".to_owned()))
    .to_vec();
    assert_eq!(mistakes(agenda_bodies::report, r#"{"title":"x","scores":{}}"#), all);
    let unknown = SCORES.replace("7.75e0", "7").replace("\"acidity\"", "\"total\":80,\"acidity\"");
    let body = format!(r#"{{"title":"x","scores":{unknown},"totalScore":80}}"#);
    check(agenda_bodies::report, &body, &[("/scores/total", "unknown"), ("/totalScore", "unknown")]);
    check(
        agenda_bodies::new_report,
        r#"{"receiverId":0,"scores":[],"eventId":"5","productId":1.5}"#,
        &[
            ("/receiverId", "min"),
            ("/scores", "type"),
            ("/title", "required"),
            ("/eventId", "type"),
            ("/productId", "type"),
        ],
    );
    check(
        agenda_bodies::new_report,
        r#"{"receiverId":3,"title":"x","scores":null}"#,
        &[("/scores", "required")],
    );
}
