//! Payments and refunds as the JSON of the API.

use proto::orders::v1 as orders;
use serde::Serialize;
use utoipa::ToSchema;

use super::Money;
use super::format::timestamp;

/// An attempt to pay an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Payment {
    pub id: String,
    pub order_id: i64,
    pub attempt: i32,
    /// `card` or `pix`.
    pub method: String,
    /// `created`, `processing`, `requires_action`, `requires_capture`, `succeeded`, `failed`, `canceled` or
    /// `unknown`: it is being found out.
    pub status: String,
    pub amount: Money,
    pub captured: Money,
    pub refunded: Money,
    pub failure_code: Option<String>,
    /// Whether another attempt with another card may succeed.
    pub retryable: bool,
    pub next_action: Option<NextAction>,
    pub created_at: String,
}

/// What the buyer has to do.
#[derive(Debug, Serialize, ToSchema)]
pub struct NextAction {
    /// `redirect` or `pix`.
    pub r#type: String,
    /// Where the buyer's bank asks, for `redirect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// An image of the code, for `pix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qr_code: Option<String>,
    /// The text behind the code, for `pix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_paste: Option<String>,
    pub expires_at: Option<String>,
}

/// Money that goes back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refund {
    pub id: String,
    pub payment_id: String,
    pub amount: Money,
    pub reason: String,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
}

impl Payment {
    pub(crate) fn of(payment: &orders::Payment) -> Self {
        let money = |amount| Money::of(amount, &payment.currency);
        Self {
            id: payment.id.clone(),
            order_id: payment.order_id,
            attempt: payment.attempt,
            method: payment.method.clone(),
            status: payment.status.clone(),
            amount: money(payment.amount),
            captured: money(payment.captured_amount),
            refunded: money(payment.refunded_amount),
            failure_code: payment.failure_code.clone(),
            retryable: payment.retryable,
            next_action: payment.next_action.as_ref().map(NextAction::of),
            created_at: timestamp(payment.created_at.as_ref()),
        }
    }
}

impl NextAction {
    fn of(action: &orders::NextAction) -> Self {
        let there = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            r#type: action.r#type.clone(),
            url: there(&action.redirect_url),
            qr_code: there(&action.pix_image_url),
            copy_paste: there(&action.pix_copy_paste),
            expires_at: action.expires_at.as_ref().map(|at| timestamp(Some(at))),
        }
    }
}

impl Refund {
    pub(crate) fn of(refund: &orders::Refund, currency: &str) -> Self {
        Self {
            id: refund.id.clone(),
            payment_id: refund.payment_id.clone(),
            amount: Money::of(refund.amount, currency),
            reason: refund.reason.clone(),
            status: refund.status.clone(),
        }
    }
}
