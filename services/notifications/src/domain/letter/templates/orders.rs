//! The letters about orders. The link of a guest's opens the order: it is as good as a password.

use super::{Template, Words};

/// Every letter about an order.
pub(in crate::domain::letter) const ORDERS: [Template; 11] = [
    Template {
        name: "order_placed",
        variables: &["number", "total", "link"],
        pt_br: Words {
            subject: "Recebemos o seu pedido {number}",
            text: "Obrigado! Recebemos o pedido {number}, no total de {total}.\n\nAcompanhe o pedido \
                   aqui:\n\n{link}\n\nAssim que o pagamento for confirmado, avisaremos.",
        },
        en: Words {
            subject: "We received your order {number}",
            text: "Thank you! We received order {number}, {total} in total.\n\nFollow the order \
                   here:\n\n{link}\n\nWe will write as soon as it is paid.",
        },
    },
    Template {
        name: "order_paid",
        variables: &["number", "total", "link"],
        pt_br: Words {
            subject: "Pagamento do pedido {number} confirmado",
            text: "Recebemos o pagamento de {total} pelo pedido {number}. Já vamos preparar o seu \
                   café.\n\n{link}",
        },
        en: Words {
            subject: "Order {number} is paid",
            text: "We received your payment of {total} for order {number} and are getting your coffee \
                   ready.\n\n{link}",
        },
    },
    Template {
        name: "payment_failed",
        variables: &["number", "total", "link"],
        pt_br: Words {
            subject: "O pagamento do pedido {number} não foi aprovado",
            text: "O pagamento de {total} pelo pedido {number} não foi aprovado, e nada foi \
                   cobrado.\n\nTente de novo, talvez de outra forma:\n\n{link}",
        },
        en: Words {
            subject: "The payment for order {number} failed",
            text: "The payment of {total} for order {number} was not approved, and nothing was \
                   charged.\n\nPlease try again, perhaps another way:\n\n{link}",
        },
    },
    Template {
        name: "order_partly_shipped",
        variables: &["number", "tracking", "link"],
        pt_br: Words {
            subject: "Parte do seu pedido {number} está a caminho",
            text: "Parte do pedido {number} foi enviada; o resto vai depois. {tracking}\n\n{link}",
        },
        en: Words {
            subject: "Part of your order {number} is on its way",
            text: "Part of order {number} was shipped; the rest will follow. {tracking}\n\n{link}",
        },
    },
    Template {
        name: "order_shipped",
        variables: &["number", "tracking", "link"],
        pt_br: Words {
            subject: "O seu pedido {number} está a caminho",
            text: "O pedido {number} foi enviado. {tracking}\n\n{link}",
        },
        en: Words {
            subject: "Your order {number} is on its way",
            text: "Order {number} was shipped. {tracking}\n\n{link}",
        },
    },
    Template {
        name: "order_delivered",
        variables: &["number", "link"],
        pt_br: Words {
            subject: "O seu pedido {number} foi entregue",
            text: "O pedido {number} foi entregue. Bom café!\n\nSe algo não estiver certo, veja aqui \
                   como devolver:\n\n{link}",
        },
        en: Words {
            subject: "Your order {number} was delivered",
            text: "Order {number} was delivered. Enjoy your coffee!\n\nIf anything is not right, this \
                   is how to return it:\n\n{link}",
        },
    },
    Template {
        name: "order_cancelled",
        variables: &["number", "total", "link"],
        pt_br: Words {
            subject: "O pedido {number} foi cancelado",
            text: "O pedido {number}, no total de {total}, foi cancelado. O que foi pago será \
                   devolvido.\n\n{link}",
        },
        en: Words {
            subject: "Order {number} was cancelled",
            text: "Order {number}, {total} in total, was cancelled. Whatever was paid will be \
                   refunded.\n\n{link}",
        },
    },
    Template {
        name: "order_items_cancelled",
        variables: &["number", "link"],
        pt_br: Words {
            subject: "Itens do pedido {number} foram cancelados",
            text: "Parte do pedido {number} foi cancelada. O que foi pago por ela será devolvido; o \
                   resto segue como combinado.\n\n{link}",
        },
        en: Words {
            subject: "Items of order {number} were cancelled",
            text: "Part of order {number} was cancelled. What was paid for it will be refunded; the \
                   rest goes on as agreed.\n\n{link}",
        },
    },
    Template {
        name: "order_refunded",
        variables: &["number", "refunded", "link"],
        pt_br: Words {
            subject: "Reembolso do pedido {number}",
            text: "Devolvemos {refunded} do pedido {number}. O prazo para o valor aparecer depende do \
                   seu banco.\n\n{link}",
        },
        en: Words {
            subject: "Refund of order {number}",
            text: "We refunded {refunded} of order {number}. When you see it depends on your bank.\n\n\
                   {link}",
        },
    },
    Template {
        name: "order_partially_refunded",
        variables: &["number", "total", "refunded", "link"],
        pt_br: Words {
            subject: "Reembolso parcial do pedido {number}",
            text: "Do total de {total} do pedido {number}, já devolvemos {refunded}. O prazo para o \
                   valor aparecer depende do seu banco.\n\n{link}",
        },
        en: Words {
            subject: "Partial refund of order {number}",
            text: "Of the total of {total} of order {number}, {refunded} has been refunded. When you \
                   see it depends on your bank.\n\n{link}",
        },
    },
    Template {
        name: "order_expired",
        variables: &["number", "total", "link"],
        pt_br: Words {
            subject: "O pedido {number} expirou",
            text: "O pagamento de {total} não chegou a tempo, e por isso encerramos o pedido {number}. \
                   Nada foi cobrado.\n\nPeça de novo quando quiser:\n\n{link}",
        },
        en: Words {
            subject: "Order {number} expired",
            text: "The payment of {total} did not arrive in time, so we closed order {number}. Nothing \
                   was charged.\n\nOrder again whenever you like:\n\n{link}",
        },
    },
];
