//! The people of the demo shop, whose passwords everybody knows: for development only.

use std::time::Duration;

use anyhow::Context as _;
use events::{Event, Fact};
use proto::events::v1::UserFact;
use rls::{Caller, Class, Database, DatabaseConfig, Tx, UserId, UserRole};
use time::OffsetDateTime;

use crate::domain::address::{AddressFields, Place};
use crate::domain::password::Password;
use crate::domain::person::Locale;
use crate::error::Error;
use crate::handlers::{now, record};
use crate::passwords::Passwords;
use crate::secrets::Secrets;
use crate::store::addresses::{self, BecomesDefault};
use crate::store::founding::{self, Founder};

const DEADLINE: Duration = Duration::from_secs(10);

/// A login of the demo shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoLogin {
    /// The address, verified.
    pub email: &'static str,
    /// What everybody may know.
    pub password: &'static str,
    /// `admin`, `staff` or `customer`.
    pub role: &'static str,
    /// What the person is called.
    pub name: &'static str,
}

/// Who can sign in to a demo shop, in the order of their ids in a fresh one.
pub const DEMO_LOGINS: &[DemoLogin] = &[
    DemoLogin {
        email: "admin@mestrescafe.dev",
        password: "moka-italiana-azul-731",
        role: "admin",
        name: "Helena Prado",
    },
    DemoLogin {
        email: "equipe@mestrescafe.dev",
        password: "peneira-dezessete-acima-42",
        role: "staff",
        name: "Davi Nogueira",
    },
    DemoLogin {
        email: "ana@mestrescafe.dev",
        password: "xicara-de-louca-verde-58",
        role: "customer",
        name: "Ana Luíza Barros",
    },
    DemoLogin {
        email: "bruno@mestrescafe.dev",
        password: "bule-esmaltado-antigo-97",
        role: "customer",
        name: "Bruno Teixeira",
    },
    DemoLogin {
        email: "carla@mestrescafe.dev",
        password: "pao-de-queijo-quente-64",
        role: "customer",
        name: "Carla Figueiredo",
    },
];

/// What [`load`] found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Demo logins that can be used afterwards.
    pub users: usize,
    /// How many of them this call made.
    pub fresh: usize,
}

/// Makes the demo logins that are not there yet, customers with an address; leaves the others as they are.
///
/// `database_url` is the service's own login, `secret_key` the service's. `progress` hears how many logins stand
/// so far: computing the hash of a password takes its time. Never call it in production.
///
/// # Errors
/// When the database cannot be used.
pub async fn load(
    database_url: &str,
    secret_key: &[u8; 32],
    mut progress: impl FnMut(usize) + Send,
) -> anyhow::Result<Loaded> {
    let mut config = DatabaseConfig::new(database_url);
    // Nobody is waiting for an answer; on a busy machine a first connection takes its time.
    config.acquire_timeout = DEADLINE;
    let db = Database::connect(&config).await.context("connecting to load the demo logins")?;
    let passwords = Passwords::new(&Secrets::new(secret_key, None), 1);
    let standing = db
        .run(&Caller::Service, Class::Worker, DEADLINE, |tx| {
            Box::pin(async move {
                let emails: Vec<&str> = DEMO_LOGINS.iter().map(|login| login.email).collect();
                Ok::<_, Error>(founding::founded(tx, &emails).await?)
            })
        })
        .await
        .context("looking for the demo logins")?
        .value;

    let mut loaded = Loaded { users: standing.len(), fresh: 0 };
    for login in DEMO_LOGINS.iter().filter(|login| !standing.iter().any(|email| email == login.email)) {
        let founder = founder(login, &passwords).await?;
        let now = now();
        let made = db
            .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
                Box::pin(async move { settle(tx, &founder, now).await })
            })
            .await
            .context("making a demo login")?
            .value;
        loaded.users += 1;
        loaded.fresh += usize::from(made.is_some());
        progress(loaded.users);
    }
    db.close(DEADLINE).await;
    Ok(loaded)
}

async fn founder(login: &DemoLogin, passwords: &Passwords) -> anyhow::Result<Founder> {
    let role = crate::domain::user::role("role", login.role)?;
    let password = Password::given("password", login.password)?;
    Ok(Founder {
        email: login.email.to_owned(),
        name: login.name.to_owned(),
        locale: Locale::PtBr,
        role,
        password_hash: passwords.hash(password).await?,
    })
}

/// None when somebody else was faster.
async fn settle(tx: &mut Tx, founder: &Founder, now: OffsetDateTime) -> Result<Option<UserId>, Error> {
    let Some(id) = founding::found(tx, founder, now).await? else { return Ok(None) };
    let registered = Fact::UserRegistered(UserFact { user_id: id.0 });
    record(tx, &Event::new(tx.caller(), now, 1, registered)).await?;
    if founder.role == UserRole::Customer {
        let home = AddressFields {
            label: Some("Casa".to_owned()),
            recipient: founder.name.clone(),
            line1: "Rua do Cafezal, 100".to_owned(),
            line2: None,
            district: Some("Centro".to_owned()),
            place: Place::parse("", "", "01310100", "postal_code")?,
        };
        addresses::insert(tx, id, &home, BecomesDefault::Yes).await?;
    }
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password::{Chooser, SecondFactor};

    #[test]
    fn demo_passwords_obey_the_rules() {
        for login in DEMO_LOGINS {
            let password = Password::given("password", login.password).unwrap();
            let chooser = Chooser { email: login.email, name: login.name, second_factor: SecondFactor::None };
            if let Err(refusal) = password.check_choice("password", chooser) {
                panic!("{}: {refusal}", login.email);
            }
        }
    }
}
