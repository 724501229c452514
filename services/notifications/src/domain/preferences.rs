//! How a user wishes to be told about what.

use proto::notifications::v1 as pb;

use super::Invalid;
use super::kind::Kind;

/// The ways of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) in_app: bool,
    pub(crate) email: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self { in_app: true, email: true }
    }
}

/// The ways of every kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences([Ways; Kind::ALL.len()]);

impl Preferences {
    /// How the user wishes to be told about `kind`.
    pub(crate) fn of(&self, kind: Kind) -> Ways {
        self.0[kind as usize]
    }

    /// The same with other ways for `kind`.
    #[must_use]
    pub(crate) fn with(mut self, kind: Kind, ways: Ways) -> Self {
        self.0[kind as usize] = ways;
        self
    }

    /// Every kind with its ways, in the order in which they are shown.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Kind, Ways)> + '_ {
        Kind::ALL.into_iter().map(|kind| (kind, self.of(kind)))
    }
}

/// What a user wants to be otherwise: kinds that exist, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changes(Vec<(Kind, Ways)>);

impl Changes {
    /// Refuses unknown kinds, and kinds that are named twice.
    pub(crate) fn parse(preferences: Vec<pb::Preference>) -> Result<Self, Invalid> {
        let mut changes: Vec<(Kind, Ways)> = Vec::new();
        for (index, preference) in preferences.into_iter().enumerate() {
            let field = format!("preferences[{index}].kind");
            let kind = Kind::parse(&field, &preference.kind)?;
            if changes.iter().any(|(other, _)| *other == kind) {
                return Err(Invalid::value(field, "is named twice"));
            }
            changes.push((kind, Ways { in_app: preference.in_app, email: preference.email }));
        }
        Ok(Self(changes))
    }

    /// The preferences after these changes to `before`.
    pub(crate) fn applied_to(&self, before: Preferences) -> Preferences {
        self.0.iter().fold(before, |preferences, (kind, ways)| preferences.with(*kind, *ways))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_their_own_order() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
        }
    }

    #[test]
    fn unknown_and_repeated_kinds_are_refused() {
        let of = |kind: &str| pb::Preference { kind: kind.to_owned(), in_app: false, email: true };
        let refused = |kinds: &[&str]| {
            let invalid = Changes::parse(kinds.iter().map(|kind| of(kind)).collect()).expect_err("refused");
            (invalid.field, invalid.reason)
        };
        assert_eq!(
            refused(&["report.received", "orders.placed"]),
            ("preferences[1].kind".into(), "unknown_kind")
        );
        assert_eq!(
            refused(&["report.received", "report.received"]),
            ("preferences[1].kind".into(), "invalid_value")
        );
        let changed =
            Changes::parse(vec![of("account.welcome")]).expect("known").applied_to(Preferences::default());
        assert!(!changed.of(Kind::AccountWelcome).in_app);
        assert!(changed.of(Kind::ReportReceived).in_app);
    }
}
