//! The way out: a mail server, or the development mailbox.

use std::time::Duration;

use anyhow::Context as _;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use rls::{Caller, Class, Database};
use tokio::time::timeout;
use uuid::Uuid;

use super::Addressee;
use crate::config::MailConfig;
use crate::domain::letter::Rendered;
use crate::error::Error;
use crate::store::mailbox;

/// Bounds each step of a conversation with the mail server.
const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// Bounds the whole conversation.
pub(super) const SEND_DEADLINE: Duration = Duration::from_secs(25);
const CONNECTIONS_MAX: u32 = 4;
/// The development mailbox keeps the latest so many.
const MAILBOX_KEEPS: i64 = 1_000;
const MAILBOX_DEADLINE: Duration = Duration::from_secs(4);

/// Sends mails. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    from: Mailbox,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Mailbox(Database),
}

/// Why a mail is not out. The words hold neither an address nor what a server said about one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// Another attempt may succeed.
    Later(String),
    /// No attempt can.
    Never(String),
}

impl Outbound {
    /// The way that the configuration says.
    ///
    /// # Errors
    /// When the sender or the mail server's address makes no sense.
    pub(crate) fn new(config: &MailConfig, db: Database) -> anyhow::Result<Self> {
        let from = config.from.parse().context("MESTRES_MAIL_FROM is no mail address")?;
        let way = match &config.smtp_url {
            Some(url) => {
                // The error may repeat the URL, which may hold a password.
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
                    .map_err(|_secret| anyhow::anyhow!("MESTRES_SMTP_URL is no address of a mail server"))?;
                let pool = PoolConfig::new().max_size(CONNECTIONS_MAX);
                Way::Smtp(builder.timeout(Some(STEP_DEADLINE)).pool_config(pool).build())
            }
            None => Way::Mailbox(db),
        };
        Ok(Self { from, way })
    }

    /// The part of the sender's address that is right of the `@`.
    pub(crate) fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Sends mail `id`.
    pub(super) async fn send(
        &self,
        id: Uuid,
        message_id: String,
        to: &Addressee,
        letter: Rendered,
    ) -> Result<(), Unsent> {
        let Ok(address) = to.email.parse::<Address>() else {
            return Err(Unsent::Never("the address is none".to_owned()));
        };
        match &self.way {
            Way::Smtp(server) => {
                let message = Message::builder()
                    .from(self.from.clone())
                    .to(Mailbox::new(Some(to.name.clone()), address))
                    .subject(letter.subject)
                    .message_id(Some(message_id))
                    .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
                    .map_err(|_personal| Unsent::Never("the message cannot be written".to_owned()))?;
                match timeout(SEND_DEADLINE, server.send(message)).await {
                    Ok(Ok(_accepted)) => Ok(()),
                    Ok(Err(refused)) => Err(unsent(&refused)),
                    Err(_late) => Err(Unsent::Later("the mail server takes too long".to_owned())),
                }
            }
            Way::Mailbox(db) => {
                let to = to.email.clone();
                db.run(&Caller::Service, Class::Worker, MAILBOX_DEADLINE, move |tx| {
                    Box::pin(async move {
                        Ok::<_, Error>(mailbox::deliver(tx, id, &to, &letter, MAILBOX_KEEPS).await?)
                    })
                })
                .await
                .map(|_delivered| ())
                .map_err(|_database| Unsent::Later("the mailbox is away".to_owned()))
            }
        }
    }
}

/// What a refusal means, without what the server said: it may repeat the address.
fn unsent(refused: &lettre::transport::smtp::Error) -> Unsent {
    if let Some(code) = refused.status() {
        let code = code.to_string();
        // https://www.rfc-editor.org/rfc/rfc5321#section-4.2.3: there is no such mailbox, nor will there be.
        return match code.as_str() {
            "550" | "551" | "553" => Unsent::Never(format!("the mail server refused the mailbox: {code}")),
            _ => Unsent::Later(format!("the mail server refused: {code}")),
        };
    }
    let what = if refused.is_timeout() {
        "the mail server takes too long"
    } else if refused.is_tls() {
        "no secure connection to the mail server"
    } else if refused.is_client() {
        "the mail server cannot do what is needed"
    } else {
        "no connection to the mail server"
    };
    Unsent::Later(what.to_owned())
}
