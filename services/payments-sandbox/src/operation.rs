//! The calls that change something: what they are asked with, and what they do.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::chance::Luck;
use crate::error::Refusal;
use crate::form::Form;
use crate::intent::{Act, Capture, Intent, Method, RefundRequest, Status, new_id};
use crate::token::{Answering, Token};
use crate::world::World;

/// Eight digits, as there.
const AMOUNT_MAX: i64 = 99_999_999;
/// The least that may be charged in reais.
const AMOUNT_MIN: i64 = 50;
const PIX_EXPIRES_DEFAULT_S: i64 = 86_400;
const PIX_EXPIRES_S: std::ops::RangeInclusive<i64> = 10..=1_209_600;
const TEXT_MAX: usize = 1000;
const URL_MAX: usize = 2048;
const CANCELLATION_REASONS: [&str; 4] = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
const REFUND_REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

/// One call, its parameters checked.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    kind: Kind,
    expands_charge: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Create(Box<NewIntent>),
    Confirm { id: String, payment_method: Option<String>, return_url: Option<String> },
    Capture { id: String, amount: Option<i64> },
    Cancel { id: String, reason: Option<String> },
    Refund { of: RefundOf, amount: Option<i64>, reason: Option<String>, metadata: BTreeMap<String, String> },
}

#[derive(Clone, Debug)]
struct NewIntent {
    amount: i64,
    currency: String,
    method: Method,
    capture: Capture,
    payment_method: Option<String>,
    description: Option<String>,
    return_url: Option<String>,
    metadata: BTreeMap<String, String>,
    pix_expires_after_s: i64,
    confirm: bool,
}

#[derive(Clone, Debug)]
enum RefundOf {
    Intent(String),
    Charge(String),
}

