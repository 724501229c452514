//! What admins, and admins only, do with endpoints.

use proto::notifications::v1::*;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tonic::{Code, Status};

use super::receiver::Receiver;
use super::{ADMIN, Hooks, new_endpoint};
use crate::app::{Who, refusal};

#[tokio::test]
async fn nobody_but_admins_knows_of_webhooks() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    let delivery = hooks.delivery(endpoint.id, &event, "delivered").await;
    let id = endpoint.id;
    for (who, expected) in [
        (Who::Anonymous, Code::Unauthenticated),
        (Who::Customer(1), Code::PermissionDenied),
        (Who::Staff(1), Code::PermissionDenied),
        (Who::Service, Code::PermissionDenied),
    ] {
        let patch =
            UpdateEndpointRequest { id, expected_version: 1, is_active: Some(false), ..Default::default() };
        let page = ListDeliveriesRequest { endpoint_id: id, page: 1, limit: 1, status: None };
        let refused: [Result<(), Status>; 9] = [
            hooks.list_endpoints(who, ListEndpointsRequest {}).await.map(drop),
            hooks.get_endpoint(who, GetEndpointRequest { id }).await.map(drop),
            hooks.create_endpoint(who, new_endpoint(&receiver.url(), &["*"])).await.map(drop),
            hooks.update_endpoint(who, patch).await.map(drop),
            hooks.delete_endpoint(who, DeleteEndpointRequest { id, expected_version: 1 }).await.map(drop),
            hooks.rotate_secret(who, RotateSecretRequest { id }).await.map(drop),
            hooks.test_endpoint(who, TestEndpointRequest { id }).await.map(drop),
            hooks.list_deliveries(who, page).await.map(drop),
            hooks.redeliver(who, RedeliverRequest { delivery_id: delivery.id.clone() }).await.map(drop),
        ];
        for (index, refused) in refused.into_iter().enumerate() {
            assert_eq!(refusal(refused).0, expected, "{who:?} call {index}");
        }
    }
    assert_eq!(hooks.endpoint_now(id).await, endpoint);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn an_endpoint_is_made_changed_and_removed() {
    let hooks = Hooks::start().await;
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    let (endpoint, _) = hooks.endpoint(&first, &["product.*", "price.changed", "product.*"]).await;
    assert_eq!(endpoint.events, ["price.changed", "product.*"]);
    assert_eq!((endpoint.is_active, endpoint.version, endpoint.consecutive_failures), (true, 1, 0));
    let (other, _) = hooks.endpoint(&second, &["*"]).await;
    let all = hooks.list_endpoints(ADMIN, ListEndpointsRequest {}).await.unwrap().endpoints;
    assert_eq!(all, [endpoint.clone(), other.clone()]);

    let update = |expected_version| UpdateEndpointRequest {
        id: endpoint.id,
        expected_version,
        url: Some(second.url()),
        events: Some(EventTypes { types: vec!["*".to_owned()] }),
        is_active: None,
    };
    let changed = hooks.update_endpoint(ADMIN, update(1)).await.unwrap().endpoint.unwrap();
    assert_eq!((&changed.url, &changed.events, changed.version), (&second.url(), &vec!["*".to_owned()], 2));
    // Nothing to change is no change.
    let same = hooks.update_endpoint(ADMIN, update(2)).await.unwrap().endpoint.unwrap();
    assert_eq!(same, changed);
    let stale = hooks.update_endpoint(ADMIN, update(1)).await.unwrap_err();
    assert_eq!(stale.metadata().get("mc-current-version").unwrap(), "2");
    let expected = (Code::Aborted, "version_mismatch".to_owned(), "expected_version".to_owned());
    assert_eq!(refusal::<()>(Err(stale)), expected);
    assert_eq!(refusal(hooks.update_endpoint(ADMIN, update(0)).await).1, "version_required");

    hooks.updated(5, 1).await;
    second.requests(2).await;
    let delete = |id, expected_version| DeleteEndpointRequest { id, expected_version };
    assert_eq!(refusal(hooks.delete_endpoint(ADMIN, delete(endpoint.id, 1)).await).1, "version_mismatch");
    hooks.delete_endpoint(ADMIN, delete(endpoint.id, 2)).await.unwrap();
    for gone in [
        hooks.delete_endpoint(ADMIN, delete(endpoint.id, 2)).await.map(drop),
        hooks.get_endpoint(ADMIN, GetEndpointRequest { id: endpoint.id }).await.map(drop),
        hooks.update_endpoint(ADMIN, update(2)).await.map(drop),
        hooks.rotate_secret(ADMIN, RotateSecretRequest { id: endpoint.id }).await.map(drop),
        hooks.test_endpoint(ADMIN, TestEndpointRequest { id: endpoint.id }).await.map(drop),
    ] {
        assert_eq!(refusal(gone), (Code::NotFound, "endpoint_not_found".to_owned(), String::new()));
    }
    let left: i64 = hooks.world.one("SELECT count(DISTINCT endpoint_id) FROM webhook_deliveries").await;
    assert_eq!(left, 1, "its log is gone, the other's is not");
    assert_eq!(hooks.endpoint_now(other.id).await, other);
}

