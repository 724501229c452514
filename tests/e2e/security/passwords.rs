//! X12, X14 to X18, X36 and X37: what is tried before anybody is anybody.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, refused};
use crate::{
    accounts::{self, PASSWORD, mailed_token, mails},
    client::{Answer, Client},
    shop::Service,
};

/// An address that nobody has come from.
fn somewhere() -> String {
    format!("2001:db8:{:x}:{:x}::1", fastrand::u16(..), fastrand::u16(..))
}

/// Sends a body from an address, perhaps on a known device.
async fn post(world: &World, path: &str, body: &Value, from: &str, device: Option<&str>) -> Answer {
    let request = world.nobody().request(Method::POST, path).json(body).header("x-forwarded-for", from);
    let request = match device {
        Some(device) => request.header("cookie", format!("__Host-device={device}")),
        None => request,
    };
    Client::send(request).await
}

async fn login(world: &World, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    post(world, "/api/v1/auth/login", &body, &somewhere(), None).await
}

/// Another account with Ana's password, so that no row spoils the tries of another.
async fn twin(world: &World, name: &str) -> String {
    let email = format!("{name}@mestrescafe.dev");
    sqlx::query(
        "INSERT INTO accounts.users (email, name, password_hash, email_verified_at)
         SELECT $2, $2, password_hash, now() FROM accounts.users WHERE id = $1",
    )
    .bind(world.ana.id)
    .bind(&email)
    .execute(&mut world.shop.accounts_database.admin().await)
    .await
    .unwrap();
    email
}

/// What a stranger can compare: status, body and header names, but for what names the request.
fn face(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut body = if answer.body.is_empty() { Value::Null } else { answer.json() };
    if body.is_object() {
        body["request_id"] = Value::Null;
    }
    let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status.as_u16(), body, names)
}

/// What an answer takes when nothing else keeps the machine busy.
fn quickest(times: &[Duration]) -> f64 {
    times.iter().min().expect("measured").as_secs_f64()
}

pub(super) async fn x12(world: &World) {
    let register = async |email: &str| {
        let body = json!({ "email": email, "password": PASSWORD, "name": "Ana", "locale": "pt-BR" });
        let started = Instant::now();
        let answer = post(world, "/api/v1/auth/register", &body, &somewhere(), None).await;
        (answer, started.elapsed())
    };
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for round in 0..9 {
        let email = format!("nova-{round}@mestrescafe.dev");
        let (first, took) = register(&email).await;
        new.push(took);
        let (second, took) = register(&email).await;
        known.push(took);
        assert_eq!(first.status, 201, "{}", first.text());
        assert_eq!(face(&first), face(&second));
    }
    // One hash each: a look-up would be a tenth of that. The machine is too busy for finer bounds.
    let ratio = quickest(&known) / quickest(&new);
    assert!((0.3..3.0).contains(&ratio), "an existing address takes {ratio:.2} times as long");
    let both = testkit::eventually(Duration::from_secs(15), "both mails", async || {
        let both = mails(&world.shop, "nova-0@mestrescafe.dev").await;
        (both.len() == 2).then_some(both)
    })
    .await;
    assert_ne!(both[0]["subject"], both[1]["subject"], "the owner is told which it was");

    let forgot = async |email: &str| {
        let body = json!({ "email": email });
        post(world, "/api/v1/auth/password/forgot", &body, &somewhere(), None).await
    };
    let (known, unknown) = (forgot("nova-1@mestrescafe.dev").await, forgot("ninguem@mestrescafe.dev").await);
    assert_eq!(known.status, 202, "{}", known.text());
    assert_eq!(face(&known), face(&unknown));
}

