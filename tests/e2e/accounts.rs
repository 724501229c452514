//! People: from the first mail to the last trace, over HTTP and by mail.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::{
    client::{Answer, Client},
    shop::{Service, Shop},
};

const PATIENCE: Duration = Duration::from_secs(15);
pub(crate) const PASSWORD: &str = "três grãos na balança";

/// A user whose row is there and whose tokens the tests sign themselves.
pub(crate) async fn customer(shop: &Shop, id: i64) {
    insert(&mut shop.accounts_database.admin().await, id, "customer").await;
}

/// The row of a user with this role, who signs in by no password.
pub(crate) async fn insert(accounts: &mut PgConnection, id: i64, role: &str) {
    sqlx::query(
        "INSERT INTO accounts.users (id, email, name, role, email_verified_at)
         VALUES ($1, 'user-' || $1 || '@mestrescafe.dev', 'Pessoa ' || $1, $2, now())
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(role)
    .execute(&mut *accounts)
    .await
    .unwrap();
    // Those who register afterwards get ids of their own.
    sqlx::query(
        "SELECT setval(pg_get_serial_sequence('accounts.users', 'id'), (SELECT max(id) FROM accounts.users))",
    )
    .execute(accounts)
    .await
    .unwrap();
}

/// Customers with these ids.
pub(crate) async fn people(accounts: &mut PgConnection, ids: std::ops::RangeInclusive<i64>) {
    sqlx::query(
        "INSERT INTO accounts.users (id, email, name, email_verified_at)
         SELECT id, 'user-' || id || '@mestrescafe.dev', 'Pessoa ' || id, now()
           FROM generate_series($1::bigint, $2) AS id",
    )
    .bind(ids.start())
    .bind(ids.end())
    .execute(&mut *accounts)
    .await
    .unwrap();
    sqlx::query("SELECT setval(pg_get_serial_sequence('accounts.users', 'id'), $1)")
        .bind(ids.end())
        .execute(accounts)
        .await
        .unwrap();
}

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh: String,
}

/// Registers, reads the mail, verifies and signs in.
pub(crate) async fn join(shop: &Shop, name: &str) -> Person {
    let client = shop.client(0);
    let email = format!("{name}@mestrescafe.dev");
    let registered = with_a_place(async || register(&client, &email, PASSWORD).await).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let token = mailed_token(shop, &email, 1).await;
    let verified =
        client.write(Method::POST, "/api/v1/auth/email/verify", None, &json!({ "token": token })).await;
    assert_eq!(verified.status, 204, "{}", verified.text());
    let signed_in = with_a_place(async || login(&client, &email, PASSWORD).await).await;
    person(&email, &signed_in)
}

/// Asks again while no place is free to hash a password in, on a machine that is busy with other tests: nothing was done.
async fn with_a_place(ask: impl AsyncFn() -> Answer) -> Answer {
    testkit::eventually(Duration::from_secs(60), "a password is hashed", async || {
        let answer = ask().await;
        (answer.status != 503 || answer.json()["code"] != "overloaded").then_some(answer)
    })
    .await
}

pub(crate) async fn register(client: &Client, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password, "name": "Ana", "locale": "pt-BR" });
    client.write(Method::POST, "/api/v1/auth/register", None, &body).await
}

pub(crate) async fn login(client: &Client, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    client.write(Method::POST, "/api/v1/auth/login", None, &body).await
}

#[track_caller]
pub(crate) fn person(email: &str, signed_in: &Answer) -> Person {
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let data = &signed_in.json()["data"];
    Person {
        id: data["user"]["id"].as_i64().unwrap(),
        email: email.to_owned(),
        token: data["access_token"].as_str().unwrap().to_owned(),
        refresh: data["refresh_token"].as_str().unwrap().to_owned(),
    }
}

