//! Who is calling: the only thing a transaction can be opened for.

/// A user's id, as in `accounts.users`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// On whose behalf something is done. Decides what the database lets one see.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Nobody said who they are.
    Anonymous,
    /// A visitor with a cart; only the hash of the cart's token travels.
    Guest {
        /// SHA-256 of the cart token.
        cart_token_sha256: [u8; 32],
    },
    /// A customer.
    User(UserId),
    /// An employee of the shop.
    Staff(UserId),
    /// An administrator of the shop.
    Admin(UserId),
    /// A worker of the product itself; never made from a token.
    Service,
}

impl Caller {
    /// The role's name, as events and logs show it.
    pub fn role(&self) -> &'static str {
        match self {
            Caller::Anonymous => "anonymous",
            Caller::Guest { .. } => "guest",
            Caller::User(_) => "user",
            Caller::Staff(_) => "staff",
            Caller::Admin(_) => "admin",
            Caller::Service => "service",
        }
    }

    /// The user's id, when there is a user.
    pub fn id(&self) -> Option<i64> {
        match self {
            Caller::User(UserId(id)) | Caller::Staff(UserId(id)) | Caller::Admin(UserId(id)) => Some(*id),
            Caller::Anonymous | Caller::Guest { .. } | Caller::Service => None,
        }
    }

    /// Whether the caller may see what customers may not: staff, admins and services.
    pub fn is_staff(&self) -> bool {
        matches!(self, Caller::Staff(_) | Caller::Admin(_) | Caller::Service)
    }

    /// Whether the caller is an administrator.
    pub fn is_admin(&self) -> bool {
        matches!(self, Caller::Admin(_))
    }
}

/// The cart token's hash stays out of logs: it is as good as the cart.
impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{}:{id}", self.role()),
            None => f.write_str(self.role()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_cart_token() {
        let guest = Caller::Guest { cart_token_sha256: [0xab; 32] };
        assert_eq!(format!("{guest:?}"), "guest");
        assert_eq!(format!("{:?}", Caller::User(UserId(7))), "user:7");
    }
}
