//! The first message of every transaction: BEGIN and the caller's identity, in one round trip.

use std::fmt::Write as _;

use crate::caller::Caller;
use crate::permits::Class;

/// BEGIN and the context of one transaction, for the simple query protocol.
///
/// Every setting is local to the transaction, and every setting is always written: nothing that an
/// earlier borrower of the connection might have left behind can be inherited. The text is built
/// from enums, integers and hex digits only, so there is nothing to escape.
pub(crate) fn begin(caller: &Caller, class: Class, statement_timeout_ms: u64) -> String {
    let (role, user_id, cart_token) = match caller {
        Caller::Anonymous => ("mc_anon", None, None),
        Caller::Guest { cart_token_sha256 } => ("mc_anon", None, Some(cart_token_sha256)),
        Caller::User(id) => ("mc_user", Some(id.0), None),
        Caller::Staff(id) | Caller::Admin(id) => ("mc_admin", Some(id.0), None),
        Caller::Service => ("mc_service", None, None),
    };
    let begin = match class {
        Class::Read => "BEGIN READ ONLY",
        Class::Write | Class::Worker | Class::Admin => "BEGIN",
    };
    let mut sql = String::with_capacity(320);
    let _ = write!(sql, "{begin}; SELECT set_config('role','{role}',true),set_config('app.user_id','");
    if let Some(id) = user_id {
        let _ = write!(sql, "{id}");
    }
    sql.push_str("',true),set_config('app.cart_token_sha256','");
    for byte in cart_token.into_iter().flatten() {
        let _ = write!(sql, "{byte:02x}");
    }
    let _ = write!(sql, "',true),set_config('statement_timeout','{statement_timeout_ms}',true)");
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::UserId;

    #[test]
    fn each_caller_has_its_role_and_settings() {
        #[track_caller]
        fn check(caller: Caller, role: &str, user_id: &str, cart_token: &str) {
            let expected = format!(
                "BEGIN; SELECT set_config('role','{role}',true),set_config('app.user_id','{user_id}',true),\
                 set_config('app.cart_token_sha256','{cart_token}',true),\
                 set_config('statement_timeout','250',true)"
            );
            assert_eq!(begin(&caller, Class::Write, 250), expected);
        }
        check(Caller::Anonymous, "mc_anon", "", "");
        check(Caller::Guest { cart_token_sha256: [0x0f; 32] }, "mc_anon", "", &"0f".repeat(32));
        check(Caller::User(UserId(42)), "mc_user", "42", "");
        check(Caller::Staff(UserId(7)), "mc_admin", "7", "");
        check(Caller::Admin(UserId(1)), "mc_admin", "1", "");
        check(Caller::Service, "mc_service", "", "");
    }

    #[test]
    fn reads_begin_read_only() {
        assert!(begin(&Caller::Anonymous, Class::Read, 1).starts_with("BEGIN READ ONLY; "));
    }
}
