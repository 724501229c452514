//! Asking accounts how to reach a user. The only way by which an address gets here.

use std::time::Duration;

use proto::accounts::v1::GetContactRequest;
use proto::accounts::v1::accounts_service_client::AccountsServiceClient;
use rls::Asserter;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::locale::Locale;

const AUDIENCE: &str = "accounts";
const DEADLINE: Duration = Duration::from_millis(1_500);

/// Accounts, asked as a process of the product. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    client: AccountsServiceClient<Channel>,
    asserter: Asserter,
}

/// How to reach a user.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: Locale,
    pub(crate) email_verified: bool,
}

/// Addresses stay out of logs.
impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").field("locale", &self.locale).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Accounts behind `channel`.
    pub(crate) fn new(channel: Channel, asserter: Asserter) -> Self {
        Self { client: AccountsServiceClient::new(channel), asserter }
    }

    /// How to reach the user; none when there is no such user any more.
    ///
    /// # Errors
    /// When accounts does not answer.
    pub(crate) async fn contact(&self, user_id: i64) -> Result<Option<Contact>, Status> {
        let bearer = self.asserter.service(AUDIENCE, &Uuid::now_v7().to_string());
        let request = bootstrap::grpc::request(GetContactRequest { user_id }, DEADLINE, Some(&bearer));
        match self.client.clone().get_contact(request).await {
            Ok(answer) => {
                let contact = answer.into_inner();
                Ok(Some(Contact {
                    email: contact.email,
                    name: contact.name,
                    locale: Locale::or_default(&contact.locale),
                    email_verified: contact.email_verified,
                }))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }
}
