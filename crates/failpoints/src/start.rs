//! What a process does with `MESTRES_FAILPOINTS` when it starts.

/// Why a process must not start: what it was told to arm would not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unarmed {
    /// Its points do nothing.
    #[error(
        "MESTRES_FAILPOINTS is set, but this binary has no failpoints; build one that has: \
         cargo build --workspace --features mestres/failpoints"
    )]
    NotBuiltIn,
    /// Nobody knows what was meant.
    #[error("MESTRES_FAILPOINTS: {0}")]
    Unreadable(String),
}

/// Arms what `MESTRES_FAILPOINTS` says and tells how many points that are on standard error; for the start of a
/// process, so that a mistake shows at once and not when somebody passes the first point.
///
/// # Errors
/// When the variable is set and this build has no failpoints, or the text cannot be read.
#[expect(clippy::print_stderr, reason = "a harness reads there that its process is armed")]
pub fn arm() -> Result<(), Unarmed> {
    let text = text();
    match arms(&text)? {
        0 => {}
        count => eprintln!("MESTRES_FAILPOINTS: {count} armed"),
    }
    Ok(())
}

/// How many points the text arms in this build.
#[cfg(feature = "enabled")]
use read as arms;
#[cfg(not(feature = "enabled"))]
use refuse as arms;

/// How many points the text arms in a build that has some.
#[cfg(any(feature = "enabled", test))]
fn read(text: &str) -> Result<usize, Unarmed> {
    crate::armed::Points::parse(text).map(|points| points.count()).map_err(Unarmed::Unreadable)
}

/// How many points the text arms in a build that has none.
#[cfg(any(not(feature = "enabled"), test))]
fn refuse(text: &str) -> Result<usize, Unarmed> {
    if text.is_empty() { Ok(0) } else { Err(Unarmed::NotBuiltIn) }
}

/// What is to be armed; empty when nothing is.
#[expect(clippy::disallowed_methods, reason = "a switch of test builds only, no setting of a service")]
pub(crate) fn text() -> String {
    std::env::var("MESTRES_FAILPOINTS").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_arm_is_no_reason_not_to_start() {
        assert_eq!((read(""), refuse("")), (Ok(0), Ok(0)));
    }

    #[test]
    fn a_build_without_points_refuses_to_arm_any() {
        let refusal = refuse("ck.after_reserve=abort").expect_err("inert").to_string();
        assert!(refusal.contains("--features mestres/failpoints"), "{refusal}");
    }

    #[test]
    fn a_build_with_points_says_how_many_it_arms_and_what_it_cannot_read() {
        assert_eq!(read("ck.after_reserve=abort; a=error*2"), Ok(2));
        assert!(matches!(read("ck.after_reserve"), Err(Unarmed::Unreadable(_))));
    }
}
