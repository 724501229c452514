//! Everything kept about a user, for the service that was asked for it.

use proto::orders::v1::{ExportUserDataRequest, ExportUserDataResponse};
use rls::{Caller, UserId};

use crate::domain::order::user;
use crate::error::Error;
use crate::handlers::Call;
use crate::store::export::{self, Exported};

pub(crate) async fn export_user_data(
    call: &Call,
    request: ExportUserDataRequest,
) -> Result<ExportUserDataResponse, Error> {
    call.service()?;
    let user = Caller::User(UserId(user("user_id", request.user_id)?));
    // With the user's own identity: whatever a statement asks, only that user's rows can be in the answer.
    let exported = call.read_as(user, move |tx| Box::pin(async move { Ok(export::all(tx).await?) })).await?;
    Ok(ExportUserDataResponse { json: document(&exported) })
}

/// One object of two arrays.
fn document(exported: &Exported) -> String {
    let Exported { carts, orders } = exported;
    format!(r#"{{"carts":[{}],"orders":[{}]}}"#, carts.join(","), orders.join(","))
}
