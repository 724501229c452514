//! The first administrator: made by whoever may reach the database, since nobody is there to ask.

use std::time::Duration;

use anyhow::{Context as _, bail};
use events::{Event, Fact};
use proto::events::v1::UserFact;
use rls::{Caller, Class, Database, DatabaseConfig, UserRole};
use serde_json::json;

use crate::domain::email;
use crate::domain::password::{Chooser, Password, SecondFactor};
use crate::domain::person::{self, Locale};
use crate::error::Error;
use crate::handlers::{now, record, sign};
use crate::passwords::Passwords;
use crate::secrets::Secrets;
use crate::store::founding::{self, Founder};

const DEADLINE: Duration = Duration::from_secs(10);

/// Makes a verified administrator and answers their id.
///
/// `database_url` is the service's own login, `secret_key` the service's. The rules for addresses, names and
/// passwords are those of a registration.
///
/// # Errors
/// When one of them breaks a rule, the address has an account already (nothing is changed then: an admin may
/// give it another role), or the database cannot be used.
pub async fn create(
    database_url: &str,
    secret_key: &[u8; 32],
    email: &str,
    name: &str,
    password: &str,
) -> anyhow::Result<i64> {
    let email = email::email("email", email)?;
    let name = person::name("name", name)?;
    let password = Password::given("password", password)?;
    password.check_choice(
        "password",
        Chooser { email: &email, name: &name, second_factor: SecondFactor::None },
    )?;

    let mut config = DatabaseConfig::new(database_url);
    // Nobody is waiting for an answer; on a busy machine a first connection takes its time.
    config.acquire_timeout = DEADLINE;
    let db = Database::connect(&config).await.context("connecting to make an administrator")?;
    let password_hash = Passwords::new(&Secrets::new(secret_key, None), 1).hash(password).await?;
    let founder = Founder { email, name, locale: Locale::PtBr, role: UserRole::Admin, password_hash };
    let now = now();
    let made = db
        .run(&Caller::Service, Class::Write, DEADLINE, move |tx| {
            Box::pin(async move {
                let id = founding::found(tx, &founder, now).await?;
                if let Some(id) = id {
                    let registered = Fact::UserRegistered(UserFact { user_id: id.0 });
                    record(tx, &Event::new(tx.caller(), now, 1, registered)).await?;
                    sign(tx, "", "user.founded", id, None, Some(json!({ "role": "admin" }))).await?;
                }
                Ok::<_, Error>(id)
            })
        })
        .await;
    db.close(DEADLINE).await;
    match made.context("making an administrator")?.value {
        Some(id) => Ok(id.0),
        None => bail!("this address has an account already; nothing was changed"),
    }
}
