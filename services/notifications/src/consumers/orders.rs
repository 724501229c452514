//! Orders: buyers are told what becomes of them, guests by mail only.

use events::{ConsumerConfig, Delivery, Fact, Failure};

use super::Teller;
use crate::domain::letter::Letter;
use crate::domain::message::Occasion;
use crate::domain::order::Happening;
use crate::orders::Notice;

const DURABLE: &str = "notifications-orders";

/// Reads `orders.order.*`.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig {
        filter_subject: "mc.orders.order.>".to_owned(),
        concurrency: super::CONCURRENCY,
        ..ConsumerConfig::new(DURABLE)
    }
}

/// One fact; some are nobody's news.
pub(crate) async fn handle(teller: Teller, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let (order_id, user_id, happening) = match event.fact() {
        Fact::OrderPlaced(order) => (order.order_id, order.user_id, Some(Happening::Placed)),
        Fact::OrderStatusChanged(order) => {
            (order.order_id, order.user_id, Happening::of_status(&order.status))
        }
        Fact::OrderUpdated(order) => (order.order_id, order.user_id, Happening::of_changes(&order.changed)),
        _ => return Ok(()),
    };
    let Some(happening) = happening else { return Ok(()) };
    let notice = match teller.orders.notice(order_id).await {
        Ok(Some(notice)) => notice,
        // Orders are never deleted: it is none of this shop's, and nobody is to be told.
        Ok(None) => return Ok(()),
        Err(status) => {
            let code = status.code();
            return Err(Failure::Later(anyhow::anyhow!("orders does not say what was ordered: {code:?}")));
        }
    };
    if notice.is_outdated(happening) {
        return Ok(());
    }
    match user_id {
        Some(user_id) => {
            let occasion = Occasion::Order(notice.news(happening));
            teller.tell(DURABLE, &delivery, user_id, occasion).await
        }
        None => write_to_guest(&teller, &delivery, &notice, happening).await,
    }
}

async fn write_to_guest(
    teller: &Teller,
    delivery: &Delivery,
    notice: &Notice,
    happening: Happening,
) -> Result<(), Failure> {
    let Some(guest) = notice.guest() else { return Ok(()) };
    let news = notice.news(happening);
    let link = ("link".to_owned(), notice.guest_link(&teller.shop_url));
    let variables = news.variables(notice.locale).into_iter().chain([link]);
    // Names the variable, never its value.
    let letter = Letter::parse(news.template(), notice.locale, variables).map_err(|invalid| {
        Failure::Never(anyhow::anyhow!("the letter cannot be written: {}", invalid.field))
    })?;
    teller.write(DURABLE, delivery, guest, letter).await
}
