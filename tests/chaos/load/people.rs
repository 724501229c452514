//! People with passwords: they register, follow the link in their mail, sign in and stay signed in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::Visitor;
use crate::client::Ask;
use crate::system::System;

const PASSWORD: &str = "três grãos na balança";
/// More sign-ins of one person in a minute are refused.
const PEOPLE: usize = 4;
const MAIL_WITHIN: Duration = Duration::from_secs(30);

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
}
