//! Statements with names, so that a test can walk all of them.

/// Declares SQL texts as constants and lists them in `STATEMENTS`, pairs of name and text.
///
/// A service's tests run every listed statement as a stranger and as nobody: what a statement shows is decided
/// by policies, and a statement that is not listed is one whose policy nobody checks.
///
/// ```ignore
/// rls::statements! {
///     /// One event of the caller's agenda.
///     EVENT = "SELECT id, title FROM events WHERE id = $1";
/// }
/// ```
#[macro_export]
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = $sql;)+

        /// Every statement above: name and text.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}
