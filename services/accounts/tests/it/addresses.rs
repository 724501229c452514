//! Addresses: where they are, which one is the default, and whose they are.

use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, everything_said, refusal};
use crate::people::{NO_ONE, app_with_people, carla, davi, events, helena, tags};

fn fields(postal_code: &str) -> AddressFields {
    AddressFields {
        label: Some("Casa".to_owned()),
        recipient: "Carla Prado".to_owned(),
        line1: "Rua do Cafezal, 100".to_owned(),
        postal_code: postal_code.to_owned(),
        ..Default::default()
    }
}

fn create(fields: AddressFields) -> CreateAddressRequest {
    CreateAddressRequest { fields: Some(fields) }
}

async fn created(app: &TestApp, who: Who, fields: AddressFields) -> Address {
    app.create_address(who, create(fields)).await.unwrap().address.unwrap()
}

async fn addresses(app: &TestApp, who: Who) -> Vec<Address> {
    app.list_addresses(who, ListAddressesRequest {}).await.unwrap().addresses
}

async fn defaults(app: &TestApp) -> i64 {
    app.count("SELECT count(*) FROM addresses WHERE is_default").await
}

#[tokio::test]
async fn the_first_address_is_the_default_and_its_place_follows_from_the_cep() {
    let app = app_with_people().await;
    let answer = app.create_address(carla(), create(fields("01310-100"))).await.unwrap();
    let address = answer.address.unwrap();
    let place = (address.city.as_str(), address.state.as_str(), address.postal_code.as_str());
    assert_eq!(place, ("São Paulo", "SP", "01310100"));
    assert_eq!((address.country.as_str(), address.version, address.is_default), ("BR", 1, true));
    assert_eq!((address.label.as_deref(), address.line2, address.district), (Some("Casa"), None, None));
    assert_eq!(tags(&answer.receipts), ["addresses:user:1001"]);
    let subject = format!("mc.accounts.address.changed.{}", address.id);
    assert_eq!(events(&app).await, [(subject, 1, vec!["addresses:user:1001".to_owned()])]);

    let second = AddressFields { city: "Campinas".to_owned(), is_default: Some(false), ..fields("13083970") };
    assert!(!created(&app, carla(), second).await.is_default);
    assert_eq!(addresses(&app, carla()).await.len(), 2);
}

#[tokio::test]
async fn what_contradicts_the_cep_is_refused_by_name() {
    let app = app_with_people().await;
    #[track_caller]
    fn said(refused: (Code, String, String), field: &str, reason: &str) {
        assert_eq!(refused, (Code::InvalidArgument, reason.to_owned(), field.to_owned()));
    }
    let ask = async |fields| refusal(app.create_address(carla(), create(fields)).await);
    let contradiction = AddressFields { state: "RJ".to_owned(), ..fields("01310100") };
    said(ask(contradiction).await, "state", "cep_contradicts_state");
    said(ask(fields("13083970")).await, "city", "invalid_value");
    said(ask(fields("00000000")).await, "postal_code", "invalid_value");
    said(ask(AddressFields { state: "ZZ".to_owned(), ..fields("01310100") }).await, "state", "invalid_value");
    said(
        ask(AddressFields { recipient: String::new(), ..fields("01310100") }).await,
        "recipient",
        "invalid_value",
    );
    said(
        ask(AddressFields { line1: "a\nb".to_owned(), ..fields("01310100") }).await,
        "line1",
        "invalid_value",
    );
    let nothing = refusal(app.create_address(carla(), CreateAddressRequest { fields: None }).await);
    said(nothing, "fields", "invalid_value");
    assert_eq!((addresses(&app, carla()).await.len(), events(&app).await.len()), (0, 0));
}

