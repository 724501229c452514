//! Clients that leave: a mutation runs to its end, and no transaction or identity is left behind.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::shop::{Options, Shop};

/// M1, M3: five hundred reads and writes whose client resets the connection after 0 to 20 ms. The pool
/// must not hand out a connection inside an open transaction, nor one that remembers who asked before.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_requests_leak_no_transaction_and_no_identity() {
    let shop = Shop::open().await;
    let staff_token = shop.token("staff");
    let staff = shop.client(0).with_bearer(staff_token.clone());
    // An inactive product: staff see it, anonymous callers must not.
    let created = crate::freshness::create(&staff, "cafe-escondido", 2).await;
    let id = created.json()["data"]["product"]["id"].as_i64().unwrap();
    let path = format!("/api/v1/admin/products/{id}");
    let hidden =
        staff.write(Method::PATCH, &path, Some(created.header("etag")), &json!({ "is_active": false })).await;
    assert_eq!(hidden.status, 200, "{}", hidden.text());

    for round in 0..500_u64 {
        let mut stream = TcpStream::connect(shop.gateway_address((round % 2) as usize)).await.unwrap();
        let request = if round % 2 == 0 {
            format!("GET {path} HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {staff_token}\r\n\r\n")
        } else {
            // Unique, so that it goes to the database.
            format!("GET /api/v1/products?min_price={round} HTTP/1.1\r\nhost: shop\r\n\r\n")
        };
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        // Closing with unread data or at once sends a reset: the handler's future is dropped.
        stream.set_zero_linger().unwrap();
        drop(stream);
        if round % 25 == 0 {
            let anonymous = shop.client(1).get(&format!("/api/v1/products/{id}")).await;
            assert_eq!(anonymous.status, 404, "an identity leaked: {}", anonymous.text());
        }
    }
    testkit::eventually(Duration::from_secs(5), "no open transaction", async || {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'",
        )
        .fetch_one(&mut shop.database.admin().await)
        .await
        .unwrap();
        (open == 0).then_some(())
    })
    .await;
    assert_eq!(staff.get(&path).await.status, 200);
}

/// A mutation survives the client that asked for it: it is committed, and purged.
#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_survives_a_client_that_leaves() {
    let late = Duration::from_millis(200);
    let options = Options { catalog_answers_late_by: Some(late), ..Options::default() };
    let shop = Shop::open_with(options).await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    for product in 1..=10_i64 {
        let path = format!("/api/v1/admin/products/{product}");
        shop.client(1).get(&format!("/api/v1/products/{product}")).await;
        let current = staff.get(&path).await;
        let variant = &current.json()["data"]["product"]["variants"][0]["id"];
        let body = json!({ "prices": [{ "variant_id": variant, "amount": 2_222 }] }).to_string();
        let request = format!(
            "PUT {path}/prices HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {}\r\nif-match: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            shop.token("staff"),
            current.header("etag"),
            body.len(),
        );
        let mut stream = TcpStream::connect(shop.gateway_address(0)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // Long enough for the session to have been looked up and the change begun, too short for its answer.
        tokio::time::sleep(late / 2).await;
        stream.set_zero_linger().unwrap();
        drop(stream);
    }
    for product in 1..=10_i64 {
        testkit::eventually(Duration::from_secs(5), "the write of a client that left", async || {
            let read = shop.client(1).get(&format!("/api/v1/products/{product}")).await;
            (read.first_variant_amount() == 2_222).then_some(())
        })
        .await;
    }
}
