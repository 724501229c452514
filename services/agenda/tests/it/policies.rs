//! Whether row level security holds: every statement of the service and every table, as strangers.

use testkit::policies::{Params, tables, walk};

use crate::app::TestApp;

const OWNER: i64 = 42;
const STRANGER: i64 = 99;

#[tokio::test]
async fn no_statement_reaches_anything_of_another_user() {
    let app = TestApp::start().await;
    // Master 7 is free, master 42 is booked; most things have the number that ids default to.
    app.sql(
        "INSERT INTO professionals (id, user_id, name, specialty)
         VALUES (7, 42, 'Livre', 'barista'), (42, 42, 'Helena', 'q_grader');
         INSERT INTO events (id, user_id, title, kind, professional_id, starts_at, ends_at)
         VALUES (42, 42, 'E', 'aula', 42, '2050-01-01Z', '2050-01-02Z');
         INSERT INTO reports (id, sender_id, receiver_id, title, scores)
         VALUES (42, 42, 43, 'R', array_fill(80::smallint, ARRAY[10]))",
    )
    .await;
    let scores = "{80,80,80,80,80,80,80,80,80,80}";
    let params = Params::new(OWNER, STRANGER)
        .with("LIST_EVENTS", ["2000-01-01Z", "2100-01-01Z", "aula", "scheduled", "10", "0"])
        .with("COUNT_EVENTS", ["2000-01-01Z", "2100-01-01Z", "aula", "scheduled"])
        .with(
            "INSERT_EVENT",
            ["42", "E", "aula", "7", "L", "D", "2050-02-01Z", "2050-02-02Z", "scheduled", "2026-01-01Z"],
        )
        .with(
            "UPDATE_EVENT",
            ["42", "N", "torra", "7", "L", "D", "2050-02-01Z", "2050-02-02Z", "done", "2026-01-01Z"],
        )
        .with("LIST_PROFESSIONALS", ["q_grader", "10", "0"])
        .with("COUNT_PROFESSIONALS", ["q_grader"])
        .with("INSERT_PROFESSIONAL", ["42", "Zeca", "produtor", "B", "z@x.co", "190", "2026-01-01Z"])
        .with("UPDATE_PROFESSIONAL", ["42", "Zeca", "produtor", "B", "z@x.co", "190", "2026-01-01Z"])
        .with("DELETE_PROFESSIONAL", ["7"])
        .with("LIST_REPORTS", ["sender", "10", "0"])
        .with("COUNT_REPORTS", ["sender"])
        .with("INSERT_REPORT", ["42", "43", "42", "1", "R", scores, "N", "2026-01-01Z"])
        .with("UPDATE_REPORT", ["42", "42", "1", "N", scores, "N", "2026-01-01Z"])
        .with("ERASE_PROFESSIONALS", ["42", "1"]);
    let report = walk(&app.database, "agenda", agenda::statements(), &params).await;
    report.all_proven_but(&[]);
    // What changes other people's rows, only the service itself may run to any effect.
    let by_the_service: Vec<_> = report
        .proven
        .iter()
        .filter(|(_, role)| **role != "mc_user")
        .map(|(name, role)| (name.as_str(), *role))
        .collect();
    assert_eq!(by_the_service, [("FORGET_PARTY", "mc_service")]);
}

#[tokio::test]
async fn the_login_has_no_way_around_the_policies() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO professionals (user_id, name, specialty) VALUES (42, 'Helena', 'q_grader');
         INSERT INTO events (user_id, title, kind, starts_at, ends_at)
         VALUES (42, 'E', 'aula', '2050-01-01Z', '2050-01-02Z');
         INSERT INTO reports (sender_id, receiver_id, title, scores)
         VALUES (42, 43, 'R', array_fill(80::smallint, ARRAY[10]));
         INSERT INTO inbox (consumer, message_id) VALUES ('c', 'm')",
    )
    .await;
    tables(&app.database, "agenda").await;
}