pub(super) async fn x14(world: &World) {
    let (right, locked, disabled) =
        (twin(world, "certa").await, twin(world, "trancada").await, twin(world, "sem-senha").await);
    let mut admin = world.shop.accounts_database.admin().await;
    sqlx::query("UPDATE accounts.users SET locked_at = now(), locked_reason = 'x' WHERE email = $1::citext")
        .bind(&locked)
        .execute(&mut admin)
        .await
        .unwrap();
    sqlx::query("UPDATE accounts.users SET password_hash = NULL WHERE email = $1::citext")
        .bind(&disabled)
        .execute(&mut admin)
        .await
        .unwrap();
    let mut faces = Vec::new();
    let mut times = [const { Vec::new() }; 4];
    for round in 0..4 {
        let unknown = format!("ninguem-{round}@mestrescafe.dev");
        let cases = [
            (unknown.as_str(), PASSWORD),
            (&right, "não é esta senha"),
            (&locked, PASSWORD),
            (&disabled, PASSWORD),
        ];
        for (case, (email, password)) in cases.into_iter().enumerate() {
            let started = Instant::now();
            let answer = login(world, email, password).await;
            times[case].push(started.elapsed());
            refused(&answer, 401, "unauthenticated");
            faces.push(face(&answer));
        }
    }
    assert!(faces.iter().all(|other| *other == faces[0]), "{faces:#?}");
    for (case, times_of_case) in times.iter().enumerate() {
        let ratio = quickest(times_of_case) / quickest(&times[0]);
        assert!((0.3..3.0).contains(&ratio), "case {case} takes {ratio:.2} times as long as an unknown user");
    }
}

pub(super) async fn x15(world: &World) {
    let email = twin(world, "visada").await;
    let own = login(world, &email, PASSWORD).await;
    let device = own
        .headers
        .get_all("set-cookie")
        .iter()
        .find_map(|cookie| cookie.to_str().unwrap().strip_prefix("__Host-device=")?.split(';').next())
        .expect("a device cookie")
        .to_owned();
    let answers = join_all((0..100).map(|_| login(world, &email, "um chute qualquer"))).await;
    let mut checked = 0;
    for answer in &answers {
        match answer.status.as_u16() {
            401 => checked += 1,
            429 => assert!(answer.headers.contains_key("retry-after")),
            503 => {}
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(checked <= 5, "{checked} guesses were checked");
    // Nobody can be locked out of the own device.
    let body = json!({ "email": email, "password": PASSWORD });
    let back = testkit::eventually(Duration::from_secs(10), "room for the owner", async || {
        let answer = post(world, "/api/v1/auth/login", &body, &somewhere(), Some(&device)).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(back.status, 200, "{}", back.text());
}

/// The long form is a benchmark (`cargo xtask bench login-storm`); this is the bound on memory and on answers.
pub(super) async fn x16(world: &World) {
    let before = resident_kib(world);
    let answers = join_all((0..200).map(|number| async move {
        login(world, &format!("tempestade-{number}@mestrescafe.dev"), "uma senha de ninguém")
            .await
            .status
            .as_u16()
    }))
    .await;
    assert!(answers.iter().all(|status| matches!(status, 401 | 429 | 503)), "{answers:?}");
    assert!(answers.iter().any(|status| *status != 401), "200 at once were all checked");
    assert!(answers.contains(&401), "nobody was checked");
    let permits = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)) as u64;
    let growth = resident_kib(world).saturating_sub(before);
    assert!(growth <= (permits * 19 + 32) * 1024, "{growth} KiB more");
    assert_eq!(world.nobody().get("/api/v1/products").await.status, 200);
}

fn resident_kib(world: &World) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", world.shop.pid(Service::Accounts))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

pub(super) async fn x17(world: &World) {
    let register = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password, "name": "Ana", "locale": "pt-BR" });
        post(world, "/api/v1/auth/register", &body, &somewhere(), None).await
    };
    refused(&register("grande@mestrescafe.dev", &"a".repeat(1 << 20)).await, 413, "payload_too_large");
    refused(&register("longa@mestrescafe.dev", &"café ".repeat(26)).await, 422, "validation_failed");
    refused(&register("curta@mestrescafe.dev", "catorze letras").await, 422, "validation_failed");
    let odd =
        format!(" \u{0}☕{} ", "grão de café ".repeat(10)).chars().take(127).chain([' ']).collect::<String>();
    assert_eq!(odd.chars().count(), 128);
    let email = "estranha@mestrescafe.dev";
    let registered = register(email, &odd).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let token = mailed_token(&world.shop, email, 1).await;
    let verified =
        post(world, "/api/v1/auth/email/verify", &json!({ "token": token }), &somewhere(), None).await;
    assert_eq!(verified.status, 204, "{}", verified.text());
    assert_eq!(login(world, email, &odd).await.status, 200);
    for other in [odd.trim().to_owned(), odd.replace('\u{0}', ""), odd.to_uppercase()] {
        assert_eq!(login(world, email, &other).await.status, 401, "{other:?}");
    }
}

