//! What the shop refuses because of how things stand: stock, prices, an order's state, another request.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use prost::Message as _;
use proto::orders::v1 as orders;
use tonic::metadata::MetadataMap;

use super::Text;

/// Why something cannot be done now, or not again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Something has changed in between.
    Conflict,
    /// A price or the total is another than the one that was seen.
    PriceChanged,
    /// There is not so much left.
    OutOfStock,
    /// Some of it is not sold any more.
    Unavailable,
    /// The cart is being ordered.
    CartLocked,
    /// The cart holds as many lines as a cart may.
    CartFull,
    /// The reservation or the quote is too old.
    CheckoutExpired,
    /// The coupon was used up.
    CouponExhausted,
    /// No such step leads on from the order's state.
    IllegalTransition,
    /// Another payment of the order is under way.
    PaymentInFlight,
    /// So many orders of one buyer may wait for payment.
    TooManyUnpaidOrders,
    /// So many streams may be open.
    TooManyStreams,
    /// A request with the same idempotency key is under way.
    IdempotencyInFlight,
    /// The idempotency key belongs to another request.
    IdempotencyKeyReused,
    /// It was done, and the answer was too long to be kept.
    IdempotencyReplyNotKept,
}

impl Refusal {
    const ALL: [Self; 15] = [
        Self::Conflict,
        Self::PriceChanged,
        Self::OutOfStock,
        Self::Unavailable,
        Self::CartLocked,
        Self::CartFull,
        Self::CheckoutExpired,
        Self::CouponExhausted,
        Self::IllegalTransition,
        Self::PaymentInFlight,
        Self::TooManyUnpaidOrders,
        Self::TooManyStreams,
        Self::IdempotencyInFlight,
        Self::IdempotencyKeyReused,
        Self::IdempotencyReplyNotKept,
    ];

    /// The one whose code a service gives as its reason.
    pub(crate) fn of(reason: &str) -> Option<Self> {
        match reason {
            // Clients do the same about all of these: look again.
            "stock_conflict" | "cart_conflict" | "coupon_taken" | "tracking_taken" => Some(Self::Conflict),
            _ => Self::ALL.into_iter().find(|refusal| refusal.kind().1 == reason),
        }
    }

    pub(super) const fn kind(self) -> (StatusCode, &'static str) {
        match self {
            Self::Conflict => (StatusCode::CONFLICT, "conflict"),
            Self::PriceChanged => (StatusCode::CONFLICT, "price_changed"),
            Self::OutOfStock => (StatusCode::CONFLICT, "out_of_stock"),
            Self::Unavailable => (StatusCode::CONFLICT, "unavailable"),
            Self::CartLocked => (StatusCode::CONFLICT, "cart_locked"),
            Self::CartFull => (StatusCode::CONFLICT, "cart_full"),
            Self::CheckoutExpired => (StatusCode::CONFLICT, "checkout_expired"),
            Self::CouponExhausted => (StatusCode::CONFLICT, "coupon_exhausted"),
            Self::IllegalTransition => (StatusCode::CONFLICT, "illegal_transition"),
            Self::PaymentInFlight => (StatusCode::CONFLICT, "payment_in_flight"),
            Self::TooManyUnpaidOrders => (StatusCode::TOO_MANY_REQUESTS, "too_many_unpaid_orders"),
            Self::TooManyStreams => (StatusCode::TOO_MANY_REQUESTS, "too_many_streams"),
            Self::IdempotencyInFlight => (StatusCode::CONFLICT, "idempotency_in_flight"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::IdempotencyReplyNotKept => (StatusCode::CONFLICT, "idempotency_reply_not_kept"),
        }
    }

    /// Seconds until the same request may be answered, where that is known.
    pub(crate) const fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::IdempotencyInFlight => Some(1),
            _ => None,
        }
    }

    /// Title and detail.
    pub(crate) const fn texts(self) -> (Text, Text) {
        const fn both(
            title: (&'static str, &'static str),
            detail: (&'static str, &'static str),
        ) -> (Text, Text) {
            (Text::fixed(title.0, title.1), Text::fixed(detail.0, detail.1))
        }
        match self {
            Self::Conflict => both(
                ("Conflito", "Conflict"),
                (
                    "algo mudou nesse meio-tempo; leia de novo",
                    "something has changed meanwhile; read it again",
                ),
            ),
            Self::PriceChanged => both(
                ("Preço alterado", "Price changed"),
                ("o preço não é mais o que foi visto", "the price is no longer the one that was seen"),
            ),
            Self::OutOfStock => both(
                ("Sem estoque", "Out of stock"),
                ("não há tanto quanto foi pedido", "there is not as much as was asked for"),
            ),
            Self::CartLocked => both(
                ("Carrinho bloqueado", "Cart locked"),
                ("o carrinho está sendo fechado em outro pedido", "the cart is being checked out elsewhere"),
            ),
            Self::CartFull => both(
                ("Carrinho cheio", "Cart full"),
                ("um carrinho tem até 50 linhas", "a cart has up to 50 lines"),
            ),
            Self::Unavailable => both(
                ("Indisponível", "Unavailable"),
                ("algo do carrinho não está mais à venda", "something in the cart is no longer for sale"),
            ),
            Self::CheckoutExpired => both(
                ("Compra expirada", "Checkout expired"),
                (
                    "a reserva ou a cotação expirou; comece de novo",
                    "the reservation or quote has expired; begin again",
                ),
            ),
            Self::CouponExhausted => both(
                ("Cupom esgotado", "Coupon exhausted"),
                ("este cupom não pode mais ser usado", "this coupon cannot be used any more"),
            ),
            Self::IllegalTransition => both(
                ("Passo impossível", "Illegal transition"),
                ("o estado atual não permite este passo", "the current state does not allow this step"),
            ),
            Self::PaymentInFlight => both(
                ("Pagamento em andamento", "Payment in flight"),
                (
                    "outro pagamento deste pedido está em andamento",
                    "another payment of this order is under way",
                ),
            ),
            Self::TooManyUnpaidOrders => both(
                ("Pedidos demais sem pagamento", "Too many unpaid orders"),
                ("pague ou cancele um dos pedidos abertos", "pay or cancel one of the open orders"),
            ),
            Self::TooManyStreams => both(
                ("Conexões demais", "Too many streams"),
                ("feche uma das conexões abertas", "close one of the streams that are open"),
            ),
            Self::IdempotencyReplyNotKept => both(
                ("Resposta não guardada", "Answer not kept"),
                (
                    "foi feito, mas a resposta era longa demais para ser guardada; leia o resultado",
                    "it was done, but the answer was too long to be kept; read what came of it",
                ),
            ),
            Self::IdempotencyInFlight => both(
                ("Requisição em andamento", "Request in flight"),
                (
                    "uma requisição com esta Idempotency-Key ainda está em andamento",
                    "a request with this Idempotency-Key is still under way",
                ),
            ),
            Self::IdempotencyKeyReused => both(
                ("Idempotency-Key reutilizada", "Idempotency-Key reused"),
                (
                    "esta Idempotency-Key pertence a uma requisição diferente",
                    "this Idempotency-Key belongs to a different request",
                ),
            ),
        }
    }
}

