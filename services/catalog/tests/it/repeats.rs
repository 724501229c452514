//! What is asked twice with one idempotency key is done once, and answered twice.

use proto::catalog::v1::*;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::app::{CALL_DEADLINE, TestApp, Who, coffee, summary};

/// A request with an idempotency key, as the gateway announces it; `body` stands for the hash of the body.
fn keyed<T>(mut request: Request<T>, key: &str, body: u8) -> Request<T> {
    let metadata = request.metadata_mut();
    metadata.insert("mc-idempotency-key", key.parse().unwrap());
    metadata.insert("mc-idempotency-route", "POST /api/v1/somewhere".parse().unwrap());
    metadata.insert_bin("mc-idempotency-sha256-bin", MetadataValue::from_bytes(&[body; 32]));
    request
}

fn replayed(metadata: &MetadataMap) -> bool {
    metadata.get("mc-idempotent-replayed").is_some_and(|value| value == "true")
}

async fn create(
    app: &TestApp,
    who: Who,
    request: CreateProductRequest,
    key: &str,
    body: u8,
) -> Result<Response<CreateProductResponse>, Status> {
    let request = bootstrap::grpc::request(request, CALL_DEADLINE, app.bearer(who).as_deref());
    app.client.clone().create_product(keyed(request, key, body)).await
}

async fn count(app: &TestApp, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut app.admin().await).await.unwrap()
}

#[tokio::test]
async fn a_repeat_gets_the_same_reply_and_has_no_other_effect() {
    let app = TestApp::start().await;
    let first = create(&app, Who::Staff, coffee("bourbon"), "k", 1).await.unwrap();
    let again = create(&app, Who::Staff, coffee("bourbon"), "k", 1).await.unwrap();
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    let (first, again) = (first.into_inner(), again.into_inner());
    assert_eq!(first.product, again.product);
    let purges = |reply: &CreateProductResponse| {
        reply.receipts.iter().map(|r| (r.event_id.clone(), r.tags.clone())).collect::<Vec<_>>()
    };
    assert_eq!((purges(&first).len(), purges(&first)), (1, purges(&again)));
    assert!(again.receipts[0].commit_lsn >= first.receipts[0].commit_lsn);
    let effects = "SELECT (SELECT count(*) FROM products) + (SELECT count(*) FROM outbox)
                        + (SELECT count(*) FROM audit_chain)";
    assert_eq!(count(&app, effects).await, 3);

    // A change of a version is made once too: the second would be refused.
    let (id, variant_id) =
        (summary(first.product.as_ref().unwrap()).id, first.product.as_ref().unwrap().variants[0].id);
    let patch = PatchProductRequest { id, expected_version: 1, name: Some("B".into()), ..Default::default() };
    let prices = vec![VariantPrice { variant_id, amount: 1, compare_at_amount: None }];
    let prices = ChangePricesRequest { product_id: id, expected_version: 2, prices };
    for expected in [false, true] {
        let request =
            bootstrap::grpc::request(patch.clone(), CALL_DEADLINE, app.bearer(Who::Staff).as_deref());
        let answer = app.client.clone().patch_product(keyed(request, "patch", 1)).await.unwrap();
        assert_eq!(replayed(answer.metadata()), expected);
        assert_eq!(summary(answer.get_ref().product.as_ref().unwrap()).version, 2);
    }
    for expected in [false, true] {
        let request =
            bootstrap::grpc::request(prices.clone(), CALL_DEADLINE, app.bearer(Who::Staff).as_deref());
        let answer = app.client.clone().change_prices(keyed(request, "prices", 1)).await.unwrap();
        assert_eq!(replayed(answer.metadata()), expected);
        assert_eq!(summary(answer.get_ref().product.as_ref().unwrap()).version, 3);
    }
    assert_eq!(count(&app, "SELECT version FROM products").await, 3);
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_editor() {
    let app = TestApp::start().await;
    create(&app, Who::Staff, coffee("bourbon"), "k", 1).await.unwrap();
    let reused = create(&app, Who::Staff, coffee("catuai"), "k", 2).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert_eq!(reused.metadata().get("mc-reason").unwrap(), "idempotency_key_reused");
    assert!(!replayed(reused.metadata()));
    assert_eq!(count(&app, "SELECT count(*) FROM products").await, 1);
    // Somebody else's key is another one.
    let made = create(&app, Who::Admin, coffee("catuai"), "k", 2).await.unwrap();
    assert!(!replayed(made.metadata()));
    assert_eq!(count(&app, "SELECT count(*) FROM products").await, 2);
    // And who may not, may not with a key either; that leaves nothing.
    let refused = create(&app, Who::Customer, coffee("icatu"), "k", 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(count(&app, "SELECT count(*) FROM idempotency_keys").await, 2);
}

#[tokio::test]
async fn a_refusal_is_repeated_as_it_was() {
    let app = TestApp::start().await;
    app.created(coffee("bourbon")).await;
    let taken = CreateProductRequest { variants: coffee("novo").variants, ..coffee("bourbon") };
    let first = create(&app, Who::Staff, taken.clone(), "k", 1).await.unwrap_err();
    app.sql("DELETE FROM products").await;
    // By now it would be possible.
    let again = create(&app, Who::Staff, taken.clone(), "k", 1).await.unwrap_err();
    assert_eq!((first.code(), first.message()), (again.code(), again.message()));
    assert_eq!(again.metadata().get("mc-reason").unwrap(), "slug_taken");
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    assert!(!again.metadata().get("mc-idempotent-request-id").unwrap().is_empty());
    assert!(create(&app, Who::Staff, taken, "another", 1).await.is_ok());
}

#[tokio::test]
async fn many_at_once_have_one_effect() {
    let app = TestApp::start().await;
    let asked = (0..50).map(|_| create(&app, Who::Staff, coffee("bourbon"), "k", 1));
    let answers = futures_util::future::join_all(asked).await;
    let mut made = 0;
    for answer in answers {
        match answer {
            Ok(answer) if replayed(answer.metadata()) => {}
            Ok(_) => made += 1,
            Err(status) => {
                assert_eq!(
                    status.metadata().get("mc-reason").unwrap(),
                    "idempotency_in_flight",
                    "{status:?}"
                );
            }
        }
    }
    assert_eq!((made, count(&app, "SELECT count(*) FROM products").await), (1, 1));
}