pub(super) async fn x18(world: &World) {
    for password in [
        "12345678",
        "mestrescafe2026",
        "password123password",
        "senhasenhasenha",
        "123456789012345",
        "qwertyuiopasdfg",
        "aaaaaaaaaaaaaaaa",
        "mestres café 2026",
        "abcabcabcabcabcabc",
    ] {
        let body =
            json!({ "email": "comum@mestrescafe.dev", "password": password, "name": "C", "locale": "en" });
        let answer = post(world, "/api/v1/auth/register", &body, &somewhere(), None).await;
        refused(&answer, 422, "validation_failed");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/password", "{password}");
    }
}

/// The six digits of a moment (RFC 6238), by a library of its own.
fn code(secret: &str, at: u64) -> String {
    let secret = totp_rs::Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    totp_rs::TOTP::new_unchecked(totp_rs::Algorithm::SHA1, 6, 1, 30, secret, None, String::new()).generate(at)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

pub(super) async fn x36(world: &World) {
    let email = twin(world, "dois-fatores").await;
    let session = accounts::person(&email, &login(world, &email, PASSWORD).await);
    let client = world.by(&session);
    let enrolled = client.write(Method::POST, "/api/v1/me/totp", None, &json!({})).await;
    assert!(enrolled.status.is_success(), "{}", enrolled.text());
    let secret = enrolled.json()["data"]["totp"]["secret"].as_str().unwrap().to_owned();
    // The code before this one is asked for below, and must not be two steps old by then.
    let left = 30 - now() % 30;
    if left < 15 {
        tokio::time::sleep(std::time::Duration::from_secs(left)).await;
    }
    let confirm = json!({ "code": code(&secret, now() - 30) });
    let confirmed = client.write(Method::POST, "/api/v1/me/totp/confirm", None, &confirm).await;
    assert!(confirmed.status.is_success(), "{}", confirmed.text());
    let with = |code: String| json!({ "email": email, "password": PASSWORD, "totp_code": code });
    let attempt =
        async |code: String| post(world, "/api/v1/auth/login", &with(code), &somewhere(), None).await;
    refused(&login(world, &email, PASSWORD).await, 401, "totp_required");
    let good = code(&secret, now());
    assert_eq!(attempt(good.clone()).await.status, 200);
    assert_eq!(attempt(good).await.status, 401, "a code is good once");
    // Guessing ends after five; then not even the right one is looked at.
    let mut statuses = Vec::new();
    for guess in 0..8 {
        statuses.push(attempt(format!("{guess:06}")).await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(attempt(code(&secret, now() + 30)).await.status, 429);
}

pub(super) async fn x37(world: &World) {
    let email = twin(world, "esquecida").await;
    let other = twin(world, "alheia").await;
    let forgot = async |email: &str| {
        let request = world.nobody().request(Method::POST, "/api/v1/auth/password/forgot");
        let request = request.json(&json!({ "email": email })).header("x-forwarded-for", somewhere());
        // What a poisoned request would say of where we are.
        let request = request.header("host", "evil.example").header("x-forwarded-host", "evil.example");
        assert_eq!(Client::send(request).await.status, 202);
    };
    let reset = async |token: &str, password: &str| {
        let body = json!({ "token": token, "new_password": password });
        post(world, "/api/v1/auth/password/reset", &body, &somewhere(), None).await
    };
    forgot(&email).await;
    let token = mailed_token(&world.shop, &email, 1).await;
    let text = mails(&world.shop, &email).await[0].to_string();
    assert!(text.contains("http://localhost:3000/") && !text.contains("evil"), "{text}");
    refused(&reset(&token, "curta").await, 422, "validation_failed");
    let new = "mais uma senha bem longa";
    let done = reset(&token, new).await;
    assert_eq!(done.status, 204, "{}", done.text());
    refused(&reset(&token, "outra senha ainda maior").await, 400, "invalid_token");
    assert_eq!(login(world, &email, new).await.status, 200);
    assert_eq!(login(world, &other, new).await.status, 401, "one account, not another");
    // Too late, and nonsense.
    forgot(&other).await;
    let late = mailed_token(&world.shop, &other, 1).await;
    sqlx::query("UPDATE accounts.mail_tokens SET expires_at = now() - interval '1 second'")
        .execute(&mut world.shop.accounts_database.admin().await)
        .await
        .unwrap();
    for wrong in [late.as_str(), "AAAA", &"A".repeat(43), ""] {
        let answer = reset(wrong, new).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{wrong}: {}", answer.text());
    }
    assert_eq!(login(world, &other, PASSWORD).await.status, 200);
}