#[tokio::test]
async fn the_default_moves_in_one_step_and_both_addresses_say_so() {
    let app = app_with_people().await;
    let home = created(&app, carla(), fields("01310100")).await;
    let work =
        AddressFields { label: Some("Trabalho".to_owned()), is_default: Some(true), ..fields("20040002") };
    let answer = app.create_address(carla(), create(work)).await.unwrap();
    let work = answer.address.unwrap();
    assert_eq!((work.is_default, work.version, answer.receipts.len()), (true, 1, 2));
    let listed = addresses(&app, carla()).await;
    let seen: Vec<_> = listed.iter().map(|a| (a.id, a.is_default, a.version)).collect();
    assert_eq!(seen, [(work.id, true, 1), (home.id, false, 2)]);

    let back = UpdateAddressRequest {
        id: home.id,
        expected_version: Some(2),
        is_default: Some(true),
        ..Default::default()
    };
    let answer = app.update_address(carla(), back.clone()).await.unwrap();
    assert_eq!((answer.address.unwrap().version, answer.receipts.len()), (3, 2));
    assert_eq!(defaults(&app).await, 1);

    // Twice with the current version: nothing changes.
    let again = UpdateAddressRequest { expected_version: Some(3), ..back };
    let answer = app.update_address(carla(), again).await.unwrap();
    assert_eq!((answer.address.unwrap().version, answer.receipts.len()), (3, 0));

    let none = UpdateAddressRequest { id: home.id, is_default: Some(false), ..Default::default() };
    assert_eq!(refusal(app.update_address(carla(), none).await).2, "is_default");
    assert_eq!(defaults(&app).await, 1);
}

#[tokio::test]
async fn whoever_moves_the_default_at_once_leaves_one() {
    let app = app_with_people().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(created(&app, carla(), fields("01310100")).await.id);
    }
    let moves = ids.iter().cycle().take(12).map(|&id| {
        let request = UpdateAddressRequest { id, is_default: Some(true), ..Default::default() };
        app.update_address(carla(), request)
    });
    let answers = futures_util::future::join_all(moves).await;
    assert!(answers.iter().any(Result::is_ok));
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        // Waiting too long for one's turn is the only other end.
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    }
    assert_eq!(defaults(&app).await, 1);
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let app = app_with_people().await;
    let home = created(&app, carla(), fields("01310100")).await;
    let patch = UpdateAddressRequest {
        id: home.id,
        expected_version: Some(1),
        label: Some(String::new()),
        line2: Some("Apto 7".to_owned()),
        city: Some(String::new()),
        state: Some(String::new()),
        postal_code: Some("20040002".to_owned()),
        ..Default::default()
    };
    let moved = app.update_address(carla(), patch).await.unwrap().address.unwrap();
    assert_eq!((moved.label, moved.line2.as_deref(), moved.version), (None, Some("Apto 7"), 2));
    assert_eq!((moved.city.as_str(), moved.state.as_str()), ("Rio de Janeiro", "RJ"));
    assert_eq!(moved.line1, home.line1);

    let code_alone =
        UpdateAddressRequest { id: home.id, postal_code: Some("01310100".to_owned()), ..Default::default() };
    let refused = refusal(app.update_address(carla(), code_alone).await);
    assert_eq!(refused, (Code::InvalidArgument, "cep_contradicts_state".into(), "postal_code".into()));
}

#[tokio::test]
async fn a_stale_version_changes_nothing() {
    let app = app_with_people().await;
    let home = created(&app, carla(), fields("01310100")).await;
    let patch = |line1: &str| UpdateAddressRequest {
        id: home.id,
        expected_version: Some(1),
        line1: Some(line1.to_owned()),
        ..Default::default()
    };
    app.update_address(carla(), patch("Rua B, 2")).await.unwrap();
    let delete = DeleteAddressRequest { id: home.id, expected_version: Some(1) };
    for status in [
        app.update_address(carla(), patch("Rua C, 3")).await.unwrap_err(),
        app.delete_address(carla(), delete).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Aborted);
        assert_eq!(status.metadata().get("mc-current-version").unwrap(), "2");
    }
    assert_eq!(addresses(&app, carla()).await[0].line1, "Rua B, 2");
}

