//! What buyers are told about their orders.

use super::locale::Locale;
use super::message::Words;
use super::money::formatted;

/// News of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderNews {
    pub(crate) order_id: i64,
    /// As people say it: `MC-2026-000123`.
    pub(crate) number: String,
    /// Minor units.
    pub(crate) total_amount: i64,
    /// Of it, what went back so far.
    pub(crate) refunded_amount: i64,
    pub(crate) currency: String,
    pub(crate) parcel: Option<Parcel>,
    pub(crate) happening: Happening,
}

/// Who carries it, and how to follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) carrier: String,
    pub(crate) tracking_code: String,
}

/// What became of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Placed,
    Paid,
    PaymentFailed,
    /// Some of it was.
    PartlyShipped,
    Shipped,
    Delivered,
    Cancelled,
    /// Some of it was.
    ItemsCancelled,
    Refunded,
    /// Some of it was.
    PartlyRefunded,
    Expired,
}

impl Happening {
    /// What a status means to the buyer; none when it is no news.
    pub(crate) fn of_status(status: &str) -> Option<Self> {
        match status {
            "paid" => Some(Self::Paid),
            "payment_failed" => Some(Self::PaymentFailed),
            "shipped" => Some(Self::Shipped),
            "delivered" => Some(Self::Delivered),
            "cancelled" => Some(Self::Cancelled),
            "refunded" => Some(Self::Refunded),
            "partially_refunded" => Some(Self::PartlyRefunded),
            "expired" => Some(Self::Expired),
            _ => None,
        }
    }

    /// What these changed columns mean to the buyer, the gravest first; none when they are no news.
    pub(crate) fn of_changes(changed: &[String]) -> Option<Self> {
        let any = |name: &str| changed.iter().any(|column| column.rsplit('.').next() == Some(name));
        // Items change without a parcel only by being cancelled; a parcel with the last of them is a step of its own.
        if any("shipments") {
            Some(Self::PartlyShipped)
        } else if any("cancelled") || any("items") {
            Some(Self::ItemsCancelled)
        } else if any("refunded_amount") {
            Some(Self::PartlyRefunded)
        } else {
            None
        }
    }
}

