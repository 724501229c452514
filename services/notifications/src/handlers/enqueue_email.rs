//! A mail for the queue, once per key.

use proto::notifications::v1::{EnqueueEmailRequest, EnqueueEmailResponse};

use crate::domain::letter::Letter;
use crate::domain::locale::Locale;
use crate::domain::{self, Invalid};
use crate::error::Error;
use crate::handlers::Call;
use crate::mail::Addressee;

const KEY_CHARS_MAX: usize = 200;
const NAME_CHARS_MAX: usize = 200;
const ADDRESS_BYTES_MAX: usize = 254;

pub(crate) async fn enqueue_email(
    call: &Call,
    request: EnqueueEmailRequest,
) -> Result<EnqueueEmailResponse, Error> {
    call.service()?;
    let dedupe_key = domain::line("dedupe_key", request.dedupe_key, KEY_CHARS_MAX)?;
    let user_id = domain::id("user_id", request.user_id)?;
    let addressee = Addressee {
        email: address(request.to_email)?,
        name: domain::line("to_name", request.to_name, NAME_CHARS_MAX)?,
    };
    let locale = Locale::parse("locale", &request.locale)?;
    let letter = Letter::parse(&request.template, locale, request.variables)?;

    let mails = call.mails.clone();
    let queued = call
        .write(move |tx| {
            Box::pin(async move {
                Ok(mails.enqueue(tx, &dedupe_key, Some(user_id), Some(&addressee), &letter).await?)
            })
        })
        .await?;
    call.mails.wake();
    Ok(EnqueueEmailResponse { email_id: queued.value.to_string() })
}

fn address(email: String) -> Result<String, Invalid> {
    let valid = email.len() <= ADDRESS_BYTES_MAX && email.parse::<lettre::Address>().is_ok();
    if valid { Ok(email) } else { Err(Invalid::value("to_email", "must be a mail address")) }
}
