//! Payment methods that decide what becomes of a payment: the provider's test cards, and some of ours.

use std::time::Duration;

/// What a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) card: Card,
    /// How much longer the request takes.
    pub(crate) slow: Duration,
    pub(crate) answer: Answering,
}

/// What the bank says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    Approves,
    Declines(Decline),
    /// Wants to see the holder: 3-D Secure.
    Authenticates,
    /// Says nothing for so long, then approves.
    Processes(Duration),
}

/// What the caller hears once everything was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    Truth,
    Nothing,
    InternalError,
}

/// A refusal of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

const DECLINED: &str = "Your card was declined.";

const DECLINES: [Decline; 9] = [
    Decline { code: "card_declined", decline_code: Some("generic_decline"), message: DECLINED },
    Decline {
        code: "card_declined",
        decline_code: Some("insufficient_funds"),
        message: "Your card has insufficient funds.",
    },
    Decline { code: "card_declined", decline_code: Some("lost_card"), message: DECLINED },
    Decline { code: "card_declined", decline_code: Some("stolen_card"), message: DECLINED },
    Decline { code: "card_declined", decline_code: Some("fraudulent"), message: DECLINED },
    Decline { code: "card_declined", decline_code: Some("do_not_honor"), message: DECLINED },
    Decline { code: "expired_card", decline_code: None, message: "Your card has expired." },
    Decline { code: "incorrect_cvc", decline_code: None, message: "Your card's security code is incorrect." },
    Decline {
        code: "processing_error",
        decline_code: None,
        message: "An error occurred while processing your card. Try again in a little bit.",
    },
];

impl Decline {
    /// The refusal of that name: a decline code, or the code of those without one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        DECLINES.into_iter().find(|decline| decline.decline_code.unwrap_or(decline.code) == name)
    }
}

/// A longer wait than that could not be told from a hang.
const WAIT_MAX_MS: u64 = 60_000;

impl Token {
    /// What `payment_method` names, if anything.
    pub(crate) fn parse(payment_method: &str) -> Option<Self> {
        let name = payment_method.strip_prefix("pm_")?;
        let plain = Self { card: Card::Approves, slow: Duration::ZERO, answer: Answering::Truth };
        if let Some(wait) = name.strip_prefix("sandbox_slow_") {
            return Some(Self { slow: milliseconds(wait)?, ..plain });
        }
        if let Some(wait) = name.strip_prefix("sandbox_processing_") {
            return Some(Self { card: Card::Processes(milliseconds(wait)?), ..plain });
        }
        let declines = |name| {
            Decline::named(name).map(|decline| Self { card: Card::Declines(decline), ..plain.clone() })
        };
        match name {
            "card_visa" | "card_visa_debit" | "card_mastercard" | "card_amex" | "card_elo" | "card_br" => {
                Some(plain)
            }
            "card_chargeDeclined" | "card_visa_chargeDeclined" => declines("generic_decline"),
            "card_chargeDeclinedInsufficientFunds" | "card_visa_chargeDeclinedInsufficientFunds" => {
                declines("insufficient_funds")
            }
            "card_chargeDeclinedLostCard" | "card_visa_chargeDeclinedLostCard" => declines("lost_card"),
            "card_chargeDeclinedStolenCard" | "card_visa_chargeDeclinedStolenCard" => declines("stolen_card"),
            "card_chargeDeclinedFraudulent" | "card_radarBlock" => declines("fraudulent"),
            "card_chargeDeclinedExpiredCard" => declines("expired_card"),
            "card_chargeDeclinedIncorrectCvc" => declines("incorrect_cvc"),
            "card_chargeDeclinedProcessingError" => declines("processing_error"),
            "card_authenticationRequired" | "card_threeDSecure2Required" | "card_threeDSecureRequired" => {
                Some(Self { card: Card::Authenticates, ..plain })
            }
            "sandbox_timeout_after_charge" => Some(Self { answer: Answering::Nothing, ..plain }),
            "sandbox_500_after_charge" => Some(Self { answer: Answering::InternalError, ..plain }),
            _ => None,
        }
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    let wait = text.parse().ok().filter(|wait| *wait <= WAIT_MAX_MS)?;
    Some(Duration::from_millis(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_what_happens() {
        let card = |name| Token::parse(name).map(|token| token.card);
        assert_eq!(card("pm_card_visa"), Some(Card::Approves));
        assert_eq!(card("pm_card_authenticationRequired"), Some(Card::Authenticates));
        let Some(Card::Declines(decline)) = card("pm_card_chargeDeclinedInsufficientFunds") else {
            panic!("not declined")
        };
        assert_eq!((decline.code, decline.decline_code), ("card_declined", Some("insufficient_funds")));
        let slow = Token::parse("pm_sandbox_slow_250").expect("a token");
        assert_eq!(slow.slow, Duration::from_millis(250));
        let lost = Token::parse("pm_sandbox_timeout_after_charge").expect("a token");
        assert_eq!((lost.card, lost.answer), (Card::Approves, Answering::Nothing));
        for nobody in ["pm_card_unknown", "card_visa", "pm_sandbox_slow_", "pm_sandbox_slow_60001", ""] {
            assert_eq!(Token::parse(nobody), None, "{nobody}");
        }
    }
}