impl OrderNews {
    /// The template of the mail that says it.
    pub(crate) fn template(&self) -> &'static str {
        match self.happening {
            Happening::Placed => "order_placed",
            Happening::Paid => "order_paid",
            Happening::PaymentFailed => "payment_failed",
            Happening::PartlyShipped => "order_partly_shipped",
            Happening::Shipped => "order_shipped",
            Happening::Delivered => "order_delivered",
            Happening::Cancelled => "order_cancelled",
            Happening::ItemsCancelled => "order_items_cancelled",
            Happening::Refunded => "order_refunded",
            Happening::PartlyRefunded => "order_partially_refunded",
            Happening::Expired => "order_expired",
        }
    }

    /// What fills the blanks of that template, but the link.
    pub(crate) fn variables(&self, locale: Locale) -> Vec<(String, String)> {
        let variables = [
            ("number", self.number.clone()),
            ("total", self.total()),
            ("refunded", formatted(self.refunded_amount, &self.currency)),
            ("tracking", self.tracking(locale)),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// The words in `locale`.
    pub(crate) fn words(&self, locale: Locale) -> Words {
        let (number, total) = (&self.number, self.total());
        let refunded = formatted(self.refunded_amount, &self.currency);
        let (title, body) = match (self.happening, locale) {
            (Happening::Placed, Locale::PtBr) => (
                format!("Pedido {number} recebido"),
                format!("O total é {total}. Assim que o pagamento for confirmado, avisaremos."),
            ),
            (Happening::Placed, Locale::En) => (
                format!("Order {number} received"),
                format!("The total is {total}. We will tell you as soon as it is paid."),
            ),
            (Happening::Paid, Locale::PtBr) => (
                format!("Pedido {number} pago"),
                format!("Recebemos o pagamento de {total}. Já vamos preparar o seu café."),
            ),
            (Happening::Paid, Locale::En) => (
                format!("Order {number} paid"),
                format!("We received your payment of {total} and are getting your coffee ready."),
            ),
            (Happening::PaymentFailed, Locale::PtBr) => (
                format!("Pagamento do pedido {number} não aprovado"),
                format!("O pagamento de {total} não foi aprovado. Tente de novo, talvez de outra forma."),
            ),
            (Happening::PaymentFailed, Locale::En) => (
                format!("Payment for order {number} failed"),
                format!("The payment of {total} was not approved. Please try again, perhaps another way."),
            ),
            (Happening::PartlyShipped, Locale::PtBr) => (
                format!("Parte do pedido {number} enviada"),
                format!("Parte do seu pedido está a caminho; o resto vai depois. {}", self.tracking(locale)),
            ),
            (Happening::PartlyShipped, Locale::En) => (
                format!("Part of order {number} shipped"),
                format!("Part of your order is on its way; the rest will follow. {}", self.tracking(locale)),
            ),
            (Happening::Shipped, Locale::PtBr) => (
                format!("Pedido {number} enviado"),
                format!("O seu pedido está a caminho. {}", self.tracking(locale)),
            ),
            (Happening::Shipped, Locale::En) => (
                format!("Order {number} shipped"),
                format!("Your order is on its way. {}", self.tracking(locale)),
            ),
            (Happening::Delivered, Locale::PtBr) => {
                (format!("Pedido {number} entregue"), "O seu pedido foi entregue. Bom café!".to_owned())
            }
            (Happening::Delivered, Locale::En) => {
                (format!("Order {number} delivered"), "Your order was delivered. Enjoy!".to_owned())
            }
            (Happening::Cancelled, Locale::PtBr) => (
                format!("Pedido {number} cancelado"),
                format!("O pedido de {total} foi cancelado. O que foi pago será devolvido."),
            ),
            (Happening::Cancelled, Locale::En) => (
                format!("Order {number} cancelled"),
                format!("The order of {total} was cancelled. Whatever was paid will be refunded."),
            ),
            (Happening::ItemsCancelled, Locale::PtBr) => (
                format!("Itens do pedido {number} cancelados"),
                "Parte do pedido foi cancelada. O que foi pago por ela será devolvido.".to_owned(),
            ),
            (Happening::ItemsCancelled, Locale::En) => (
                format!("Items of order {number} cancelled"),
                "Part of the order was cancelled. What was paid for it will be refunded.".to_owned(),
            ),
            (Happening::Refunded, Locale::PtBr) => (
                format!("Pedido {number} reembolsado"),
                format!("Devolvemos {refunded}. O prazo para aparecer depende do seu banco."),
            ),
            (Happening::Refunded, Locale::En) => (
                format!("Order {number} refunded"),
                format!("We refunded {refunded}. When you see it depends on your bank."),
            ),
            (Happening::PartlyRefunded, Locale::PtBr) => (
                format!("Reembolso parcial do pedido {number}"),
                format!("De {total}, já devolvemos {refunded}. O prazo para aparecer depende do seu banco."),
            ),
            (Happening::PartlyRefunded, Locale::En) => (
                format!("Partial refund of order {number}"),
                format!("Of {total}, {refunded} has been refunded. When you see it depends on your bank."),
            ),
            (Happening::Expired, Locale::PtBr) => (
                format!("Pedido {number} expirado"),
                format!("O pagamento de {total} não chegou a tempo e o pedido foi encerrado."),
            ),
            (Happening::Expired, Locale::En) => (
                format!("Order {number} expired"),
                format!("The payment of {total} did not arrive in time, so the order was closed."),
            ),
        };
        Words { title, body, link: Some(format!("/orders/{}", self.order_id)) }
    }

    fn total(&self) -> String {
        formatted(self.total_amount, &self.currency)
    }

    /// A sentence, also when there is nothing to follow.
    fn tracking(&self, locale: Locale) -> String {
        match (&self.parcel, locale) {
            (Some(Parcel { carrier, tracking_code }), Locale::PtBr) => {
                format!("Código de rastreio ({carrier}): {tracking_code}.")
            }
            (Some(Parcel { carrier, tracking_code }), Locale::En) => {
                format!("Tracking code ({carrier}): {tracking_code}.")
            }
            (None, Locale::PtBr) => "Este envio não tem código de rastreio.".to_owned(),
            (None, Locale::En) => "This shipment has no tracking code.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::Letter;
    use super::*;

    const HAPPENINGS: [Happening; 11] = [
        Happening::Placed,
        Happening::Paid,
        Happening::PaymentFailed,
        Happening::PartlyShipped,
        Happening::Shipped,
        Happening::Delivered,
        Happening::Cancelled,
        Happening::ItemsCancelled,
        Happening::Refunded,
        Happening::PartlyRefunded,
        Happening::Expired,
    ];

    fn news(happening: Happening) -> OrderNews {
        OrderNews {
            order_id: 17,
            number: "MC-2026-000017".into(),
            total_amount: 129_050,
            refunded_amount: 4_990,
            currency: "BRL".into(),
            parcel: Some(Parcel { carrier: "Correios".into(), tracking_code: "BR123".into() }),
            happening,
        }
    }

    #[test]
    fn everything_that_happens_has_words_and_a_letter_in_both_languages() {
        for happening in HAPPENINGS {
            let news = news(happening);
            let mut read = Vec::new();
            for locale in [Locale::PtBr, Locale::En] {
                let words = news.words(locale);
                assert!(words.title.contains("MC-2026-000017") && words.title.chars().count() <= 200);
                assert_eq!(words.link.as_deref(), Some("/orders/17"));
                let link = ("link".to_owned(), "https://shop/orders/17".to_owned());
                let variables = news.variables(locale).into_iter().chain([link]);
                let letter = Letter::parse(news.template(), locale, variables).expect("complete");
                let rendered = letter.render("Ana", "https://shop");
                assert!(rendered.subject.contains("MC-2026-000017"), "{}", rendered.subject);
                assert!(rendered.text.contains("https://shop/orders/17"), "{}", rendered.text);
                read.push((words.body, rendered.text));
            }
            assert!(read[0].0 != read[1].0 && read[0].1 != read[1].1, "{happening:?}");
        }
    }

    #[test]
    fn a_parcel_can_be_followed_and_a_refund_is_counted() {
        assert!(
            news(Happening::Shipped).words(Locale::En).body.ends_with("Tracking code (Correios): BR123.")
        );
        let plain = OrderNews { parcel: None, ..news(Happening::Shipped) };
        assert!(plain.words(Locale::PtBr).body.ends_with("Este envio não tem código de rastreio."));
        let part = news(Happening::PartlyRefunded).words(Locale::PtBr).body;
        assert!(part.contains("R$ 1.290,50") && part.contains("R$ 49,90"), "{part}");
    }

    #[test]
    fn most_changes_are_no_news() {
        let of = |columns: &[&str]| {
            Happening::of_changes(&columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["notes"]), None);
        assert_eq!(of(&["refunded_amount"]), Some(Happening::PartlyRefunded));
        assert_eq!(of(&["refunded_amount", "items.cancelled"]), Some(Happening::ItemsCancelled));
        assert_eq!(of(&["items"]), Some(Happening::ItemsCancelled));
        assert_eq!(of(&["items", "shipments"]), Some(Happening::PartlyShipped));
        for quiet in ["pending_payment", "processing", "return_requested", "returned", "on_the_moon"] {
            assert_eq!(Happening::of_status(quiet), None);
        }
    }
}
