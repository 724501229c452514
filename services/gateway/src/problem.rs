//! Problem documents (RFC 9457) in Portuguese and English.

use serde::Serialize;

use crate::error::{Error, FieldError, LineError, Text};
use crate::views::Money;

/// Where the types of problems are explained.
const TYPE_BASE: &str = "https://mestrescafe.com/problems/";

/// The language of titles and details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `pt-BR`, the default.
    Portuguese,
    /// `en`.
    English,
}

impl Language {
    /// The better liked of our two in an `Accept-Language` header.
    pub fn accepted(header: Option<&str>) -> Self {
        let mut best = (Self::Portuguese, 0);
        for item in header.unwrap_or_default().split(',').take(32) {
            let mut parts = item.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts
                .next()
                .and_then(|q| q.trim().strip_prefix("q="))
                .map_or(Some(1000), crate::negotiation::thousandths)
                .unwrap_or(0);
            let language = match tag.split('-').next().unwrap_or_default() {
                primary if primary.eq_ignore_ascii_case("en") => Self::English,
                primary if primary.eq_ignore_ascii_case("pt") => Self::Portuguese,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// The tag for `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Portuguese => "pt-BR",
            Self::English => "en",
        }
    }

    fn of(self, text: &Text) -> &str {
        match self {
            Self::Portuguese => &text.pt,
            Self::English => &text.en,
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    error: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
}

#[derive(Serialize)]
struct Field<'a> {
    pointer: &'a str,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Money>,
}

impl<'a> Field<'a> {
    fn of(field: &'a FieldError, language: Language) -> Self {
        let FieldError { pointer, code, detail } = field;
        Self { pointer, code, detail: language.of(detail), available: None, price: None }
    }

    fn of_line(line: &'a LineError, language: Language) -> Self {
        let LineError { pointer, code, detail, available, unit_amount } = line;
        let price = unit_amount.map(|amount| Money::of(amount, "BRL"));
        Self { pointer, code, detail: language.of(detail), available: *available, price }
    }
}

/// The document for `error`; `instance` is the request's path.
pub fn document(error: &Error, language: Language, instance: &str, request_id: &str) -> Vec<u8> {
    let (title, detail) = texts(error);
    let (title, detail) = (language.of(&title), language.of(&detail));
    let errors = match error {
        Error::Validation(fields) => fields.iter().map(|field| Field::of(field, language)).collect(),
        Error::Conflict(field) => vec![Field::of(field, language)],
        Error::Refused(_, lines) => lines.iter().map(|line| Field::of_line(line, language)).collect(),
        _ => Vec::new(),
    };
    let (decline_code, retryable) = match error {
        Error::PaymentDeclined { decline_code, retryable, .. } => (decline_code.as_deref(), Some(*retryable)),
        _ => (None, None),
    };
    let document = Document {
        r#type: format!("{TYPE_BASE}{}", error.code().replace('_', "-")),
        title,
        status: error.status().as_u16(),
        detail,
        instance,
        code: error.code(),
        error: title,
        request_id,
        errors,
        parameter: match error {
            Error::InvalidParameter { name, .. } => Some(name),
            Error::OffsetTooDeep => Some("page"),
            Error::IdempotencyKeyRequired => Some("Idempotency-Key"),
            _ => None,
        },
        decline_code,
        retryable,
    };
    let mut json = serde_json::to_vec(&document).expect("strings and numbers always serialise");
    if let Error::PreconditionFailed { current: Some(current) } = error {
        let end = json.pop();
        json.extend_from_slice(b",\"current\":");
        json.extend_from_slice(&current.body);
        json.extend(end);
    }
    json
}

/// Title and detail.
fn texts(error: &Error) -> (Text, Text) {
    const fn both(title: (&'static str, &'static str), detail: (&'static str, &'static str)) -> (Text, Text) {
        (Text::fixed(title.0, title.1), Text::fixed(detail.0, detail.1))
    }
    match error {
        Error::InvalidParameter { detail, .. } => {
            (Text::fixed("Parâmetro inválido", "Invalid parameter"), detail.clone())
        }
        Error::OffsetTooDeep => both(
            ("Página distante demais", "Page too deep"),
            (
                "page × per_page vai até 10000; além disso use `cursor` com o `next_cursor` da resposta",
                "page × per_page reaches 10000; beyond that use `cursor` with the answer's `next_cursor`",
            ),
        ),
        Error::BadRequest(reason) => {
            (Text::fixed("Requisição malformada", "Malformed request"), Text::same(*reason))
        }
        Error::MalformedJson(detail) => (Text::fixed("JSON malformado", "Malformed JSON"), detail.clone()),
        Error::Unauthenticated => both(
            ("Não autenticado", "Not authenticated"),
            ("é preciso um token de acesso válido", "a valid access token is needed"),
        ),
        Error::InvalidCredentials => both(
            ("Não autenticado", "Not authenticated"),
            ("e-mail ou senha não conferem", "the e-mail address or the password is wrong"),
        ),
        Error::TotpRequired => both(
            ("Segundo fator necessário", "Second factor required"),
            ("envie em `totp_code` o código do aplicativo", "send the application's code in `totp_code`"),
        ),
        Error::StepUpRequired => both(
            ("Confirmação necessária", "Confirmation required"),
            (
                "confirme a senha ou o código em /api/v1/auth/step-up e tente de novo",
                "prove your password or code at /api/v1/auth/step-up and try again",
            ),
        ),
        Error::InvalidToken => both(
            ("Link inválido", "Invalid link"),
            (
                "o link já foi usado, expirou ou nunca existiu; peça outro",
                "the link has been used, has expired or never existed; ask for another",
            ),
        ),
        Error::RateLimited { .. } => both(
            ("Requisições demais", "Too many requests"),
            ("espere o tempo indicado em Retry-After", "wait for the time given in Retry-After"),
        ),
        Error::SessionCheckUnavailable => both(
            ("Sessão não verificável", "Session check unavailable"),
            (
                "não é possível confirmar agora se sua sessão ainda vale",
                "whether your session still holds cannot be confirmed now",
            ),
        ),
        Error::Forbidden => both(
            ("Acesso negado", "Forbidden"),
            ("sua conta não tem permissão para isso", "your account may not do this"),
        ),
        Error::NotFound => both(
            ("Não encontrado", "Not found"),
            ("não há nada neste endereço", "there is nothing at this address"),
        ),
        Error::MethodNotAllowed { .. } => both(
            ("Método não permitido", "Method not allowed"),
            ("os métodos possíveis estão no cabeçalho Allow", "the possible methods are in the Allow header"),
        ),
        Error::NotAcceptable => both(
            ("Nenhum formato aceitável", "Not acceptable"),
            ("codificações oferecidas: identity, gzip, br", "encodings offered: identity, gzip, br"),
        ),
        Error::RequestTimeout => both(
            ("Requisição lenta demais", "Request timeout"),
            ("a requisição não chegou inteira a tempo", "the request did not arrive whole in time"),
        ),
        Error::Conflict(field) => (Text::fixed("Conflito", "Conflict"), field.detail.clone()),
        Error::PreconditionFailed { .. } => both(
            ("Versão desatualizada", "Precondition failed"),
            (
                "o recurso mudou desde a versão de If-Match; leia-o de novo",
                "the resource has changed since the version in If-Match; read it again",
            ),
        ),
        Error::PayloadTooLarge => both(
            ("Corpo grande demais", "Payload too large"),
            ("o corpo pode ter até 1 MiB", "the body may have up to 1 MiB"),
        ),
        Error::UriTooLong => both(
            ("Endereço longo demais", "URI too long"),
            ("a linha da requisição pode ter até 8 KiB", "the request line may have up to 8 KiB"),
        ),
        Error::UnsupportedMediaType(detail) => {
            (Text::fixed("Tipo de conteúdo não suportado", "Unsupported media type"), detail.clone())
        }
        Error::Validation(_) => both(
            ("Dados inválidos", "Validation failed"),
            ("veja `errors` para cada campo", "see `errors` for each field"),
        ),
        Error::PreconditionRequired => both(
            ("If-Match obrigatório", "Precondition required"),
            ("envie em If-Match o ETag da versão lida", "send the ETag of the version read in If-Match"),
        ),
        Error::IdempotencyKeyRequired => both(
            ("Idempotency-Key obrigatória", "Idempotency-Key required"),
            (
                "envie em Idempotency-Key um valor próprio desta operação, o mesmo a cada repetição",
                "send a value of this operation's own in Idempotency-Key, the same for each repetition",
            ),
        ),
        Error::Refused(refusal, _) => refusal.texts(),
        Error::PaymentDeclined { .. } => both(
            ("Pagamento recusado", "Payment declined"),
            ("o pagamento foi recusado; nada foi cobrado", "the payment was declined; nothing was charged"),
        ),
        Error::InvalidSignature => both(
            ("Assinatura inválida", "Invalid signature"),
            ("a assinatura falta, não confere ou é antiga", "the signature is missing, wrong or too old"),
        ),
        Error::HeadersTooLarge => both(
            ("Cabeçalhos grandes demais", "Headers too large"),
            ("até 90 cabeçalhos e 32 KiB ao todo", "up to 90 headers and 32 KiB altogether"),
        ),
        Error::Overloaded => both(
            ("Serviço sobrecarregado", "Overloaded"),
            ("tente de novo em instantes", "try again shortly"),
        ),
        Error::UpstreamUnavailable => both(
            ("Serviço indisponível", "Service unavailable"),
            ("um serviço necessário não responde agora", "a service this needs does not answer now"),
        ),
        Error::Timeout => both(
            ("Tempo esgotado", "Timeout"),
            ("um serviço não respondeu a tempo", "a service did not answer in time"),
        ),
        Error::Internal => both(
            ("Erro interno", "Internal error"),
            (
                "algo falhou do nosso lado; informe o request_id",
                "something failed on our side; quote the request_id",
            ),
        ),
    }
}