#[tokio::test]
async fn a_deleted_default_leaves_an_heir_and_is_gone_once() {
    let app = app_with_people().await;
    let home = created(&app, carla(), fields("01310100")).await;
    let work = created(&app, carla(), fields("20040002")).await;
    let delete = DeleteAddressRequest { id: home.id, expected_version: Some(1) };
    let answer = app.delete_address(carla(), delete).await.unwrap();
    assert_eq!(tags(&answer.receipts), ["addresses:user:1001", "addresses:user:1001"]);
    let left = addresses(&app, carla()).await;
    assert_eq!((left.len(), left[0].id, left[0].is_default, left[0].version), (1, work.id, true, 2));
    let recorded: Vec<_> =
        events(&app).await.into_iter().map(|(subject, version, _)| (subject, version)).collect();
    let subject = |id| format!("mc.accounts.address.changed.{id}");
    assert_eq!(recorded[2..], [(subject(home.id), 2), (subject(work.id), 2)]);

    let twice = refusal(app.delete_address(carla(), delete).await);
    assert_eq!(twice, (Code::NotFound, "address_not_found".into(), String::new()));
    assert_eq!(events(&app).await.len(), 4);
}

#[tokio::test]
async fn anothers_address_is_as_good_as_none() {
    let app = app_with_people().await;
    let home = created(&app, carla(), fields("01310100")).await;
    let update = |id| UpdateAddressRequest { id, line1: Some("Rua X, 9".to_owned()), ..Default::default() };
    let delete = |id| DeleteAddressRequest { id, expected_version: None };
    // An administrator's own addresses are their own business too, and nobody else's are.
    for other in [davi(), helena()] {
        assert!(addresses(&app, other.clone()).await.is_empty());
        let missing = everything_said(app.update_address(other.clone(), update(NO_ONE)).await);
        assert_eq!(everything_said(app.update_address(other.clone(), update(home.id)).await), missing);
        let missing = everything_said(app.delete_address(other.clone(), delete(NO_ONE)).await);
        assert_eq!(everything_said(app.delete_address(other, delete(home.id)).await), missing);
    }
    assert_eq!(addresses(&app, carla()).await, [home]);
}

#[tokio::test]
async fn nobody_has_addresses() {
    let app = app_with_people().await;
    for (who, code) in [(Who::Nobody, Code::Unauthenticated), (Who::Service, Code::PermissionDenied)] {
        let list = app.list_addresses(who.clone(), ListAddressesRequest {}).await;
        assert_eq!(list.unwrap_err().code(), code);
        let add = app.create_address(who.clone(), create(fields("01310100"))).await;
        assert_eq!(add.unwrap_err().code(), code);
        let update = UpdateAddressRequest { id: 1, ..Default::default() };
        assert_eq!(app.update_address(who.clone(), update).await.unwrap_err().code(), code);
        let delete = DeleteAddressRequest { id: 1, expected_version: None };
        assert_eq!(app.delete_address(who, delete).await.unwrap_err().code(), code);
    }
    // Whoever was erased a moment ago adds nothing.
    app.sql("UPDATE users SET deleted_at = now() WHERE id = 1001").await;
    assert_eq!(refusal(app.create_address(carla(), create(fields("01310100"))).await).0, Code::NotFound);
}

#[tokio::test]
async fn fifty_addresses_are_enough_however_many_are_added_at_once() {
    let app = app_with_people().await;
    app.sql(
        "INSERT INTO addresses (user_id, recipient, line1, city, state, postal_code)
         SELECT 1001, 'Carla', 'Rua ' || n, 'São Paulo', 'SP', '01310100' FROM generate_series(1, 49) n",
    )
    .await;
    let adding = (0..6).map(|_| app.create_address(carla(), create(fields("01310100"))));
    let answers = futures_util::future::join_all(adding).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = refusal(app.create_address(carla(), create(fields("01310100"))).await);
    assert_eq!(refused, (Code::InvalidArgument, "too_many_addresses".into(), "fields".into()));
    assert_eq!(addresses(&app, carla()).await.len(), 50);
    created(&app, davi(), fields("01310100")).await;
}
