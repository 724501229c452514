//! Refusals in the words of the provider.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An error object, its status, and whether the idempotency key remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    kind: &'static str,
    message: String,
    /// Work had begun: the answer is the first result of its key.
    pub(crate) is_result: bool,
    details: Box<Details>,
}

/// What only some errors have.
#[derive(Clone, Debug, Default)]
struct Details {
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
    charge: Option<String>,
    payment_intent: Option<Value>,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), is_result: false, details: Box::default() }
    }

    fn with(self, details: Details) -> Self {
        Self { details: Box::new(details), ..self }
    }

    fn coded(self, code: &str) -> Self {
        self.with(Details { code: Some(code.to_owned()), ..Details::default() })
    }

    /// A request that makes no sense; nothing began.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// A parameter that makes no sense; nothing began.
    pub(crate) fn parameter(param: &str, code: &str, message: impl Into<String>) -> Self {
        let (code, param) = (Some(code.to_owned()), Some(param.to_owned()));
        Self::invalid(message).with(Details { code, param, ..Details::default() })
    }

    /// A parameter that has to be there.
    pub(crate) fn missing(param: &str) -> Self {
        Self::parameter(param, "parameter_missing", format!("Missing required param: {param}."))
    }

    /// Something named in a parameter does not exist.
    pub(crate) fn no_such(what: &str, param: &str, id: &str) -> Self {
        Self { status: 404, ..Self::parameter(param, "resource_missing", format!("No such {what}: '{id}'")) }
    }

    /// A path that nobody answers.
    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        Self { status: 404, ..Self::invalid(format!("Unrecognized request URL ({method}: {path}).")) }
    }

    /// The bearer is missing or wrong.
    pub(crate) fn unauthorized() -> Self {
        Self { status: 401, ..Self::invalid("Invalid API Key provided.") }
    }

    /// The object is in no state for that.
    pub(crate) fn unexpected_state(code: &str, message: impl Into<String>, payment_intent: Value) -> Self {
        let (code, payment_intent) = (Some(code.to_owned()), Some(payment_intent));
        let details = Details { code, payment_intent, ..Details::default() };
        Self { is_result: true, ..Self::invalid(message).with(details) }
    }

    /// The bank said no.
    pub(crate) fn card(error: &PaymentError, payment_intent: Value) -> Self {
        let details = Details {
            code: Some(error.code.clone()),
            decline_code: error.decline_code.clone(),
            param: None,
            charge: error.charge.clone(),
            payment_intent: Some(payment_intent),
        };
        Self { is_result: true, ..Self::new(402, "card_error", error.message.clone()).with(details) }
    }

    /// A key that was used for something else.
    pub(crate) fn other_request(key: &str, difference: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            format!(
                "Keys for idempotent requests can only be used {difference} they were first used with. Try using a \
                 key other than '{key}' if you meant to execute a different request."
            ),
        )
    }

    /// A key whose first request is still under way.
    pub(crate) fn key_in_use(key: &str) -> Self {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you \
             submitted twice, and the other request is still going through): {key}. Please try again later."
        );
        Self::new(409, "idempotency_error", message).coded("idempotency_key_in_use")
    }

    /// More at once, or more kept, than a sandbox holds.
    pub(crate) fn too_many() -> Self {
        let message = "Too many requests hit the sandbox too quickly.";
        Self::new(429, "invalid_request_error", message).coded("rate_limit")
    }

    /// The provider's own fault.
    pub(crate) fn internal() -> Self {
        Self {
            is_result: true,
            ..Self::new(500, "api_error", "An unknown error occurred while processing the request.")
        }
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "message": self.message, "type": self.kind });
        let details = &self.details;
        let texts = [
            ("code", &details.code),
            ("decline_code", &details.decline_code),
            ("param", &details.param),
            ("charge", &details.charge),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                error[name] = json!(text);
            }
        }
        if let Some(intent) = &details.payment_intent {
            error["payment_intent"] = intent.clone();
        }
        json!({ "error": error })
    }
}

/// Why the last attempt to pay failed; part of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PaymentError {
    pub(crate) code: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) message: String,
    pub(crate) charge: Option<String>,
    pub(crate) payment_method: Option<String>,
}

impl PaymentError {
    pub(crate) fn json(&self) -> Value {
        let kind =
            if self.code.starts_with("payment_intent_") { "invalid_request_error" } else { "card_error" };
        json!({
            "charge": self.charge,
            "code": self.code,
            "decline_code": self.decline_code,
            "doc_url": format!("https://stripe.com/docs/error-codes/{}", self.code.replace('_', "-")),
            "message": self.message,
            "payment_method": self.payment_method.as_ref().map(|id| json!({ "id": id, "object": "payment_method" })),
            "type": kind,
        })
    }
}
