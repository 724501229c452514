//! The provider's objects, as far as we read them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::payment::{Failure, Status};
use crate::payments::provider::{Intent, NextAction, Of, ProviderEvent, ProviderRefund, RefundStatus};

/// Ids and kinds of events as the inbox holds them.
const NAME_MAX: usize = 255;
/// Metadata longer than ours is not ours.
const METADATA_MAX: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct PaymentIntent {
    id: String,
    status: String,
    amount: i64,
    #[serde(default)]
    amount_received: i64,
    currency: String,
    #[serde(default)]
    created: i64,
    metadata: Option<HashMap<String, String>>,
    last_payment_error: Option<LastError>,
    next_action: Option<Action>,
    latest_charge: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct LastError {
    code: Option<String>,
    decline_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Action {
    redirect_to_url: Option<Redirect>,
    pix_display_qr_code: Option<QrCode>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct QrCode {
    data: Option<String>,
    image_url_png: Option<String>,
    expires_at: Option<i64>,
}

impl PaymentIntent {
    /// The intent in our words; `None` for a status that we do not know.
    pub(super) fn read(self) -> Option<Intent> {
        let status = match self.status.as_str() {
            "requires_payment_method" | "requires_confirmation" => Status::Failed,
            "processing" => Status::Processing,
            "requires_action" => Status::RequiresAction,
            "requires_capture" => Status::RequiresCapture,
            "succeeded" => Status::Succeeded,
            "canceled" => Status::Canceled,
            _ => return None,
        };
        let failure = (status == Status::Failed).then(|| {
            let error = self.last_payment_error;
            let code = error.and_then(|error| error.decline_code.or(error.code));
            Failure::declined(code.as_deref().unwrap_or_default())
        });
        let refunded = self.latest_charge.as_ref().and_then(|charge| charge.get("amount_refunded"));
        Some(Intent {
            reference: self.id,
            status,
            amount: self.amount,
            currency: self.currency.to_ascii_uppercase(),
            received: self.amount_received,
            refunded: refunded.and_then(Value::as_i64),
            of: of(&self.metadata.unwrap_or_default()),
            failure,
            next_action: self.next_action.and_then(Action::read),
            created: self.created,
        })
    }
}

impl Action {
    fn read(self) -> Option<NextAction> {
        if let Some(url) = self.redirect_to_url.and_then(|redirect| redirect.url) {
            // The browser follows it: nothing but a page.
            return is_page(&url).then_some(NextAction::Redirect { url });
        }
        let code = self.pix_display_qr_code?;
        let image_url = code.image_url_png.filter(|url| is_page(url)).unwrap_or_default();
        Some(NextAction::Pix { copy_paste: code.data?, image_url, expires_at: code.expires_at? })
    }
}

fn is_page(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    id: String,
    status: Option<String>,
    amount: i64,
    metadata: Option<HashMap<String, String>>,
}

impl Refund {
    pub(super) fn read(self) -> ProviderRefund {
        let status = match self.status.as_deref() {
            Some("succeeded") => RefundStatus::Succeeded,
            Some("failed" | "canceled") => RefundStatus::Failed,
            _ => RefundStatus::Pending,
        };
        let of = of(&self.metadata.unwrap_or_default());
        ProviderRefund { reference: self.id, status, amount: self.amount, of }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) error: Refusal,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) payment_intent: Option<PaymentIntent>,
}

fn of(metadata: &HashMap<String, String>) -> Of {
    let text = |name: &str| metadata.get(name).map(String::as_str);
    Of {
        order_id: text("order_id").and_then(|text| text.parse().ok()),
        payment_id: text("payment_id").and_then(|text| text.parse().ok()),
        attempt: text("attempt").and_then(|text| text.parse().ok()),
        refund_id: text("refund_id").and_then(|text| text.parse().ok()),
    }
}

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Value,
}

/// Reads an event; `None` when it is none.
pub(in crate::payments) fn event(body: &[u8]) -> Option<ProviderEvent> {
    let event: Event = serde_json::from_slice(body).ok()?;
    let named = |name: &str| !name.is_empty() && name.len() <= NAME_MAX && !name.contains('\0');
    if !named(&event.id) || !named(&event.kind) {
        return None;
    }
    let object = &event.data.object;
    let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| named(text));
    let intent = if text("object") == Some("payment_intent") { text("id") } else { text("payment_intent") };
    let metadata = |name: &str| {
        let value = object.get("metadata").and_then(|metadata| metadata.get(name)).and_then(Value::as_str);
        value.filter(|value| value.len() <= METADATA_MAX && !value.contains('\0'))
    };
    let excerpt = json!({
        "object": text("object"),
        "id": text("id"),
        "status": text("status"),
        "amount": object.get("amount").and_then(Value::as_i64),
        "currency": text("currency"),
        "order_id": metadata("order_id"),
        "payment_id": metadata("payment_id").and_then(|id| id.parse::<Uuid>().ok()),
        "attempt": metadata("attempt"),
        "refund_id": metadata("refund_id"),
    });
    Some(ProviderEvent { intent: intent.map(str::to_owned), excerpt, id: event.id, kind: event.kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_nothing_about_the_buyer() {
        let body =
            br#"{"id":"evt_1","type":"charge.refunded","data":{"object":{"object":"charge","id":"ch_1",
            "payment_intent":"pi_1","amount":100,"currency":"brl","metadata":{"order_id":"17"},
            "billing_details":{"email":"ana@example.com"}}}}"#;
        let event = event(body).expect("an event");
        assert_eq!(event.intent.as_deref(), Some("pi_1"));
        assert_eq!(event.excerpt["order_id"], "17");
        assert!(!event.excerpt.to_string().contains("example.com"));
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        for body in ["", "[]", "{}", r#"{"id":"","type":"x","data":{"object":{}}}"#, "\u{0}"] {
            assert_eq!(event(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_browser_is_sent_to_pages_only() {
        #[track_caller]
        fn check(url: &str, sent: bool) {
            let action = json!({ "redirect_to_url": { "url": url } });
            let action: Action = serde_json::from_value(action).expect("an action");
            assert_eq!(action.read().is_some(), sent, "{url}");
        }
        check("https://bank.example/3ds", true);
        check("javascript:alert(1)", false);
    }
}
