//! Mails that accounts has sent: which ones, and for how long they are worth sending.

use time::Duration;

/// A mail's template, by the name that the notifications service knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailTemplate {
    VerifyEmail,
    AccountExists,
    PasswordReset,
    PasswordChanged,
    SessionReuse,
    TotpEnabled,
    TotpDisabled,
    DataExportReady,
    AccountErased,
}

impl MailTemplate {
    /// Every template.
    pub(crate) const ALL: [Self; 9] = [
        Self::VerifyEmail,
        Self::AccountExists,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::SessionReuse,
        Self::TotpEnabled,
        Self::TotpDisabled,
        Self::DataExportReady,
        Self::AccountErased,
    ];

    /// The word of the database and of the notifications service.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::AccountExists => "account_exists",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::SessionReuse => "session_reuse",
            Self::TotpEnabled => "totp_enabled",
            Self::TotpDisabled => "totp_disabled",
            Self::DataExportReady => "data_export_ready",
            Self::AccountErased => "account_erased",
        }
    }

    /// Reads such a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == word)
    }

    /// After that nobody needs the mail any more: what its link proves has ended, or the news is old.
    pub(crate) fn worth_sending_for(self) -> Duration {
        match self {
            Self::PasswordReset => Duration::hours(1),
            Self::VerifyEmail | Self::AccountExists => Duration::hours(24),
            Self::PasswordChanged
            | Self::SessionReuse
            | Self::TotpEnabled
            | Self::TotpDisabled
            | Self::DataExportReady
            | Self::AccountErased => Duration::days(7),
        }
    }

    /// The page of the shop that the mail's link opens, when what the link proves is in the mail.
    pub(crate) fn token_page(self) -> Option<&'static str> {
        match self {
            Self::VerifyEmail => Some("/verify-email"),
            Self::PasswordReset => Some("/reset-password"),
            Self::AccountExists
            | Self::PasswordChanged
            | Self::SessionReuse
            | Self::TotpEnabled
            | Self::TotpDisabled
            | Self::DataExportReady
            | Self::AccountErased => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_read_back_from_its_word() {
        for template in MailTemplate::ALL {
            assert_eq!(MailTemplate::from_word(template.as_str()), Some(template));
        }
        assert_eq!(MailTemplate::from_word("newsletter"), None);
    }
}
