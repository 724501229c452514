//! How users wish to be told.

use ::events::Fact;
use proto::events::v1::PreferencesChanged;
use proto::notifications::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, refusal};

const KINDS: [&str; 4] = ["report.received", "account.security", "account.welcome", "order"];

fn wish(kind: &str, in_app: bool, email: bool) -> Preference {
    Preference { kind: kind.to_owned(), in_app, email }
}

#[tokio::test]
async fn everything_is_told_both_ways_until_it_is_wished_otherwise() {
    let app = TestApp::start().await;
    let defaults: Vec<_> = KINDS.iter().map(|kind| wish(kind, true, true)).collect();
    assert_eq!(app.get_preferences(ANA, GetPreferencesRequest {}).await.unwrap().preferences, defaults);

    let update = UpdatePreferencesRequest { preferences: vec![wish("report.received", true, false)] };
    let answer = app.update_preferences(ANA, update.clone()).await.unwrap();
    let [receipt] = &answer.receipts[..] else { panic!("one receipt") };
    assert_eq!(receipt.tags, ["notifprefs:user:41"]);
    let mut expected = defaults.clone();
    expected[0].email = false;
    assert_eq!(answer.preferences, expected);
    assert_eq!(app.get_preferences(ANA, GetPreferencesRequest {}).await.unwrap().preferences, expected);
    assert_eq!(app.get_preferences(BIA, GetPreferencesRequest {}).await.unwrap().preferences, defaults);

    // Again: nothing to tell.
    let again = app.update_preferences(ANA, update).await.unwrap();
    assert_eq!((again.preferences, again.receipts.len()), (expected, 0));
    let nothing = app.update_preferences(ANA, UpdatePreferencesRequest::default()).await.unwrap();
    assert!(nothing.receipts.is_empty());

    // Another kind leaves the first as it is.
    let update = UpdatePreferencesRequest { preferences: vec![wish("account.welcome", false, true)] };
    let answer = app.update_preferences(ANA, update).await.unwrap();
    assert_eq!(answer.preferences[0], wish("report.received", true, false));
    assert_eq!(answer.preferences[2], wish("account.welcome", false, true));

    let events = app.world.recorded().await;
    let fact = Fact::PreferencesChanged(PreferencesChanged { user_id: 41 });
    assert_eq!(events.iter().map(|event| event.fact().clone()).collect::<Vec<_>>(), [fact.clone(), fact]);
    assert_eq!(events.iter().map(|event| event.aggregate().version).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn kinds_must_exist_and_be_named_once() {
    let app = TestApp::start().await;
    for (preferences, reason, field) in [
        (vec![wish("orders.placed", true, true)], "unknown_kind", "preferences[0].kind"),
        (vec![wish(KINDS[0], true, true), wish("", true, true)], "unknown_kind", "preferences[1].kind"),
        (
            vec![wish(KINDS[0], true, true), wish(KINDS[0], false, true)],
            "invalid_value",
            "preferences[1].kind",
        ),
    ] {
        let answer = app.update_preferences(ANA, UpdatePreferencesRequest { preferences }).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, reason.into(), field.into()));
    }
    assert!(app.world.recorded().await.is_empty());
}