impl Operation {
    /// `POST /v1/payment_intents`.
    pub(crate) fn create(form: &Form) -> Result<Self, Refusal> {
        form.only(&[
            "amount",
            "capture_method",
            "confirm",
            "confirmation_method",
            "currency",
            "description",
            "metadata",
            "payment_method",
            "payment_method_data",
            "payment_method_options",
            "payment_method_types",
            "return_url",
            "statement_descriptor",
            "statement_descriptor_suffix",
        ])?;
        let amount = amount(form, "amount")?.ok_or_else(|| Refusal::missing("amount"))?;
        let currency = form.get("currency").ok_or_else(|| Refusal::missing("currency"))?.to_ascii_lowercase();
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Refusal::parameter(
                "currency",
                "parameter_invalid",
                format!("Invalid currency: {currency}."),
            ));
        }
        if currency == "brl" && amount < AMOUNT_MIN {
            return Err(Refusal::parameter(
                "amount",
                "amount_too_small",
                "Amount must be at least R$0.50 brl",
            ));
        }
        let method = method(form)?;
        let capture = match form.get("capture_method") {
            None | Some("automatic" | "automatic_async") => Capture::Automatic,
            Some("manual") => Capture::Manual,
            Some(other) => return Err(unknown_word("capture_method", other)),
        };
        if method == Method::Pix {
            if capture == Capture::Manual {
                return Err(Refusal::parameter(
                    "capture_method",
                    "parameter_invalid",
                    "The payment method type pix does not support capture_method manual.",
                ));
            }
            if currency != "brl" {
                return Err(Refusal::parameter(
                    "currency",
                    "parameter_invalid",
                    "pix payments are in brl only.",
                ));
            }
        }
        let confirm = form.boolean("confirm")?;
        let payment_method = payment_method(form)?;
        if confirm && method == Method::Card && payment_method.is_none() {
            return Err(Refusal::parameter(
                "payment_method",
                "payment_intent_unexpected_state",
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
            ));
        }
        let expires = form.integer("payment_method_options[pix][expires_after_seconds]")?;
        let pix_expires_after_s = expires.unwrap_or(PIX_EXPIRES_DEFAULT_S);
        if !PIX_EXPIRES_S.contains(&pix_expires_after_s) {
            return Err(Refusal::parameter(
                "payment_method_options[pix][expires_after_seconds]",
                "parameter_invalid_integer",
                "expires_after_seconds is from 10 to 1209600.",
            ));
        }
        let new = NewIntent {
            amount,
            currency,
            method,
            capture,
            payment_method,
            description: text(form, "description", TEXT_MAX)?,
            return_url: return_url(form)?,
            metadata: form.metadata()?,
            pix_expires_after_s,
            confirm,
        };
        Ok(Self::new(Kind::Create(Box::new(new)), form))
    }

    /// `POST /v1/payment_intents/{id}/confirm`.
    pub(crate) fn confirm(id: &str, form: &Form) -> Result<Self, Refusal> {
        form.only(&["payment_method", "payment_method_data", "payment_method_options", "return_url"])?;
        let (payment_method, return_url) = (payment_method(form)?, return_url(form)?);
        Ok(Self::new(Kind::Confirm { id: id.to_owned(), payment_method, return_url }, form))
    }

    /// `POST /v1/payment_intents/{id}/capture`.
    pub(crate) fn capture(id: &str, form: &Form) -> Result<Self, Refusal> {
        form.only(&["amount_to_capture", "final_capture", "metadata"])?;
        let amount = amount(form, "amount_to_capture")?;
        Ok(Self::new(Kind::Capture { id: id.to_owned(), amount }, form))
    }

    /// `POST /v1/payment_intents/{id}/cancel`.
    pub(crate) fn cancel(id: &str, form: &Form) -> Result<Self, Refusal> {
        form.only(&["cancellation_reason"])?;
        let reason = word(form, "cancellation_reason", &CANCELLATION_REASONS)?;
        Ok(Self::new(Kind::Cancel { id: id.to_owned(), reason }, form))
    }

    /// `POST /v1/refunds`.
    pub(crate) fn refund(form: &Form) -> Result<Self, Refusal> {
        form.only(&["amount", "charge", "metadata", "payment_intent", "reason"])?;
        let of = match (form.get("payment_intent"), form.get("charge")) {
            (Some(intent), _) => RefundOf::Intent(intent.to_owned()),
            (None, Some(charge)) => RefundOf::Charge(charge.to_owned()),
            (None, None) => return Err(Refusal::missing("payment_intent")),
        };
        let kind = Kind::Refund {
            of,
            amount: amount(form, "amount")?,
            reason: word(form, "reason", &REFUND_REASONS)?,
            metadata: form.metadata()?,
        };
        Ok(Self::new(kind, form))
    }

    fn new(kind: Kind, form: &Form) -> Self {
        Self { kind, expands_charge: form.expands_charge() }
    }

    /// Its name, for its luck.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Create(_) => "create",
            Kind::Confirm { .. } => "confirm",
            Kind::Capture { .. } => "capture",
            Kind::Cancel { .. } => "cancel",
            Kind::Refund { .. } => "refund",
        }
    }

    /// What names it in every run when it has no key: the intent's own name.
    pub(crate) fn subject<'a>(&'a self, world: &'a World) -> &'a str {
        let id = match &self.kind {
            Kind::Create(new) => return new.metadata.get("order_id").map_or("", String::as_str),
            Kind::Confirm { id, .. } | Kind::Capture { id, .. } | Kind::Cancel { id, .. } => id,
            Kind::Refund { of: RefundOf::Intent(id) | RefundOf::Charge(id), .. } => id,
        };
        world.intent(id).map_or(id, Intent::subject)
    }

    /// What its token says about how it is answered.
    pub(crate) fn token(&self) -> Option<Token> {
        match &self.kind {
            Kind::Create(new) if new.confirm => new.payment_method.as_deref().and_then(Token::parse),
            Kind::Confirm { payment_method, .. } => payment_method.as_deref().and_then(Token::parse),
            Kind::Create(_) | Kind::Capture { .. } | Kind::Cancel { .. } | Kind::Refund { .. } => None,
        }
    }

    /// How its answer gets lost by its token.
    pub(crate) fn answering(&self) -> Answering {
        self.token().map_or(Answering::Truth, |token| token.answer)
    }

    /// Does it, and says what it answers.
    pub(crate) fn perform(&self, world: &mut World, luck: &Luck, act: &Act<'_>) -> Result<Value, Refusal> {
        match &self.kind {
            Kind::Create(new) => {
                world.room()?;
                let mut intent = new.intent(world.next_serial(), act);
                let mut facts = vec![intent.created()];
                if new.confirm {
                    facts.extend(intent.confirm(luck.decline, act)?);
                }
                world.keep(intent.clone(), facts, act);
                self.answer(&intent, new.confirm)
            }
            Kind::Confirm { id, payment_method, return_url } => {
                let mut intent = existing(world, id)?;
                intent.payment_method = payment_method.clone().or(intent.payment_method);
                intent.return_url = return_url.clone().or(intent.return_url);
                let facts = intent.confirm(luck.decline, act)?;
                world.keep(intent.clone(), facts, act);
                self.answer(&intent, true)
            }
            Kind::Capture { id, amount } => {
                let mut intent = existing(world, id)?;
                let facts = intent.capture(*amount, act)?;
                world.keep(intent.clone(), facts, act);
                self.answer(&intent, false)
            }
            Kind::Cancel { id, reason } => {
                let mut intent = existing(world, id)?;
                let facts = intent.cancel(reason.clone(), act)?;
                world.keep(intent.clone(), facts, act);
                self.answer(&intent, false)
            }
            Kind::Refund { of, amount, reason, metadata } => {
                let mut intent = match of {
                    RefundOf::Intent(id) => existing(world, id)?,
                    RefundOf::Charge(id) => {
                        let found = world.intent_of_charge(id).cloned();
                        found.ok_or_else(|| Refusal::no_such("charge", "charge", id))?
                    }
                };
                let refusal = world.knobs.refund_refusal.as_str();
                if !refusal.is_empty() {
                    let message = "The refund cannot be made now.";
                    return Err(Refusal::unexpected_state(refusal, message, intent.json()));
                }
                let pending_ms = i64::try_from(world.knobs.refund_pending_ms).unwrap_or(i64::MAX);
                let settles_at_ms = (pending_ms > 0).then(|| act.now_ms.saturating_add(pending_ms));
                let request = RefundRequest {
                    amount: *amount,
                    reason: reason.clone(),
                    metadata: metadata.clone(),
                    settles_at_ms,
                };
                let (refund, facts) = intent.refund(world.next_serial(), request, act)?;
                let answer = refund.json(&intent);
                world.keep(intent, facts, act);
                Ok(answer)
            }
        }
    }

    /// The intent, or the decline that a confirmation ended with.
    fn answer(&self, intent: &Intent, confirmed: bool) -> Result<Value, Refusal> {
        let json = if self.expands_charge { intent.expanded_json() } else { intent.json() };
        match &intent.last_error {
            Some(error) if confirmed && intent.status == Status::RequiresPaymentMethod => {
                Err(Refusal::card(error, json))
            }
            _ => Ok(json),
        }
    }
}

