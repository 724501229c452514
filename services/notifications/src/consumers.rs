//! What the facts of other services mean to users. Every handler may run twice: the inbox knows.

pub(crate) mod accounts;
pub(crate) mod orders;
pub(crate) mod reports;

use std::time::Duration;

use anyhow::Context as _;
use events::{Delivery, Failure, inbox};
use rls::{Caller, Class, Database, Tx};

use crate::accounts::Accounts;
use crate::domain::letter::Letter;
use crate::domain::locale::Locale;
use crate::domain::message::Occasion;
use crate::error::Error;
use crate::feed;
use crate::handlers::now;
use crate::mail::{Addressee, Mails};
use crate::orders::Orders;
use crate::store::{feeds, preferences};

const DEADLINE: Duration = Duration::from_secs(5);
/// Users told at the same time; what one aggregate says stays in order.
const CONCURRENCY: usize = 4;
/// So many attempts wait for accounts to say what language the user reads; then the one last known is good enough.
const ATTEMPTS_FOR_LOCALE: i64 = 2;

/// Tells users. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    pub(crate) db: Database,
    pub(crate) accounts: Accounts,
    pub(crate) orders: Orders,
    pub(crate) mails: Mails,
    /// The shop's address, for links in mails.
    pub(crate) shop_url: String,
}

impl Teller {
    /// Tells the user in the shop and by mail, as they wish, once per message.
    async fn tell(
        &self,
        consumer: &'static str,
        delivery: &Delivery,
        user_id: i64,
        occasion: Occasion,
    ) -> Result<(), Failure> {
        // Asked before the transaction: nothing is held while another service thinks.
        let contact = match self.accounts.contact(user_id).await {
            Ok(contact) => Some(contact),
            Err(status) if delivery.attempt <= ATTEMPTS_FOR_LOCALE => {
                let code = status.code();
                return Err(Failure::Later(anyhow::anyhow!(
                    "accounts does not say how to reach a user: {code:?}"
                )));
            }
            Err(_away) => None,
        };
        // Whether the user is gone, the feed says; whom accounts does not know it gives no address for either.
        let (locale, reachable) = match contact {
            Some(Some(contact)) => (Some(contact.locale), contact.email_verified),
            // Nobody yet, or nobody any more: no feed may wait for whoever gets this id.
            Some(None) => return Ok(()),
            None => (None, true),
        };
        let told = self.clone();
        self.once(consumer, delivery, move |tx, message_id| {
            Box::pin(async move {
                feeds::open(tx, user_id).await?;
                let Some(mut feed) = feeds::lock(tx, user_id).await?.filter(|feed| !feed.erased) else {
                    return Ok(());
                };
                if let Some(locale) = locale {
                    feeds::save_locale(tx, user_id, locale.as_str()).await?;
                }
                let locale = locale.unwrap_or_else(|| Locale::or_default(&feed.locale));
                let kind = occasion.kind();
                let ways = preferences::preferences(tx, user_id).await?.of(kind);
                let words = occasion.words(locale);
                if ways.in_app {
                    feed::tell(tx, now(), &mut feed, kind, &words, message_id).await?;
                }
                if ways.email
                    && reachable
                    && let Some(template) = occasion.template()
                {
                    let link = words.link.map(|path| ("link".to_owned(), format!("{}{path}", told.shop_url)));
                    let said = [("title".to_owned(), words.title), ("body".to_owned(), words.body)];
                    let variables = said.into_iter().chain(occasion.variables(locale)).chain(link);
                    let letter = Letter::parse(template, locale, variables)?;
                    told.mails.enqueue(tx, message_id, Some(user_id), None, &letter).await?;
                }
                Ok(())
            })
        })
        .await?;
        self.mails.wake();
        Ok(())
    }

    /// Writes to somebody without an account, once per message.
    async fn write(
        &self,
        consumer: &'static str,
        delivery: &Delivery,
        to: Addressee,
        letter: Letter,
    ) -> Result<(), Failure> {
        let mails = self.mails.clone();
        self.once(consumer, delivery, move |tx, message_id| {
            Box::pin(async move {
                mails.enqueue(tx, message_id, None, Some(&to), &letter).await?;
                Ok(())
            })
        })
        .await?;
        self.mails.wake();
        Ok(())
    }

    /// Runs `work` once per message, with the message's id.
    async fn once<W>(&self, consumer: &'static str, delivery: &Delivery, work: W) -> Result<(), Failure>
    where
        W: for<'t> FnOnce(&'t mut Tx, &'t str) -> rls::BoxFuture<'t, Result<(), Error>> + Send + 'static,
    {
        let message_id =
            delivery.event_id.context("the message has no id").map_err(Failure::Never)?.to_string();
        self.db
            .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
                Box::pin(async move {
                    if inbox::first_time(tx, consumer, &message_id).await? {
                        work(tx, &message_id).await?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .await
            .map(|_committed| ())
            .map_err(|error| Failure::Later(error.into()))
    }
}
