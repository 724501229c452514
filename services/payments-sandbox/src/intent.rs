//! A payment intent: what is to be paid, how far that got, and every charge and refund of it.

mod attempt;
mod charge;
mod refund;

pub(crate) use attempt::Disputed;
pub(crate) use charge::{Charge, ChargeState};
pub(crate) use refund::{Refund, RefundRequest};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::PaymentError;

/// One intent; an event or an answer is made of its JSON, the journal of this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// Place in the order of creation.
    pub(crate) serial: u64,
    pub(crate) id: String,
    pub(crate) client_secret: String,
    pub(crate) created: i64,
    /// The idempotency key it was created with.
    pub(crate) provider_key: Option<String>,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) method: Method,
    pub(crate) capture: Capture,
    pub(crate) payment_method: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) pix_expires_after_s: i64,
    pub(crate) status: Status,
    pub(crate) next_action: Option<NextAction>,
    pub(crate) last_error: Option<PaymentError>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) refunds: Vec<Refund>,
    /// When something happens to it by itself, in milliseconds.
    pub(crate) due_ms: Option<i64>,
}

/// How it is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Card,
    Pix,
}

/// Whether an authorised amount is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Capture {
    Automatic,
    Manual,
}

/// The provider's statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Succeeded,
    Canceled,
}

/// What the buyer has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NextAction {
    Redirect { url: String },
    Pix { data: String, expires_at: i64, page: String },
}

/// Something that happened, as its event will tell it.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
}

/// The moment and the request of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) now_ms: i64,
    pub(crate) key: Option<&'a str>,
    /// Where the sandbox's pages are.
    pub(crate) public_url: &'a str,
}

impl Act<'_> {
    pub(crate) fn seconds(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    fn key(&self) -> Option<String> {
        self.key.map(str::to_owned)
    }
}

/// A new id in the provider's style.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

impl Intent {
    /// The order that it says it is for.
    pub(crate) fn order_id(&self) -> Option<&str> {
        self.metadata.get("order_id").map(String::as_str)
    }

    /// What names it in every run: its key, which our ids are not.
    pub(crate) fn subject(&self) -> &str {
        self.provider_key.as_deref().unwrap_or(&self.id)
    }

    /// What was taken from the payer.
    pub(crate) fn amount_received(&self) -> i64 {
        self.charges.iter().map(|charge| charge.amount_captured).sum()
    }

    fn amount_capturable(&self) -> i64 {
        match (self.status, self.charges.last()) {
            (Status::RequiresCapture, Some(charge)) => charge.amount,
            _ => 0,
        }
    }

    /// The intent as the provider tells it; `latest_charge` is an id.
    pub(crate) fn json(&self) -> Value {
        let options = match self.method {
            Method::Card => json!({ "card": {
                "installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic",
            } }),
            Method::Pix => json!({ "pix": { "expires_after_seconds": self.pix_expires_after_s } }),
        };
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.amount_capturable(),
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received(),
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": null,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture,
            "client_secret": self.client_secret,
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "customer": null,
            "description": self.description,
            "last_payment_error": self.last_error.as_ref().map(PaymentError::json),
            "latest_charge": self.charges.last().map(|charge| &charge.id),
            "livemode": false,
            "metadata": self.metadata,
            "next_action": self.next_action_json(),
            "on_behalf_of": null,
            "payment_method": self.payment_method,
            "payment_method_options": options,
            "payment_method_types": [self.method],
            "processing": null,
            "receipt_email": null,
            "review": null,
            "setup_future_usage": null,
            "shipping": null,
            "statement_descriptor": null,
            "statement_descriptor_suffix": null,
            "status": self.status,
            "transfer_data": null,
            "transfer_group": null,
        })
    }

    /// The same with the charge itself.
    pub(crate) fn expanded_json(&self) -> Value {
        let mut json = self.json();
        if let Some(charge) = self.charges.last() {
            json["latest_charge"] = charge.json(self);
        }
        json
    }

    fn next_action_json(&self) -> Value {
        match &self.next_action {
            None => Value::Null,
            Some(NextAction::Redirect { url }) => json!({
                "type": "redirect_to_url",
                "redirect_to_url": { "return_url": self.return_url, "url": url },
            }),
            Some(NextAction::Pix { data, expires_at, page }) => json!({
                "type": "pix_display_qr_code",
                "pix_display_qr_code": {
                    "data": data,
                    "expires_at": expires_at,
                    "hosted_instructions_url": page,
                    "image_url_png": format!("{page}/qr.png"),
                    "image_url_svg": format!("{page}/qr.svg"),
                },
            }),
        }
    }

    /// That it exists now.
    pub(crate) fn created(&self) -> Fact {
        self.fact("payment_intent.created")
    }

    fn fact(&self, kind: &'static str) -> Fact {
        Fact { kind, object: self.json() }
    }

    fn charge_fact(&self, kind: &'static str, charge: &Charge) -> Fact {
        Fact { kind, object: charge.json(self) }
    }

    fn refund_fact(&self, kind: &'static str, refund: &Refund) -> Fact {
        Fact { kind, object: refund.json(self) }
    }
}
