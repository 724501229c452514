//! What a notification says, in the user's language.

use super::kind::Kind;
use super::locale::Locale;
use super::order::OrderNews;

/// Something that a user is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A cupping report came.
    ReportReceived { report_id: i64 },
    /// The user's role is another one now.
    RoleChanged { role: String },
    /// The password is another one now.
    PasswordChanged,
    /// The second factor was switched on or off.
    SecondFactorChanged,
    /// The account was locked or unlocked.
    LockChanged,
    /// The account is there.
    Welcome,
    /// Something became of one of the user's orders.
    Order(OrderNews),
}

/// A notification's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: String,
    pub(crate) body: String,
    /// A path of the shop.
    pub(crate) link: Option<String>,
}

impl Occasion {
    /// The kind whose preferences decide.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::ReportReceived { .. } => Kind::ReportReceived,
            Self::RoleChanged { .. }
            | Self::PasswordChanged
            | Self::SecondFactorChanged
            | Self::LockChanged => Kind::AccountSecurity,
            Self::Welcome => Kind::AccountWelcome,
            Self::Order(_) => Kind::Order,
        }
    }

    /// The template of the mail that says the same; none when a mail would say it twice: accounts itself
    /// writes about passwords and second factors, and to whoever registers.
    pub(crate) fn template(&self) -> Option<&'static str> {
        match self {
            Self::ReportReceived { .. } => Some("report_received"),
            Self::RoleChanged { .. } | Self::LockChanged => Some("account_security"),
            Self::PasswordChanged | Self::SecondFactorChanged | Self::Welcome => None,
            Self::Order(news) => Some(news.template()),
        }
    }

    /// What the template's blanks are filled with, beside title, body and link.
    pub(crate) fn variables(&self, locale: Locale) -> Vec<(String, String)> {
        match self {
            Self::Order(news) => news.variables(locale),
            Self::ReportReceived { .. }
            | Self::RoleChanged { .. }
            | Self::PasswordChanged
            | Self::SecondFactorChanged
            | Self::LockChanged
            | Self::Welcome => Vec::new(),
        }
    }

    /// The words in `locale`.
    pub(crate) fn words(&self, locale: Locale) -> Words {
        let say = |pt: (&str, &str), en: (&str, &str), link: Option<String>| {
            let (title, body) = match locale {
                Locale::PtBr => pt,
                Locale::En => en,
            };
            Words { title: title.to_owned(), body: body.to_owned(), link }
        };
        let security = || Some("/account/security".to_owned());
        match self {
            Self::ReportReceived { report_id } => say(
                (
                    "Novo laudo de prova",
                    "Você recebeu um laudo sensorial. Abra para ver as notas e os comentários.",
                ),
                ("New cupping report", "You received a sensory report. Open it to see scores and comments."),
                Some(format!("/reports/{report_id}")),
            ),
            Self::RoleChanged { role } => {
                let (pt, en) = (
                    format!("O seu perfil de acesso agora é {}.", role_name(role, Locale::PtBr)),
                    format!("Your access role is now {}.", role_name(role, Locale::En)),
                );
                say(("Perfil de acesso alterado", &pt), ("Access role changed", &en), security())
            }
            Self::PasswordChanged => say(
                ("Senha alterada", "A senha da sua conta foi alterada. Se não foi você, redefina-a agora."),
                ("Password changed", "Your account's password was changed. If it was not you, reset it now."),
                security(),
            ),
            Self::SecondFactorChanged => say(
                (
                    "Verificação em duas etapas alterada",
                    "A verificação em duas etapas da sua conta foi alterada. Se não foi você, fale conosco.",
                ),
                (
                    "Two-step verification changed",
                    "Your account's two-step verification was changed. If it was not you, contact us.",
                ),
                security(),
            ),
            Self::LockChanged => say(
                ("Bloqueio da conta alterado", "A nossa equipe bloqueou ou desbloqueou a sua conta."),
                ("Account lock changed", "Our team locked or unlocked your account."),
                security(),
            ),
            Self::Welcome => say(
                ("Boas-vindas ao Mestres Café", "A sua conta está pronta. Bons cafés!"),
                ("Welcome to Mestres Café", "Your account is ready. Enjoy your coffee!"),
                Some("/".to_owned()),
            ),
            Self::Order(news) => news.words(locale),
        }
    }
}

fn role_name(role: &str, locale: Locale) -> &'static str {
    match (role, locale) {
        ("admin", Locale::PtBr) => "administrador",
        ("admin", Locale::En) => "administrator",
        ("staff", Locale::PtBr) => "equipe",
        ("staff", Locale::En) => "staff",
        (_, Locale::PtBr) => "cliente",
        (_, Locale::En) => "customer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occasion_fits_its_columns_in_every_language() {
        let occasions = [
            Occasion::ReportReceived { report_id: i64::MAX },
            Occasion::RoleChanged { role: "admin".into() },
            Occasion::PasswordChanged,
            Occasion::SecondFactorChanged,
            Occasion::LockChanged,
            Occasion::Welcome,
        ];
        for occasion in occasions {
            let (pt, en) = (occasion.words(Locale::PtBr), occasion.words(Locale::En));
            assert_ne!(pt.body, en.body, "{occasion:?}");
            for words in [pt, en] {
                assert!((1..=200).contains(&words.title.chars().count()), "{words:?}");
                assert!(words.body.chars().count() <= 2000, "{words:?}");
                assert!(words.link.is_none_or(|link| link.starts_with('/')));
            }
        }
    }
}