#[tokio::test]
async fn types_are_known_and_few() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    for (events, field) in [
        (vec![], "events"),
        (vec!["*"; 51], "events"),
        (vec!["product.*", "user.registered"], "events[1]"),
        (vec!["notification.created"], "events[0]"),
        (vec!["event.*"], "events[0]"),
        (vec!["webhook.test"], "events[0]"),
        (vec!["Product.*"], "events[0]"),
    ] {
        let refused = refusal(hooks.create_endpoint(ADMIN, new_endpoint(&receiver.url(), &events)).await);
        assert_eq!(
            refused,
            (Code::InvalidArgument, "invalid_value".to_owned(), field.to_owned()),
            "{events:?}"
        );
    }
    assert!(hooks.create_endpoint(ADMIN, new_endpoint(&receiver.url(), &["*"; 50])).await.is_ok());
}

#[tokio::test]
async fn there_are_a_hundred_endpoints_at_most() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    hooks.endpoint(&receiver, &["*"]).await;
    hooks
        .world
        .sql(
            "INSERT INTO webhook_endpoints (owner_id, url, events, secret_enc, created_at)
             SELECT owner_id, url, events, secret_enc, created_at FROM webhook_endpoints, generate_series(1, 97)",
        )
        .await;
    // Two places are left for three who come at once.
    let make = || hooks.create_endpoint(ADMIN, new_endpoint(&receiver.url(), &["*"]));
    let (first, second, third) = tokio::join!(make(), make(), make());
    let refused: Vec<_> = [first, second, third].into_iter().filter(Result::is_err).collect();
    assert_eq!(refused.len(), 1);
    for refused in refused {
        let expected = (Code::FailedPrecondition, "too_many_endpoints".to_owned(), String::new());
        assert_eq!(refusal(refused), expected);
    }
    let all = hooks.list_endpoints(ADMIN, ListEndpointsRequest {}).await.unwrap().endpoints;
    assert_eq!(all.len(), 100);
}

#[tokio::test]
async fn the_database_shows_webhooks_to_nobody_else() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    hooks.delivery(endpoint.id, &event, "delivered").await;
    for table in ["webhook_endpoints", "webhook_deliveries"] {
        for role in ["mc_anon", "mc_user"] {
            for statement in [
                format!("SELECT FROM {table}"),
                format!("DELETE FROM {table}"),
                format!("UPDATE {table} SET id = id"),
                format!("INSERT INTO {table} DEFAULT VALUES"),
                format!("TRUNCATE {table}"),
            ] {
                let mut login = PgConnection::connect(&hooks.world.database.url).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut login).await.unwrap();
                let refused =
                    sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut login).await.unwrap_err();
                assert_eq!(
                    refused.as_database_error().unwrap().code().unwrap(),
                    "42501",
                    "{role} {statement}"
                );
            }
        }
        for role in ["mc_admin", "mc_service"] {
            let mut login = PgConnection::connect(&hooks.world.database.url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut login).await.unwrap();
            let counting = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let rows: i64 = sqlx::query_scalar(counting).fetch_one(&mut login).await.unwrap();
            assert_eq!(rows, 1, "{role} {table}");
        }
    }
}