/// The mails to an address, latest first.
pub(crate) async fn mails(shop: &Shop, email: &str) -> Vec<Value> {
    let address = shop.internal_address(Service::Notifications);
    let url = format!("http://{address}/mailbox.json?to={}", email.replace('+', "%2B"));
    let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    answer["mails"].as_array().unwrap().clone()
}

/// Waits until so many mails have come, and answers the token in the latest one's link.
pub(crate) async fn mailed_token(shop: &Shop, email: &str, count: usize) -> String {
    let mail = testkit::eventually(PATIENCE, "the mail", async || {
        let mails = mails(shop, email).await;
        (mails.len() >= count).then(|| mails[0].clone())
    })
    .await;
    let text = mail["text"].as_str().unwrap();
    let rest = text.split_once("token=").unwrap_or_else(|| panic!("no link in {text}")).1;
    rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).collect()
}

/// Makes somebody staff or admin behind everybody's back; takes effect with the next login.
pub(crate) async fn promote(shop: &Shop, person: &Person, role: &str) -> Person {
    sqlx::query("UPDATE accounts.users SET role = $2, version = version + 1 WHERE id = $1")
        .bind(person.id)
        .bind(role)
        .execute(&mut shop.accounts_database.admin().await)
        .await
        .unwrap();
    crate::accounts::person(&person.email, &login(&shop.client(0), &person.email, PASSWORD).await)
}