/// One line that is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    /// Machine-readable: `out_of_stock`, `price_changed`, `unavailable`.
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: Text,
    /// How many are left, when that is what is wrong.
    pub available: Option<i64>,
    /// The price now in centavos, when that is what is wrong.
    pub unit_amount: Option<i64>,
}

/// Lines to blame, in the metadata of a gRPC status.
const LINES: &str = "mc-lines-bin";

/// The lines that a service blames; none when it blames none.
pub(super) fn lines(metadata: &MetadataMap) -> Vec<LineError> {
    let Some(bytes) = metadata.get_bin(LINES).and_then(|value| value.to_bytes().ok()) else {
        return Vec::new();
    };
    match orders::LineProblems::decode(bytes) {
        Ok(problems) => problems.lines.iter().map(LineError::of).collect(),
        Err(error) => {
            tracing::error!(%error, "a service blames lines that cannot be read");
            Vec::new()
        }
    }
}

impl LineError {
    fn of(problem: &orders::LineProblem) -> Self {
        let (code, detail) = match problem.code.as_str() {
            "out_of_stock" => (
                Cow::Borrowed("out_of_stock"),
                Text {
                    pt: format!("restam {}", problem.available).into(),
                    en: format!("{} left", problem.available).into(),
                },
            ),
            "price_changed" => {
                let now = crate::views::formatted(problem.unit_amount, "BRL");
                (
                    Cow::Borrowed("price_changed"),
                    Text { pt: format!("agora custa {now}").into(), en: format!("costs {now} now").into() },
                )
            }
            "unavailable" => {
                (Cow::Borrowed("unavailable"), Text::fixed("não está mais à venda", "is no longer for sale"))
            }
            other => (
                Cow::Owned(other.chars().take(64).collect()),
                Text::fixed("não pode ser aceito", "cannot be accepted"),
            ),
        };
        let is = |name: &str| problem.code == name;
        Self {
            // A service that does not know which line it is blames the list.
            pointer: match problem.index {
                index @ 0.. => format!("/items/{index}/quantity"),
                _ => "/items".to_owned(),
            },
            code,
            detail,
            available: (is("out_of_stock") || is("stock_changed")).then_some(problem.available),
            unit_amount: is("price_changed").then_some(problem.unit_amount),
        }
    }
}