impl NewIntent {
    fn intent(&self, serial: u64, act: &Act<'_>) -> Intent {
        let id = new_id("pi");
        let waits = if self.payment_method.is_some() || self.method == Method::Pix {
            Status::RequiresConfirmation
        } else {
            Status::RequiresPaymentMethod
        };
        Intent {
            serial,
            client_secret: format!("{id}_secret_{}", Uuid::now_v7().simple()),
            id,
            created: act.seconds(),
            provider_key: act.key.map(str::to_owned),
            amount: self.amount,
            currency: self.currency.clone(),
            method: self.method,
            capture: self.capture,
            payment_method: self.payment_method.clone(),
            description: self.description.clone(),
            return_url: self.return_url.clone(),
            metadata: self.metadata.clone(),
            pix_expires_after_s: self.pix_expires_after_s,
            status: waits,
            next_action: None,
            last_error: None,
            canceled_at: None,
            cancellation_reason: None,
            charges: Vec::new(),
            refunds: Vec::new(),
            due_ms: None,
        }
    }
}

fn existing(world: &World, id: &str) -> Result<Intent, Refusal> {
    world.intent(id).cloned().ok_or_else(|| Refusal::no_such("payment_intent", "intent", id))
}

fn amount(form: &Form, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(amount) = form.integer(name)? else { return Ok(None) };
    match amount {
        ..=0 => Err(Refusal::parameter(
            name,
            "parameter_invalid_integer",
            "This value must be greater than or equal to 1.",
        )),
        1..=AMOUNT_MAX => Ok(Some(amount)),
        _ => Err(Refusal::parameter(name, "amount_too_large", "Amount must be no more than 999999.99")),
    }
}

fn method(form: &Form) -> Result<Method, Refusal> {
    let mut types = form.list("payment_method_types");
    types.extend(form.get("payment_method_data[type]").map(str::to_owned));
    types.dedup();
    match types.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["card"] => Ok(Method::Card),
        ["pix"] => Ok(Method::Pix),
        _ => Err(Refusal::parameter(
            "payment_method_types",
            "parameter_invalid",
            "This sandbox takes one payment method type at a time: card or pix.",
        )),
    }
}

fn payment_method(form: &Form) -> Result<Option<String>, Refusal> {
    let Some(id) = form.get("payment_method") else { return Ok(None) };
    match Token::parse(id) {
        Some(_) => Ok(Some(id.to_owned())),
        // 400 there, unlike other things that do not exist; and never repeated: it may be a card's number.
        None => Err(Refusal::parameter("payment_method", "resource_missing", "No such PaymentMethod.")),
    }
}

fn return_url(form: &Form) -> Result<Option<String>, Refusal> {
    let Some(url) = text(form, "return_url", URL_MAX)? else { return Ok(None) };
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    if is_web && http::Uri::try_from(&url).is_ok() {
        return Ok(Some(url));
    }
    Err(Refusal::parameter("return_url", "url_invalid", "Not a valid URL"))
}

fn text(form: &Form, name: &str, max: usize) -> Result<Option<String>, Refusal> {
    match form.get(name) {
        Some(text) if text.chars().count() > max => Err(Refusal::parameter(
            name,
            "parameter_invalid",
            format!("{name} can have up to {max} characters."),
        )),
        other => Ok(other.map(str::to_owned)),
    }
}

fn word(form: &Form, name: &str, words: &[&str]) -> Result<Option<String>, Refusal> {
    match form.get(name) {
        Some(word) if !words.contains(&word) => Err(unknown_word(name, word)),
        other => Ok(other.map(str::to_owned)),
    }
}

fn unknown_word(name: &str, word: &str) -> Refusal {
    Refusal::parameter(name, "parameter_invalid", format!("Invalid {name}: {word}."))
}
