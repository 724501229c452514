//! Everything kept about a user, for the service that was asked for it.

use proto::agenda::v1::{ExportUserDataRequest, ExportUserDataResponse};
use rls::{Caller, UserId};

use super::{Call, Owner};
use crate::domain::Invalid;
use crate::error::Error;
use crate::store::export::{self, Exported};

pub(crate) async fn export_user_data(
    call: &Call,
    request: ExportUserDataRequest,
) -> Result<ExportUserDataResponse, Error> {
    match call.caller {
        Caller::Service => {}
        Caller::User(_) | Caller::Staff(_) | Caller::Admin(_) => return Err(Error::Forbidden),
        Caller::Anonymous | Caller::Guest { .. } => return Err(Error::Anonymous),
    }
    if request.user_id <= 0 {
        return Err(Invalid::value("user_id", "must be a positive integer").into());
    }
    // With the user's own identity: whatever a statement asks, only that user's rows can be in the answer.
    let user = Owner { id: UserId(request.user_id), actor: call.caller };
    let exported = call.read(user, move |tx| Box::pin(async move { Ok(export::all(tx).await?) })).await?;
    Ok(ExportUserDataResponse { document_json: document(&exported) })
}

/// One object of three arrays, in the order of ids.
fn document(exported: &Exported) -> String {
    let Exported { professionals, events, reports } = exported;
    format!(
        r#"{{"professionals":[{}],"events":[{}],"reports":[{}]}}"#,
        professionals.join(","),
        events.join(","),
        reports.join(",")
    )
}
