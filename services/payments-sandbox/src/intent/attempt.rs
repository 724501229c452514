//! What may happen to an intent, and what each step leaves behind.

use std::time::Duration;

use super::{Act, Capture, Charge, ChargeState, Fact, Intent, Method, NextAction, Status, new_id};
use crate::error::{PaymentError, Refusal};
use crate::pix;
use crate::token::{Card, Decline, Token};

/// More attempts on one intent than that make no sense.
const CHARGES_MAX: usize = 50;

/// The code and the words of an authentication that did not succeed.
const NOT_AUTHENTICATED: Decline = Decline {
    code: "payment_intent_authentication_failure",
    decline_code: None,
    message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new \
              PaymentMethod to attempt to fulfill this PaymentIntent again.",
};

/// The same of a Pix that nobody paid in time.
const EXPIRED: Decline = Decline {
    code: "payment_intent_payment_attempt_expired",
    decline_code: None,
    message: "The latest payment attempt of this PaymentIntent has expired. You can provide payment_method_data or \
              a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
};

impl Intent {
    /// Tries to pay. A decline is part of `Ok`: the intent stays, with its error.
    pub(crate) fn confirm(&mut self, decline: Option<Decline>, act: &Act<'_>) -> Result<Vec<Fact>, Refusal> {
        match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {}
            Status::Processing | Status::RequiresCapture | Status::Succeeded | Status::Canceled => {
                return Err(self.unexpected("confirmed"));
            }
        }
        if self.charges.len() == CHARGES_MAX {
            return Err(Refusal::too_many());
        }
        self.next_action = None;
        self.due_ms = None;
        self.last_error = None;
        if self.method == Method::Pix {
            return Ok(self.show_pix(act));
        }
        let card = self.payment_method.as_deref().and_then(Token::parse).map(|token| token.card);
        Ok(match card {
            None => return Err(self.unexpected("confirmed, because it is missing a payment method")),
            Some(Card::Approves) => match decline {
                Some(decline) => self.decline(decline, act),
                None => self.authorize(act),
            },
            Some(Card::Declines(decline)) => self.decline(decline, act),
            Some(Card::Authenticates) => {
                let url = format!("{}/__sandbox/3ds/{}", act.public_url, self.id);
                self.next_action = Some(NextAction::Redirect { url });
                self.status = Status::RequiresAction;
                vec![self.fact("payment_intent.requires_action")]
            }
            Some(Card::Processes(wait)) => {
                self.status = Status::Processing;
                self.due_ms = Some(later(act.now_ms, wait));
                vec![self.fact("payment_intent.processing")]
            }
        })
    }

    /// The bank has seen the holder.
    pub(crate) fn authenticated(&mut self, act: &Act<'_>) -> Result<Vec<Fact>, Refusal> {
        self.waits_for_holder()?;
        self.next_action = None;
        Ok(self.authorize(act))
    }

    /// The bank has not.
    pub(crate) fn not_authenticated(&mut self) -> Result<Vec<Fact>, Refusal> {
        self.waits_for_holder()?;
        Ok(self.fail(NOT_AUTHENTICATED, None))
    }

    /// Somebody paid the Pix. Also when it has expired or was cancelled: banks are late, and the money is there.
    pub(crate) fn pix_paid(&mut self, act: &Act<'_>) -> Result<Vec<Fact>, Refusal> {
        if self.method != Method::Pix || self.status == Status::Succeeded {
            return Err(self.unexpected("paid by Pix"));
        }
        self.next_action = None;
        self.due_ms = None;
        self.last_error = None;
        self.canceled_at = None;
        self.cancellation_reason = None;
        Ok(self.authorize(act))
    }

    /// Nobody paid the Pix in time.
    pub(crate) fn pix_expired(&mut self) -> Result<Vec<Fact>, Refusal> {
        if self.method != Method::Pix || self.status != Status::RequiresAction {
            return Err(self.unexpected("expired"));
        }
        Ok(self.fail(EXPIRED, None))
    }

    /// What was due by itself: a Pix expires, a card that was thought about is approved, refunds arrive.
    pub(crate) fn came_due(&mut self, act: &Act<'_>) -> Vec<Fact> {
        self.due_ms = None;
        match (self.status, &self.next_action) {
            (Status::RequiresAction, Some(NextAction::Pix { .. })) => self.fail(EXPIRED, None),
            (Status::Processing, _) => self.authorize(act),
            _ => self.settle_refunds(),
        }
    }

    /// Takes what was authorised, or part of it; the rest is released.
    pub(crate) fn capture(&mut self, amount: Option<i64>, act: &Act<'_>) -> Result<Vec<Fact>, Refusal> {
        if self.status != Status::RequiresCapture {
            return Err(self.unexpected("captured"));
        }
        let authorized = self.amount_capturable();
        let amount = amount.unwrap_or(authorized);
        if amount > authorized {
            return Err(Refusal::unexpected_state(
                "amount_too_large",
                format!(
                    "The amount to capture ({amount}) is greater than the amount authorized ({authorized})."
                ),
                self.json(),
            ));
        }
        Ok(self.take(amount, act))
    }

    /// Gives up; what was authorised is released.
    pub(crate) fn cancel(&mut self, reason: Option<String>, act: &Act<'_>) -> Result<Vec<Fact>, Refusal> {
        match self.status {
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::Processing
            | Status::RequiresCapture => {}
            Status::Succeeded | Status::Canceled => return Err(self.unexpected("canceled")),
        }
        self.status = Status::Canceled;
        self.next_action = None;
        self.due_ms = None;
        self.canceled_at = Some(act.seconds());
        self.cancellation_reason = reason;
        let mut facts = Vec::new();
        if let Some(charge) = self.charges.last_mut().filter(|charge| charge.state == ChargeState::Authorized)
        {
            charge.state = ChargeState::Released;
            let charge = charge.clone();
            facts.push(self.charge_fact("charge.refunded", &charge));
        }
        facts.push(self.fact("payment_intent.canceled"));
        Ok(facts)
    }

    /// The holder disputes the charge, or that has ended.
    pub(crate) fn disputed(&mut self, disputed: Disputed, act: &Act<'_>) -> Result<Vec<Fact>, Refusal> {
        let (kind, status, open) = match disputed {
            Disputed::Opened => ("charge.dispute.created", "needs_response", true),
            Disputed::Lost => ("charge.dispute.closed", "lost", false),
            Disputed::Won => ("charge.dispute.closed", "won", false),
        };
        let charge = self.charges.iter_mut().rev().find(|charge| charge.state == ChargeState::Succeeded);
        let Some(charge) = charge.filter(|charge| charge.disputed != open) else {
            return Err(self.unexpected("disputed like that"));
        };
        charge.disputed = open;
        let object = serde_json::json!({
            "id": format!("dp_{}", charge.id.trim_start_matches("ch_")),
            "object": "dispute",
            "amount": charge.amount_captured,
            "charge": charge.id,
            "created": act.seconds(),
            "currency": self.currency,
            "livemode": false,
            "metadata": self.metadata,
            "payment_intent": self.id,
            "reason": "fraudulent",
            "status": status,
        });
        Ok(vec![Fact { kind, object }])
    }

    fn authorize(&mut self, act: &Act<'_>) -> Vec<Fact> {
        let charge = Charge { state: ChargeState::Authorized, ..self.new_charge(act) };
        self.charges.push(charge.clone());
        match self.capture {
            Capture::Automatic => {
                let mut facts = self.take(self.amount, act);
                facts.retain(|fact| fact.kind != "charge.captured");
                if let Some(charge) = self.charges.last() {
                    facts.insert(0, self.charge_fact("charge.succeeded", charge));
                }
                facts
            }
            Capture::Manual => {
                self.status = Status::RequiresCapture;
                vec![
                    self.charge_fact("charge.succeeded", &charge),
                    self.fact("payment_intent.amount_capturable_updated"),
                ]
            }
        }
    }

    fn take(&mut self, amount: i64, act: &Act<'_>) -> Vec<Fact> {
        self.status = Status::Succeeded;
        let charge = self.charges.last_mut().expect("what is taken was authorised just now or earlier");
        charge.state = ChargeState::Succeeded;
        charge.amount_captured = amount;
        charge.captured_at = Some(act.seconds());
        charge.capture_key = act.key();
        let charge = charge.clone();
        vec![self.charge_fact("charge.captured", &charge), self.fact("payment_intent.succeeded")]
    }

    fn decline(&mut self, decline: Decline, act: &Act<'_>) -> Vec<Fact> {
        let charge = Charge {
            failure_code: Some(decline.code.to_owned()),
            failure_message: Some(decline.message.to_owned()),
            ..self.new_charge(act)
        };
        self.charges.push(charge.clone());
        let mut facts = vec![self.charge_fact("charge.failed", &charge)];
        facts.extend(self.fail(decline, Some(charge.id)));
        facts
    }

    fn fail(&mut self, decline: Decline, charge: Option<String>) -> Vec<Fact> {
        self.next_action = None;
        self.due_ms = None;
        self.status = Status::RequiresPaymentMethod;
        self.last_error = Some(PaymentError {
            code: decline.code.to_owned(),
            decline_code: decline.decline_code.map(str::to_owned),
            message: decline.message.to_owned(),
            charge,
            // What failed has to be given again.
            payment_method: self.payment_method.take(),
        });
        vec![self.fact("payment_intent.payment_failed")]
    }

    fn show_pix(&mut self, act: &Act<'_>) -> Vec<Fact> {
        let wait = Duration::from_secs(self.pix_expires_after_s.unsigned_abs());
        let due_ms = later(act.now_ms, wait);
        let location = format!("pix.sandbox.mestres/qr/v2/{}", self.id.trim_start_matches("pi_"));
        self.next_action = Some(NextAction::Pix {
            data: pix::copy_and_paste(&location, self.amount),
            expires_at: due_ms.div_euclid(1000),
            page: format!("{}/__sandbox/pix/{}", act.public_url, self.id),
        });
        self.due_ms = Some(due_ms);
        self.status = Status::RequiresAction;
        vec![self.fact("payment_intent.requires_action")]
    }

    fn waits_for_holder(&self) -> Result<(), Refusal> {
        match (self.status, &self.next_action) {
            (Status::RequiresAction, Some(NextAction::Redirect { .. })) => Ok(()),
            _ => Err(self.unexpected("authenticated")),
        }
    }

    fn new_charge(&self, act: &Act<'_>) -> Charge {
        Charge {
            id: new_id("ch"),
            created: act.seconds(),
            amount: self.amount,
            amount_captured: 0,
            state: ChargeState::Failed,
            failure_code: None,
            failure_message: None,
            provider_key: act.key().or_else(|| self.provider_key.clone()),
            capture_key: None,
            captured_at: None,
            disputed: false,
        }
    }

    fn unexpected(&self, done: &str) -> Refusal {
        Refusal::unexpected_state(
            "payment_intent_unexpected_state",
            format!(
                "This PaymentIntent could not be {done} because it has a status of {}.",
                self.status.as_str()
            ),
            self.json(),
        )
    }
}

/// What becomes of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disputed {
    Opened,
    Lost,
    Won,
}

fn later(now_ms: i64, wait: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
