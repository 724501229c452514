//! Which role a session may act in.

use rls::UserRole;

/// Whether staff and admins need a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaffTotp {
    /// Without one they sign in with a customer's rights, which is enough to set one up.
    Required,
    /// They may do without.
    Optional,
}

impl StaffTotp {
    /// The role that tokens of a user with this role state.
    pub(crate) fn effective(self, role: UserRole, totp_enabled: bool) -> UserRole {
        match self {
            Self::Required if !totp_enabled => UserRole::Customer,
            Self::Required | Self::Optional => role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_second_factor_that_is_required_takes_rights_away() {
        for role in [UserRole::Customer, UserRole::Staff, UserRole::Admin] {
            assert_eq!(StaffTotp::Required.effective(role, false), UserRole::Customer);
            assert_eq!(StaffTotp::Required.effective(role, true), role);
            assert_eq!(StaffTotp::Optional.effective(role, false), role);
        }
    }
}
