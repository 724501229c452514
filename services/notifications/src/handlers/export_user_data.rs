//! Everything that is kept about a user, for a copy of their data.

use proto::notifications::v1::{ExportUserDataRequest, ExportUserDataResponse};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain;
use crate::error::Error;
use crate::handlers::Call;
use crate::store::{emails, notifications, preferences};

/// More than a feed keeps between two sweeps.
const ROWS_MAX: i64 = 5_000;

pub(crate) async fn export_user_data(
    call: &Call,
    request: ExportUserDataRequest,
) -> Result<ExportUserDataResponse, Error> {
    call.service()?;
    let user_id = domain::id("user_id", request.user_id)?;
    let (told, wishes, mails) = call
        .read(move |tx| {
            Box::pin(async move {
                let told = notifications::export(tx, user_id, ROWS_MAX).await?;
                let wishes = preferences::preferences(tx, user_id).await?;
                Ok((told, wishes, emails::export(tx, user_id, ROWS_MAX).await?))
            })
        })
        .await?;
    let told: Vec<Value> = told
        .into_iter()
        .map(|row| {
            json!({
                "id": row.id,
                "kind": row.kind,
                "title": row.title,
                "body": row.body,
                "link": row.link,
                "read_at": row.read_at.map(moment),
                "created_at": moment(row.created_at),
            })
        })
        .collect();
    let wishes: Vec<Value> = wishes
        .all()
        .map(|(kind, ways)| json!({ "kind": kind.as_str(), "in_app": ways.in_app, "email": ways.email }))
        .collect();
    let mails: Vec<Value> = mails
        .into_iter()
        .map(|row| {
            json!({
                "template": row.template,
                "status": row.status,
                "created_at": moment(row.created_at),
                "finished_at": row.finished_at.map(moment),
            })
        })
        .collect();
    let document = json!({ "notifications": told, "preferences": wishes, "emails": mails });
    Ok(ExportUserDataResponse { document_json: document.to_string() })
}

fn moment(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("a moment that the database kept has a year of four digits")
}
