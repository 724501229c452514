//! The development mailbox, to be looked at: a list, one mail, and the same as JSON for tests.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use percent_encoding::percent_decode_str;
use rls::{Caller, Class, Database, Tx};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::domain::letter::escape;
use crate::error::Error;
use crate::store::mailbox::{self, Mail};

const DEADLINE: Duration = Duration::from_secs(2);
const SHOWN_MAX: i64 = 100;
/// Nothing but its own style: a mail's links are followed by hand, and nothing in it runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; sandbox allow-popups";

/// `/mailbox`, `/mailbox/{id}` and `/mailbox.json?to=`.
pub(crate) fn pages(db: Database) -> Router {
    let (list, one, json) = (db.clone(), db.clone(), db);
    Router::new()
        .route("/mailbox", get(move |query| show_list(list, query)))
        .route("/mailbox/{id}", get(move |id| show_mail(one, id)))
        .route("/mailbox.json", get(move |query| list_json(json, query)))
}

async fn show_list(db: Database, RawQuery(query): RawQuery) -> Response {
    let mails = match mails(&db, query.as_deref()).await {
        Ok(mails) => mails,
        Err(error) => return unavailable(&error),
    };
    let mut rows = String::new();
    for mail in mails {
        rows.push_str(&format!(
            "<tr><td>{at}</td><td>{to}</td><td><a href=\"/mailbox/{id}\">{subject}</a></td></tr>\n",
            at = escape(&moment(&mail)),
            to = escape(&mail.to_email),
            id = mail.email_id,
            subject = escape(&mail.subject),
        ));
    }
    page("Mailbox", &format!("<table cellpadding=\"6\">\n{rows}</table>"))
}

async fn show_mail(db: Database, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<Uuid>() else { return StatusCode::NOT_FOUND.into_response() };
    let found = run(&db, move |tx| Box::pin(async move { Ok(mailbox::mail(tx, id).await?) })).await;
    match found {
        Ok(Some(mail)) => page(
            &mail.subject,
            &format!(
                "<p>{at} · {to}</p>\n<iframe sandbox=\"allow-popups\" style=\"width: 100%; height: 24em; border: 1px solid #ccc\" \
                 srcdoc=\"{html}\"></iframe>\n<pre>{text}</pre>\n<p><a href=\"/mailbox\">All mails</a></p>",
                at = escape(&moment(&mail)),
                to = escape(&mail.to_email),
                html = escape(&mail.html_body),
                text = escape(&mail.text_body),
            ),
        ),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn list_json(db: Database, RawQuery(query): RawQuery) -> Response {
    match mails(&db, query.as_deref()).await {
        Ok(mails) => {
            let mails: Vec<_> = mails
                .iter()
                .map(|mail| {
                    json!({
                        "id": mail.email_id,
                        "to": mail.to_email,
                        "subject": mail.subject,
                        "text": mail.text_body,
                        "html": mail.html_body,
                        "delivered_at": moment(mail),
                    })
                })
                .collect();
            answer("application/json", json!({ "mails": mails }).to_string())
        }
        Err(error) => unavailable(&error),
    }
}

/// The latest mails, to the address that the query names.
async fn mails(db: &Database, query: Option<&str>) -> Result<Vec<Mail>, Error> {
    let named = query.unwrap_or_default().split('&').find_map(|part| part.strip_prefix("to="));
    let to = named.map(|to| percent_decode_str(to).decode_utf8_lossy().into_owned());
    run(db, move |tx| Box::pin(async move { Ok(mailbox::mails(tx, to.as_deref(), SHOWN_MAX).await?) })).await
}

async fn run<T, W>(db: &Database, work: W) -> Result<T, Error>
where
    T: Send + 'static,
    W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
{
    Ok(db.run(&Caller::Service, Class::Read, DEADLINE, work).await?.value)
}

fn moment(mail: &Mail) -> String {
    mail.delivered_at.format(&Rfc3339).unwrap_or_default()
}

fn unavailable(error: &Error) -> Response {
    tracing::warn!(%error, "the mailbox cannot be shown");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn page(title: &str, body: &str) -> Response {
    let title = escape(title);
    answer(
        "text/html; charset=utf-8",
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body style=\"font-family: sans-serif; margin: 2em\">\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
        ),
    )
}

fn answer(content_type: &'static str, body: String) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
