//! People with passwords: they register, follow the link in their mail, sign in and stay signed in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::Visitor;
use crate::client::{Ask, Reply};
use crate::system::System;

const PASSWORD: &str = "três grãos na balança";
/// More sign-ins of one person in a minute are refused.
const PEOPLE: usize = 4;
const MAIL_WITHIN: Duration = Duration::from_secs(30);
const ATTEMPTS_MAX: u32 = 12;
/// Whoever did not hear of new tokens may ask for ten seconds; one of them is the clock's.
const RENEWED_AGAIN_WITHIN: Duration = Duration::from_secs(9);
/// Gateways learn at the latest by asking that a session has ended; a restart is part of it here.
const SIGNED_OUT_WITHIN: Duration = Duration::from_secs(10);
/// So that both gateways have refused.
const REFUSED_IN_A_ROW: u32 = 6;

/// Makes their accounts, unless they are there already.
pub(super) async fn join(system: &Arc<System>) -> Result<Vec<String>> {
    let mut people = Vec::new();
    for index in 0..PEOPLE {
        let email = format!("pessoa-{index}@chaos.mestrescafe.dev");
        if mail_to(system, &email).await?.is_none() {
            register(system, &email).await.with_context(|| format!("registering {email}"))?;
        }
        people.push(email);
    }
    Ok(people)
}

async fn register(system: &Arc<System>, email: &str) -> Result<()> {
    let api = format!("http://{}/api/v1/auth", system.gateways[0]);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).build()?;
    let body = json!({ "email": email, "password": PASSWORD, "name": "Pessoa", "locale": "pt-BR" });
    let answer = http.post(format!("{api}/register")).json(&body).send().await?;
    ensure!(answer.status() == 201, "{}", answer.text().await?);
    let deadline = Instant::now() + MAIL_WITHIN;
    let text = loop {
        if let Some(text) = mail_to(system, email).await? {
            break text;
        }
        ensure!(Instant::now() < deadline, "no mail after {MAIL_WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (_, rest) = text.split_once("token=").with_context(|| format!("no link in {text}"))?;
    let token: String =
        rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).collect();
    let answer = http.post(format!("{api}/email/verify")).json(&json!({ "token": token })).send().await?;
    ensure!(answer.status() == 204, "{}", answer.text().await?);
    Ok(())
}

/// The text of the latest mail.
async fn mail_to(system: &Arc<System>, email: &str) -> Result<Option<String>> {
    let url = format!("{}?to={email}", system.mailbox_url());
    let mails: Value = reqwest::get(url).await?.json().await?;
    Ok(mails["mails"][0]["text"].as_str().map(str::to_owned))
}

impl Visitor {
    /// Signs in, and renews the tokens at once, once in a while twice with the same one.
    pub(crate) async fn sign_in(&mut self) {
        let person = self.client.draw.usize(0..self.world.people.len());
        let body = json!({ "email": self.world.people[person], "password": PASSWORD });
        let mut ask = Ask::new("login", Method::POST, "/api/v1/auth/login");
        ask.body = body;
        let signed_in = self.client.ask(&ask).await;
        let Some(refresh) = signed_in.json["data"]["refresh_token"].as_str() else { return };
        for _ in 0..self.client.draw.u8(1..3) {
            let mut ask = Ask::new("refresh", Method::POST, "/api/v1/auth/refresh");
            ask.body = json!({ "refresh_token": refresh });
            self.client.ask(&ask).await;
        }
    }

    /// Signs in, renews the tokens until there is an answer, and signs out.
    pub(crate) async fn come_and_go(&mut self) {
        let person = self.client.draw.usize(0..self.world.people.len());
        let body = json!({ "email": self.world.people[person], "password": PASSWORD });
        let signed_in = self.insist(Method::POST, "login", "/api/v1/auth/login", body, None).await;
        let Some(refresh) = signed_in.json["data"]["refresh_token"].as_str() else { return };
        let begun = Instant::now();
        let body = json!({ "refresh_token": refresh });
        let renewed = self.insist(Method::POST, "refresh", "/api/v1/auth/refresh", body, None).await;
        if renewed.status == 401 && begun.elapsed() < RENEWED_AGAIN_WITHIN {
            self.client
                .history
                .violation("a session ended because nobody heard that its tokens were renewed");
        }
        let Some(token) = renewed.json["data"]["access_token"].as_str() else { return };
        let left = self.insist(Method::POST, "logout", "/api/v1/auth/logout", Value::Null, Some(token)).await;
        // Who is told that nobody is signed in has left by an attempt without an answer.
        if !matches!(left.status, 204 | 401) {
            return;
        }
        let deadline = Instant::now() + SIGNED_OUT_WITHIN;
        let mut refused = 0;
        while refused < REFUSED_IN_A_ROW {
            let seen = self.insist(Method::GET, "profile", "/api/v1/me", Value::Null, Some(token)).await;
            refused = if seen.status == 401 { refused + 1 } else { 0 };
            if seen.is_ok() && Instant::now() > deadline {
                self.client.history.violation("a token is good long after its session has ended");
                return;
            }
            if Instant::now() > deadline + SIGNED_OUT_WITHIN {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks until there is an answer or patience ends.
    async fn insist(
        &mut self,
        method: Method,
        kind: &'static str,
        path: &str,
        body: Value,
        token: Option<&str>,
    ) -> Reply {
        let mut ask = Ask::new(kind, method, path);
        (ask.body, ask.token) = (body, token);
        let mut reply = self.client.ask(&ask).await;
        for _ in 1..ATTEMPTS_MAX {
            if reply.is_an_answer() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            reply = self.client.ask(&ask).await;
        }
        reply
    }
}
