//! A new account, or a mail to the owner of the one that there is; the caller cannot tell which.

use events::{Event, Fact};
use proto::accounts::v1::{RegisterRequest, RegisterResponse};
use proto::events::v1::UserFact;
use rls::Caller;

use super::{Call, now, record};
use crate::attempts::Reservation;
use crate::domain::email;
use crate::domain::mail::MailTemplate;
use crate::domain::password::{Chooser, Password, SecondFactor};
use crate::domain::person::{self, Locale};
use crate::error::Error;
use crate::mail::{self, Purpose};
use crate::store::credentials::{self, NewUser};

pub(crate) async fn register(call: &Call, request: RegisterRequest) -> Result<RegisterResponse, Error> {
    let backstage = call.service()?;
    let email = email::email("email", &request.email)?;
    let name = person::name("name", &request.name)?;
    let locale = Locale::parse("locale", &request.locale)?;
    let password = Password::given("password", &request.password)?;
    let chooser = Chooser { email: &email, name: &name, second_factor: SecondFactor::None };
    password.check_choice("password", chooser)?;
    let now = now();

    // Computed for an address that has an account too: it is what takes the time.
    let password_hash = call.resources.passwords.hash(password).await?;
    let new = NewUser { email: email.clone(), name: name.clone(), locale, password_hash };
    let resources = call.resources.clone();
    call.write(backstage, move |tx| {
        Box::pin(async move {
            let mails = resources.attempts.mails(&new.email);
            let reserved = resources.attempts.reserve(tx, &mails, now).await?;
            if let Some(user) = credentials::register(tx, &new, now).await? {
                let fact = Fact::UserRegistered(UserFact { user_id: user.0 });
                record(tx, &Event::new(&Caller::User(user), now, 1, fact)).await?;
                return mail::send_link(tx, &resources.secrets, user, Purpose::VerifyEmail, now).await;
            }
            let owner = credentials::id_of(tx, &new.email).await?;
            match (owner, reserved) {
                (Some(owner), Reservation::Granted) => {
                    mail::tell(tx, owner, MailTemplate::AccountExists, now).await
                }
                // Erased since, or told often enough.
                (Some(_), Reservation::Refused { .. }) | (None, _) => Ok(()),
            }
        })
    })
    .await?;
    Ok(RegisterResponse { email, name, locale: locale.as_str().to_owned() })
}