fn user_tag(answer: &Answer) -> String {
    let user = &answer.json()["data"]["user"];
    format!("\"u-{}-v{}\"", user["id"], user["version"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_from_the_first_mail_to_the_last_session() {
    let shop = Shop::open_with_everybody().await;
    let ana = join(&shop, "ana").await;
    let me = shop.client(1).with_bearer(ana.token.clone());
    let profile = me.get("/api/v1/me").await;
    assert_eq!(profile.status, 200, "{}", profile.text());
    let user = &profile.json()["data"]["user"];
    assert_eq!((&user["email"], &user["email_verified"]), (&json!(ana.email), &json!(true)));
    assert_eq!(profile.header("cache-control"), "private, no-store");
    // The same as a curl of the document would (S52).
    let by_cookie = shop
        .client(1)
        .request(Method::GET, "/api/v1/me")
        .header("cookie", format!("auth-token={}", ana.token));
    assert_eq!(Client::send(by_cookie).await.json()["data"]["user"]["id"], ana.id);

    // Changed by version, and read by the writer on the other gateway.
    let writer = shop.client(0).with_bearer(ana.token.clone());
    let tag = user_tag(&profile);
    let rename = json!({ "name": "Ana Maria" });
    let unnamed = writer.write(Method::PATCH, "/api/v1/me", None, &rename).await;
    assert_eq!(unnamed.json()["code"], "precondition_required");
    let renamed = writer.write(Method::PATCH, "/api/v1/me", Some(&tag), &rename).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    let again = writer.write(Method::PATCH, "/api/v1/me", Some(&tag), &rename).await;
    assert_eq!(again.json()["code"], "precondition_failed");
    let reader = me.clone().with_cache_token(renamed.header("x-cache-token"));
    assert_eq!(reader.get("/api/v1/me").await.json()["data"]["user"]["name"], "Ana Maria");

    // Addresses follow their CEP.
    let home = json!({ "recipient": "Ana", "line1": "Av. Paulista, 1", "city": "São Paulo", "state": "SP", "postal_code": "01310100" });
    let made = writer.write(Method::POST, "/api/v1/me/addresses", None, &home).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["data"]["address"]["is_default"], true);
    let mut wrong = home.clone();
    wrong["state"] = json!("AM");
    let refused = writer.write(Method::POST, "/api/v1/me/addresses", None, &wrong).await;
    assert_eq!(refused.json()["code"], "validation_failed", "{}", refused.text());
    let reader = me.clone().with_cache_token(made.header("x-cache-token"));
    let all = reader.get("/api/v1/me/addresses").await.json();
    assert_eq!(all["data"]["addresses"].as_array().unwrap().len(), 1);

    // Two more sessions; one is ended by name, all by a change of the password.
    let second = person(&ana.email, &login(&shop.client(1), &ana.email, PASSWORD).await);
    let third = person(&ana.email, &login(&shop.client(1), &ana.email, PASSWORD).await);
    let sessions = me.get("/api/v1/me/sessions").await.json()["data"]["sessions"].clone();
    let current: Vec<_> = sessions.as_array().unwrap().iter().filter(|one| one["current"] == true).collect();
    assert_eq!((sessions.as_array().unwrap().len(), current.len()), (3, 1), "{sessions}");
    let of_second = shop.client(0).with_bearer(second.token.clone()).get("/api/v1/me/sessions").await.json();
    let id =
        of_second["data"]["sessions"].as_array().unwrap().iter().find(|one| one["current"] == true).unwrap()
            ["id"]
            .as_str()
            .unwrap()
            .to_owned();
    let ended = Client::send(writer.request(Method::DELETE, &format!("/api/v1/me/sessions/{id}"))).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    is_over(&shop, &second.token).await;
    let change = json!({ "current_password": PASSWORD, "new_password": "outra xícara bem forte" });
    let changed = writer.write(Method::POST, "/api/v1/me/password", None, &change).await;
    assert_eq!(changed.status, 204, "{}", changed.text());
    is_over(&shop, &third.token).await;
    assert_eq!(me.get("/api/v1/me").await.status, 200, "the own session goes on");
    let refused = refresh(&shop.client(0), &third.refresh).await;
    assert_eq!(refused.status, 401);

    assert_eq!(writer.write(Method::POST, "/api/v1/auth/logout", None, &json!({})).await.status, 204);
    is_over(&shop, &ana.token).await;
}

pub(crate) async fn refresh(client: &Client, token: &str) -> Answer {
    client.write(Method::POST, "/api/v1/auth/refresh", None, &json!({ "refresh_token": token })).await
}

/// On every gateway, soon: five seconds is what is promised.
pub(crate) async fn is_over(shop: &Shop, token: &str) {
    for gateway in 0..2 {
        let client = shop.client(gateway).with_bearer(token.to_owned());
        testkit::eventually(Duration::from_secs(5), "the session is over", async || {
            (client.get("/api/v1/me").await.status == 401).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_leads_and_cannot_saw_off_the_own_branch() {
    let shop = Shop::open_with_everybody().await;
    let (boss, ana) = (join(&shop, "chefe").await, join(&shop, "ana").await);
    let boss = promote(&shop, &boss, "admin").await;
    let admin = shop.client(0).with_bearer(boss.token.clone());
    let found = admin.get("/api/v1/admin/users?search=ana&role=customer").await;
    assert_eq!(found.status, 200, "{}", found.text());
    let users = found.json()["data"]["users"].clone();
    assert_eq!((users.as_array().unwrap().len(), &users[0]["id"]), (1, &json!(ana.id)));
    let path = format!("/api/v1/admin/users/{}", ana.id);

    let tag = admin.get(&path).await.header("etag").to_owned();
    let to_staff = json!({ "role": "staff" });
    let raised = admin.write(Method::PATCH, &path, Some(&tag), &to_staff).await;
    assert_eq!(raised.status, 200, "{}", raised.text());
    let stale = admin.write(Method::PATCH, &path, Some(&tag), &to_staff).await;
    assert_eq!(stale.json()["code"], "precondition_failed");
    // More rights need a new login.
    let staff = person(&ana.email, &login(&shop.client(1), &ana.email, PASSWORD).await);
    let as_staff = shop.client(1).with_bearer(staff.token.clone());
    assert_eq!(as_staff.get("/api/v1/admin/products").await.status, 200);
    assert_eq!(as_staff.get("/api/v1/admin/users").await.status, 403);
    // Fewer take effect with the next request.
    let tag = admin.get(&path).await.header("etag").to_owned();
    let lowered = admin.write(Method::PATCH, &path, Some(&tag), &json!({ "role": "customer" })).await;
    assert_eq!(lowered.status, 200, "{}", lowered.text());
    assert_eq!(as_staff.get("/api/v1/admin/products").await.status, 403);

    let tag = admin.get(&path).await.header("etag").to_owned();
    let lock = json!({ "locked": true, "reason": "pedido do titular" });
    let request = admin.request(Method::POST, &format!("{path}/lock")).json(&lock).header("if-match", tag);
    let locked = Client::send(request).await;
    assert_eq!(locked.status, 200, "{}", locked.text());
    is_over(&shop, &staff.token).await;
    assert_eq!(login(&shop.client(0), &ana.email, PASSWORD).await.status, 401);

    let own = format!("/api/v1/admin/users/{}", boss.id);
    let tag = admin.get(&own).await.header("etag").to_owned();
    let demoted = admin.write(Method::PATCH, &own, Some(&tag), &json!({ "role": "customer" })).await;
    assert!(demoted.status.is_client_error(), "{}", demoted.text());
    assert_eq!(admin.get("/api/v1/admin/users").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_gets_all_of_it_and_who_leaves_leaves_nothing() {
    let shop = Shop::open_with_everybody().await;
    let (ana, bia) = (join(&shop, "ana").await, join(&shop, "bia").await);
    let client = shop.client(0).with_bearer(ana.token.clone());
    let event = crate::agenda::event("Cupping secreto", None, 3);
    assert_eq!(client.write(Method::POST, "/api/events", None, &event).await.status, 201);
    let to_bia = crate::agenda::report(bia.id, "Bourbon");
    assert_eq!(client.write(Method::POST, "/api/reports", None, &to_bia).await.status, 201);

    let asked = client.get("/api/v1/me/data").await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let job = asked.json()["data"]["job"]["id"].as_str().unwrap().to_owned();
    let document = testkit::eventually(PATIENCE, "the export", async || {
        let answer = client.get(&format!("/api/v1/me/data/{job}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.json()["data"]["job"]["state"] == "done").then(|| answer.text())
    })
    .await;
    for part in ["Cupping secreto", &ana.email, "Bourbon"] {
        assert!(document.contains(part), "no {part} in {document}");
    }
    let foreign = shop.client(0).with_bearer(bia.token.clone()).get(&format!("/api/v1/me/data/{job}")).await;
    assert_eq!(foreign.status, 404);

    let erased = Client::send(client.request(Method::DELETE, "/api/v1/me/data")).await;
    assert_eq!(erased.status, 202, "{}", erased.text());
    is_over(&shop, &ana.token).await;
    let (agenda, notifications) = shop.people_databases.as_ref().unwrap();
    testkit::eventually(PATIENCE, "nothing is left", async || {
        let mut left: i64 = 0;
        for (database, tables) in [
            (agenda, &["agenda.events", "agenda.professionals"][..]),
            (notifications, &["notifications.notifications", "notifications.preferences"]),
        ] {
            for table in tables {
                let sql = format!("SELECT count(*) FROM {table} WHERE user_id = {}", ana.id);
                let sql = sqlx::AssertSqlSafe(sql);
                left +=
                    sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut database.admin().await).await.unwrap();
            }
        }
        (left == 0).then_some(())
    })
    .await;
    let row: (String, String) = sqlx::query_as("SELECT email::text, name FROM accounts.users WHERE id = $1")
        .bind(ana.id)
        .fetch_one(&mut shop.accounts_database.admin().await)
        .await
        .unwrap();
    assert!(!row.0.contains("ana@") && row.1 != "Ana", "{row:?}");
    assert_eq!(login(&shop.client(0), &ana.email, PASSWORD).await.status, 401);
}
