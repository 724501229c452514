//! A seeded mix of everything that people do in the shop.

mod agenda;
mod buyer;
mod people;
mod reader;
mod staff;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{Client, Who};
use crate::history::{History, Sight};
use crate::system::{Database, System};

/// Between two operations of one person.
const THINKING_MS: std::ops::Range<u64> = 20..200;
/// Every fourth visitor has no account.
const GUEST_EVERY: usize = 4;
/// Products whose prices staff change all the time.
const REPRICED: i64 = 4;

/// What visitors share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) system: Arc<System>,
    pub(crate) history: Arc<History>,
    pub(crate) variants: Vec<Variant>,
    is_over: AtomicBool,
    /// Whose each order, appointment and cart is, by what a page calls it.
    owners: Mutex<HashMap<String, String>>,
    /// Prices only grow, so that an old one is told from a new one.
    next_amount: AtomicI64,
    pricing: tokio::sync::Mutex<()>,
    /// Mail addresses of those who sign in by password.
    people: Vec<String>,
}

/// Something that is sold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) id: i64,
    pub(crate) product: i64,
}

impl World {
    pub(crate) async fn look(system: &Arc<System>, history: &Arc<History>) -> Result<Arc<Self>> {
        let mut catalog = system.admin(Database::Catalog).await?;
        let variants: Vec<(i64, i64)> =
            sqlx::query_as("SELECT id, product_id FROM catalog.variants ORDER BY id")
                .fetch_all(&mut catalog)
                .await?;
        let highest: i64 =
            sqlx::query_scalar("SELECT max(amount) FROM catalog.prices").fetch_one(&mut catalog).await?;
        Ok(Arc::new(Self {
            system: Arc::clone(system),
            history: Arc::clone(history),
            variants: variants.into_iter().map(|(id, product)| Variant { id, product }).collect(),
            is_over: AtomicBool::new(false),
            owners: Mutex::default(),
            next_amount: AtomicI64::new(highest + 1),
            pricing: tokio::sync::Mutex::default(),
            people: people::join(system).await?,
        }))
    }

    /// Lets everybody leave after what they are doing.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// That `what` is `owner`'s.
    pub(crate) fn belongs(&self, what: String, owner: &str) {
        self.owners().insert(what, owner.to_owned());
    }

    /// Notes whose `what` is, now that `viewer` has seen it.
    pub(crate) fn seen(&self, viewer: &str, route: &str, what: &str) {
        let owner = self.owners().get(what).cloned();
        if let Some(owner) = owner {
            self.history.lock().sights.push(Sight {
                viewer: viewer.to_owned(),
                route: route.to_owned(),
                owner,
            });
        }
    }

    /// Notes every owner that a private page names.
    pub(crate) fn owners_in(&self, viewer: &str, route: &str, page: &Value) {
        let mut owners = Vec::new();
        find_owners(page, &mut owners);
        let mut logs = self.history.lock();
        for owner in owners {
            let (viewer, route, owner) = (viewer.to_owned(), route.to_owned(), format!("user:{owner}"));
            logs.sights.push(Sight { viewer, route, owner });
        }
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.owners.lock().expect("nobody panics with it")
    }
}

fn find_owners(page: &Value, owners: &mut Vec<i64>) {
    match page {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_i64()) {
                    ("user_id" | "userId" | "owner_id" | "ownerId", Some(owner)) => owners.push(owner),
                    _ => find_owners(value, owners),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_owners(item, owners)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A visitor: a client with a memory for what it has ordered.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) world: Arc<World>,
    pub(crate) client: Client,
    /// Orders that were paid, by id.
    pub(crate) orders: Vec<i64>,
    /// Orders that wait for money, by id.
    pub(crate) unpaid: Vec<i64>,
}

/// `users` visitors until the world is over; answers when all have left.
pub(crate) async fn run(world: &Arc<World>, seed: u64, users: usize) -> Result<()> {
    let mut visitors = JoinSet::new();
    for index in 0..users {
        let who = match index {
            _ if index % GUEST_EVERY == GUEST_EVERY - 1 => Who::Guest(index),
            _ => Who::User(i64::try_from(index).context("too many")? + 2),
        };
        let client = Client::new(
            who,
            seed.wrapping_mul(1_000).wrapping_add(index as u64),
            &world.system,
            &world.history,
        );
        let admin = Client::new(Who::Admin, seed ^ index as u64, &world.system, &world.history);
        let visitor = Visitor { world: Arc::clone(world), client, orders: Vec::new(), unpaid: Vec::new() };
        visitors.spawn(visit(visitor, admin));
    }
    while let Some(visit) = visitors.join_next().await {
        visit.context("a visitor was lost")?;
    }
    Ok(())
}

async fn visit(mut visitor: Visitor, mut admin: Client) {
    while !visitor.world.is_over() {
        match visitor.client.draw.u8(0..100) {
            0..70 => visitor.read().await,
            70..85 => visitor.change_cart().await,
            85..93 => visitor.buy().await,
            93..97 => visitor.keep_agenda().await,
            97..99 => staff::work(&visitor.world, &mut admin).await,
            _ => visitor.sign_in().await,
        }
        let thinking = visitor.client.draw.u64(THINKING_MS);
        tokio::time::sleep(Duration::from_millis(thinking)).await;
    }
}
