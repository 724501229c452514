//! The only reader of the environment.
//!
//! Each service's `config.rs` names its variables and calls these functions; nothing else in the workspace
//! looks at the process environment.

use std::{any::type_name, fmt::Display, ops::RangeInclusive, str::FromStr};

/// A setting that is missing or cannot be used. Its text names the variable and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}: expected {expected}")]
pub struct ConfigError {
    name: &'static str,
    problem: Problem,
    expected: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is not set")]
    Missing,
    #[error("is {0:?}")]
    Invalid(String),
    /// The value is a secret, so it is not repeated.
    #[error("has a value that cannot be used")]
    InvalidSecret,
}

impl ConfigError {
    /// The variable `name` is not set; `expected` says what it should hold.
    pub fn missing(name: &'static str, expected: impl Into<String>) -> Self {
        Self { name, problem: Problem::Missing, expected: expected.into() }
    }

    /// The variable `name` holds `value`, which is not `expected`. Not for secrets: the value is shown.
    pub fn invalid(name: &'static str, value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { name, problem: Problem::Invalid(value.into()), expected: expected.into() }
    }

    /// The variable `name` holds a secret that is not `expected`; the value is not shown.
    pub fn invalid_secret(name: &'static str, expected: impl Into<String>) -> Self {
        Self { name, problem: Problem::InvalidSecret, expected: expected.into() }
    }

    /// The variable that has to be changed.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The value of `name`; an empty one counts as unset.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn optional(name: &'static str) -> Option<String> {
    // Bytes that are not UTF-8 become U+FFFD and fail where the value is parsed, instead of vanishing here.
    let value = std::env::var_os(name)?.to_string_lossy().trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// The value of `name`, or an error that names it.
pub fn required(name: &'static str) -> Result<String, ConfigError> {
    optional(name).ok_or_else(|| ConfigError::missing(name, "a value"))
}

/// The value of `name` as a `T`, `default` when unset.
pub fn parsed<T: FromStr>(name: &'static str, default: T) -> Result<T, ConfigError> {
    parse(name, optional(name), default)
}

/// Like [`parsed`], and the value must lie in `range`.
pub fn parsed_within<T>(name: &'static str, default: T, range: RangeInclusive<T>) -> Result<T, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    within(name, optional(name), default, range)
}

/// This process among its siblings: `MESTRES_INSTANCE`, by default `<hostname>-<pid>`.
pub fn instance() -> String {
    optional("MESTRES_INSTANCE").unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        format!("{}-{}", if host.is_empty() { "local" } else { host }, std::process::id())
    })
}

/// Where this process runs: `MESTRES_ENV`, else `NODE_ENV`, by default `development`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine or a test: development keys are accepted.
    Development,
    /// Customers: development keys are refused.
    Production,
}

impl Environment {
    /// Reads `MESTRES_ENV`, else `NODE_ENV`.
    pub fn read() -> Result<Self, ConfigError> {
        ["MESTRES_ENV", "NODE_ENV"]
            .into_iter()
            .find_map(|name| optional(name).map(|value| Self::parse(name, &value)))
            .unwrap_or(Ok(Self::Development))
    }

    /// The name that telemetry gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }

    fn parse(name: &'static str, value: &str) -> Result<Self, ConfigError> {
        match value {
            "development" | "test" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            other => Err(ConfigError::invalid(name, other, "`development` or `production`")),
        }
    }
}

fn parse<T: FromStr>(name: &'static str, value: Option<String>, default: T) -> Result<T, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    value.parse().ok().ok_or_else(|| ConfigError::invalid(name, value, description::<T>()))
}

fn within<T>(
    name: &'static str,
    value: Option<String>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(value) = value else { return Ok(default) };
    match value.parse() {
        Ok(parsed) if range.contains(&parsed) => Ok(parsed),
        _ => {
            let expected = format!("{} from {} to {}", description::<T>(), range.start(), range.end());
            Err(ConfigError::invalid(name, value, expected))
        }
    }
}

/// What a person would call a `T`.
fn description<T>() -> &'static str {
    match type_name::<T>() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "bool" => "`true` or `false`",
        "core::net::socket_addr::SocketAddr" => "an address and port such as 127.0.0.1:50051",
        "core::net::ip_addr::IpAddr" => "an IP address such as 127.0.0.1",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn an_error_names_the_variable_its_value_and_what_is_expected() {
        let error = parse("PORT", Some("many".to_owned()), 3000_u16).unwrap_err();
        assert_eq!(error.to_string(), r#"PORT is "many": expected a whole number, 0 or more"#);
        assert_eq!(error.name(), "PORT");

        let error =
            parse("ADDR", Some("here".to_owned()), SocketAddr::from(([127, 0, 0, 1], 1))).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"ADDR is "here": expected an address and port such as 127.0.0.1:50051"#
        );

        let error = required("MESTRES_SURELY_UNSET").unwrap_err();
        assert_eq!(error.to_string(), "MESTRES_SURELY_UNSET is not set: expected a value");
    }

    #[test]
    fn a_value_outside_its_range_is_refused_with_the_range() {
        let read = |value: &str| within("RATIO", Some(value.to_owned()), 0.5, 0.0..=1.0);
        assert_eq!(read("0.25"), Ok(0.25));
        assert_eq!(read("1.5").unwrap_err().to_string(), r#"RATIO is "1.5": expected a number from 0 to 1"#);
        assert_eq!(read("NaN").unwrap_err().to_string(), r#"RATIO is "NaN": expected a number from 0 to 1"#);
        assert_eq!(within("RATIO", None, 0.5, 0.0..=1.0), Ok(0.5));
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let error = ConfigError::invalid_secret("MESTRES_TOKEN_KEY", "64 hex digits");
        assert_eq!(
            error.to_string(),
            "MESTRES_TOKEN_KEY has a value that cannot be used: expected 64 hex digits"
        );
    }

    #[test]
    fn environments_have_exactly_two_names_and_one_alias() {
        assert_eq!(Environment::parse("NODE_ENV", "test"), Ok(Environment::Development));
        assert_eq!(Environment::parse("NODE_ENV", "production"), Ok(Environment::Production));
        let error = Environment::parse("MESTRES_ENV", "prod").unwrap_err();
        assert_eq!(error.to_string(), r#"MESTRES_ENV is "prod": expected `development` or `production`"#);
    }

    #[test]
    fn the_environment_is_really_read() {
        assert!(optional("PATH").is_some());
        assert_eq!(optional("MESTRES_SURELY_UNSET"), None);
    }
}
