//! The letters that the shop writes. Each also has a greeting, a farewell, and the blanks `name` and `shop_url`.

mod orders;

pub(super) use self::orders::ORDERS;

/// One kind of letter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) name: &'static str,
    /// The blanks that whoever sends it must fill.
    pub(super) variables: &'static [&'static str],
    pub(super) pt_br: Words,
    pub(super) en: Words,
}

/// A letter's words in one language; paragraphs are separated by an empty line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) subject: &'static str,
    pub(super) text: &'static str,
}

/// Every letter about anything but orders.
pub(super) const TEMPLATES: &[Template] = &[
    Template {
        name: "verify_email",
        variables: &["link"],
        pt_br: Words {
            subject: "Confirme o seu e-mail",
            text: "Para concluir o cadastro, confirme que este endereço é seu:\n\n{link}\n\n\
                   O link vale por 24 horas. Se não foi você quem se cadastrou, ignore esta mensagem.",
        },
        en: Words {
            subject: "Confirm your e-mail address",
            text: "To finish signing up, confirm that this address is yours:\n\n{link}\n\n\
                   The link is good for 24 hours. If it was not you who signed up, ignore this message.",
        },
    },
    Template {
        name: "account_exists",
        variables: &[],
        pt_br: Words {
            subject: "Você já tem uma conta",
            text: "Alguém tentou criar uma conta com este endereço, mas ele já tem uma.\n\n\
                   Se foi você, entre com a sua senha ou peça uma nova em {shop_url}. Se não foi, ignore esta mensagem: \
                   nada mudou.",
        },
        en: Words {
            subject: "You already have an account",
            text: "Somebody tried to create an account with this address, but it already has one.\n\n\
                   If it was you, sign in with your password or ask for a new one at {shop_url}. If not, ignore this \
                   message: nothing has changed.",
        },
    },
    Template {
        name: "password_reset",
        variables: &["link"],
        pt_br: Words {
            subject: "Redefina a sua senha",
            text: "Recebemos um pedido para redefinir a senha da sua conta:\n\n{link}\n\n\
                   O link vale por pouco tempo e uma única vez. Se não foi você quem pediu, ignore esta mensagem: a \
                   sua senha continua a mesma.",
        },
        en: Words {
            subject: "Reset your password",
            text: "We were asked to reset your account's password:\n\n{link}\n\n\
                   The link is good for a short time and only once. If it was not you who asked, ignore this message: \
                   your password stays as it is.",
        },
    },
    Template {
        name: "password_changed",
        variables: &[],
        pt_br: Words {
            subject: "A sua senha foi alterada",
            text: "A senha da sua conta foi alterada e as outras sessões foram encerradas.\n\n\
                   Se não foi você, redefina a senha agora em {shop_url}.",
        },
        en: Words {
            subject: "Your password was changed",
            text: "Your account's password was changed and its other sessions were ended.\n\n\
                   If it was not you, reset the password now at {shop_url}.",
        },
    },
    Template {
        name: "session_reuse",
        variables: &[],
        pt_br: Words {
            subject: "Encerramos uma sessão suspeita",
            text: "Uma sessão da sua conta foi usada de um modo que sugere uma cópia roubada, e por isso a encerramos.\n\n\
                   Entre novamente. Se algo parecer estranho, troque a senha em {shop_url}.",
        },
        en: Words {
            subject: "We ended a suspicious session",
            text: "A session of your account was used in a way that suggests a stolen copy, so we ended it.\n\n\
                   Please sign in again. If anything looks odd, change your password at {shop_url}.",
        },
    },
    Template {
        name: "totp_enabled",
        variables: &[],
        pt_br: Words {
            subject: "Verificação em duas etapas ativada",
            text: "A verificação em duas etapas da sua conta foi ativada.\n\n\
                   Se não foi você, redefina a senha agora em {shop_url} e fale conosco.",
        },
        en: Words {
            subject: "Two-step verification is on",
            text: "Your account's two-step verification was switched on.\n\n\
                   If it was not you, reset the password now at {shop_url} and contact us.",
        },
    },
    Template {
        name: "totp_disabled",
        variables: &[],
        pt_br: Words {
            subject: "Verificação em duas etapas desativada",
            text: "A verificação em duas etapas da sua conta foi desativada.\n\n\
                   Se não foi você, redefina a senha agora em {shop_url} e fale conosco.",
        },
        en: Words {
            subject: "Two-step verification is off",
            text: "Your account's two-step verification was switched off.\n\n\
                   If it was not you, reset the password now at {shop_url} and contact us.",
        },
    },
    Template {
        name: "data_export_ready",
        variables: &[],
        pt_br: Words {
            subject: "Os seus dados estão prontos",
            text: "A cópia dos seus dados está pronta. Para baixá-la, entre na sua conta em {shop_url}.\n\n\
                   Se não foi você quem pediu, troque a sua senha.",
        },
        en: Words {
            subject: "Your data is ready",
            text: "The copy of your data is ready. To download it, sign in to your account at {shop_url}.\n\n\
                   If it was not you who asked, change your password.",
        },
    },
    Template {
        name: "account_erased",
        variables: &[],
        pt_br: Words {
            subject: "A sua conta foi apagada",
            text: "Conforme o seu pedido, apagamos a sua conta e os seus dados pessoais.\n\n\
                   Esta é a última mensagem que enviamos a este endereço. Obrigado por tudo!",
        },
        en: Words {
            subject: "Your account was erased",
            text: "As you asked, we erased your account and your personal data.\n\n\
                   This is the last message that we send to this address. Thank you for everything!",
        },
    },
    Template {
        name: "report_received",
        variables: &["title", "body", "link"],
        pt_br: Words {
            subject: "{title}",
            text: "{body}\n\n{link}\n\nVocê escolhe em {shop_url} sobre o que deseja ser avisado por e-mail.",
        },
        en: Words {
            subject: "{title}",
            text: "{body}\n\n{link}\n\nAt {shop_url} you choose what you would like to be told by e-mail.",
        },
    },
    Template {
        name: "account_security",
        variables: &["title", "body"],
        pt_br: Words {
            subject: "{title}",
            text: "{body}\n\nConfira a segurança da sua conta em {shop_url}.",
        },
        en: Words { subject: "{title}", text: "{body}\n\nCheck your account's security at {shop_url}." },
    },
];
