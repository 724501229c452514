//! Mails: queued in the transaction that wants them, sent by workers, at most once more than once.

mod mailbox;
mod outbound;
mod seal;
mod worker;

pub(crate) use mailbox::pages as mailbox_pages;
pub(crate) use outbound::Outbound;
pub(crate) use worker::{Counts, Worker};

use std::collections::BTreeMap;
use std::sync::Arc;

use rls::Tx;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use self::seal::Sealer;
use crate::domain::letter::Letter;
use crate::store::emails::{self, NewEmail};

/// Whom a mail is for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addressee {
    pub(crate) email: String,
    pub(crate) name: String,
}

/// Addresses stay out of logs.
impl std::fmt::Debug for Addressee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Addressee").finish_non_exhaustive()
    }
}

/// What is sealed into a queued mail.
#[derive(Serialize, Deserialize)]
struct Content {
    /// Without one, the user is asked for when the mail is sent.
    to: Option<Addressee>,
    variables: BTreeMap<String, String>,
}

/// The queue of mails. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Mails {
    sealer: Sealer,
    /// Right of the `@` in every `Message-ID`.
    domain: Arc<str>,
    due: Arc<Notify>,
}

impl Mails {
    /// The queue whose mails are sealed with a key made of `secret_key` and come from `domain`.
    pub(crate) fn new(secret_key: &[u8; 32], domain: &str) -> Self {
        Self { sealer: Sealer::new(secret_key), domain: domain.into(), due: Arc::default() }
    }

    /// Queues a letter, once per key, and answers its id. Without an addressee it goes to the user's own address
    /// if that is verified when the letter is sent; without a user it is about nobody who has an account.
    pub(crate) async fn enqueue(
        &self,
        tx: &mut Tx,
        dedupe_key: &str,
        user_id: Option<i64>,
        to: Option<&Addressee>,
        letter: &Letter,
    ) -> Result<Uuid, sqlx::Error> {
        let id = Uuid::now_v7();
        let content = Content { to: to.cloned(), variables: letter.variables().clone() };
        let content = serde_json::to_vec(&content).expect("strings make valid JSON");
        let email = NewEmail {
            id,
            dedupe_key,
            user_id,
            template: letter.template(),
            locale: letter.locale().as_str(),
            sealed: &self.sealer.seal(id, &content),
            message_id: &format!("<{id}@{}>", self.domain),
        };
        emails::enqueue(tx, &email).await
    }

    /// A mail may be due: call it once the transaction that queued it is committed.
    pub(crate) fn wake(&self) {
        self.due.notify_one();
    }
}
