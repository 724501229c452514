//! Refusals in the words of the provider.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An error object, its status, and whether the idempotency key remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    kind: &'static str,
    code: Option<String>,
    decline_code: Option<String>,
    message: String,
    param: Option<String>,
    charge: Option<String>,
    payment_intent: Option<Value>,
    /// Work had begun: the answer is the first result of its key.
    pub(crate) is_result: bool,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            decline_code: None,
            message: message.into(),
            param: None,
            charge: None,
            payment_intent: None,
            is_result: false,
        }
    }

    /// A request that makes no sense; nothing began.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// A parameter that makes no sense; nothing began.
    pub(crate) fn parameter(param: &str, code: &str, message: impl Into<String>) -> Self {
        Self { code: Some(code.to_owned()), param: Some(param.to_owned()), ..Self::invalid(message) }
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
        Self {
            code: Some(code.to_owned()),
            payment_intent: Some(payment_intent),
            is_result: true,
            ..Self::invalid(message)
        }
    }

    /// The bank said no.
    pub(crate) fn card(error: &PaymentError, payment_intent: Value) -> Self {
        Self {
            code: Some(error.code.clone()),
            decline_code: error.decline_code.clone(),
            charge: error.charge.clone(),
            payment_intent: Some(payment_intent),
            is_result: true,
            ..Self::new(402, "card_error", error.message.clone())
        }
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
        Self {
            code: Some("idempotency_key_in_use".to_owned()),
            ..Self::new(
                409,
                "idempotency_error",
                format!(
                    "There is currently another in-progress request using this Idempotent Key (that probably means \
                     you submitted twice, and the other request is still going through): {key}. Please try again \
                     later."
                ),
            )
        }
    }

    /// More at once, or more kept, than a sandbox holds.
    pub(crate) fn too_many() -> Self {
        Self {
            code: Some("rate_limit".to_owned()),
            ..Self::new(429, "invalid_request_error", "Too many requests hit the sandbox too quickly.")
        }
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
        let texts = [
            ("code", &self.code),
            ("decline_code", &self.decline_code),
            ("param", &self.param),
            ("charge", &self.charge),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                error[name] = json!(text);
            }
        }
        if let Some(intent) = &self.payment_intent {
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
