//! Users by role, name, address and lock, for administrators.

use proto::accounts::v1::{ListUsersRequest, ListUsersResponse, Role};

use super::Call;
use crate::domain::Invalid;
use crate::error::Error;
use crate::store::admin::{self, Page, UserFilter};
use crate::wire;

const PER_PAGE_MAX: u32 = 100;
/// A page that begins further on would read everything before it.
const ROWS_MAX: u64 = 10_000;
const SEARCH_CHARS_MAX: usize = 128;

pub(crate) async fn list_users(call: &Call, request: ListUsersRequest) -> Result<ListUsersResponse, Error> {
    let administrator = call.admin()?;
    let page = page(request.page, request.per_page)?;
    let role = match request.role {
        role if role == i32::from(Role::Unspecified) => None,
        role => Some(wire::parse_role("role", role)?),
    };
    let search = request.search.as_deref().map(search).transpose()?.flatten();
    let filter = UserFilter { role, search, locked: request.locked };

    let (users, total) = call
        .read(administrator, move |tx| Box::pin(async move { Ok(admin::users(tx, &filter, page).await?) }))
        .await?;
    Ok(ListUsersResponse { users: users.into_iter().map(wire::user).collect(), total })
}

fn page(number: u32, size: u32) -> Result<Page, Invalid> {
    if number == 0 {
        return Err(Invalid::value("page", "must be at least 1"));
    }
    if !(1..=PER_PAGE_MAX).contains(&size) {
        return Err(Invalid::value("per_page", format!("must be 1 to {PER_PAGE_MAX}")));
    }
    if u64::from(number) * u64::from(size) > ROWS_MAX {
        let detail = format!("page times per_page must be at most {ROWS_MAX}");
        return Err(Invalid::because("offset_too_deep", "page", detail));
    }
    Ok(Page { number, size })
}

fn search(text: &str) -> Result<Option<String>, Invalid> {
    if text.chars().nth(SEARCH_CHARS_MAX).is_some() {
        return Err(Invalid::value("search", format!("must have at most {SEARCH_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value("search", "must not contain control characters"));
    }
    let words = text.trim();
    Ok((!words.is_empty()).then(|| words.to_owned()))
}
