//! Buyers at the checkout: what they say, and orders that are as far as a test needs them.

use std::time::Duration;

use proto::orders::v1::*;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::app::{STAFF, TestApp, Who};

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
/// For what hundreds do at once on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// In the shop's own state.
pub(crate) const CEP: &str = "01310100";

/// Where all orders of tests go.
pub(crate) fn address() -> Address {
    Address {
        recipient: "Ana Souza".to_owned(),
        line1: "Avenida Paulista, 1000".to_owned(),
        line2: Some("ap. 12".to_owned()),
        district: Some("Bela Vista".to_owned()),
        city: "São Paulo".to_owned(),
        state: "SP".to_owned(),
        postal_code: CEP.to_owned(),
        country: "BR".to_owned(),
    }
}

/// A checkout of a cart in this version, with this quote.
pub(crate) fn wish(cart_version: i64, quote: &ShippingQuote) -> PlaceOrderRequest {
    PlaceOrderRequest {
        cart_version,
        email: Some("guest@example.com".to_owned()),
        shipping_address: Some(address()),
        shipping_quote_id: quote.id.clone(),
        coupon_code: None,
        expected_total_amount: None,
        locale: "pt-BR".to_owned(),
    }
}

pub(crate) fn whole(order_id: i64) -> CancelOrderRequest {
    CancelOrderRequest { order_id, reason: None, lines: Vec::new() }
}

pub(crate) fn units(line: i32, quantity: i32) -> OrderLine {
    OrderLine { line, quantity, reason: None }
}

impl TestApp {
    /// What the cheapest shipping of the caller's cart costs.
    pub(crate) async fn quote(&self, who: Who) -> ShippingQuote {
        let request = QuoteShippingRequest { cep: CEP.to_owned(), items: Vec::new() };
        let ask = async || self.quote_shipping(who, request.clone()).await;
        let quotes = patiently(ask).await.unwrap().quotes;
        quotes.into_iter().find(|quote| quote.service == "PAC").expect("PAC goes everywhere")
    }

    /// What shipping of so many units of a variant costs.
    pub(crate) async fn quote_of(&self, variant_id: i64, quantity: i32) -> ShippingQuote {
        let items = vec![QuoteItem { variant_id, quantity }];
        let request = QuoteShippingRequest { cep: CEP.to_owned(), items };
        let quotes = self.quote_shipping(Who::Nobody, request).await.unwrap().quotes;
        quotes.into_iter().find(|quote| quote.service == "PAC").expect("PAC goes everywhere")
    }

    /// A checkout of the caller's cart as it is.
    pub(crate) async fn wish(&self, who: Who) -> PlaceOrderRequest {
        let quote = self.quote(who).await;
        wish(self.cart(who).await.version, &quote)
    }

    /// The order of what is in the caller's cart.
    pub(crate) async fn placed(&self, who: Who) -> Order {
        let wish = self.wish(who).await;
        self.place_order(who, wish).await.unwrap().order.unwrap()
    }

    /// The order of these goods: variant and quantity.
    pub(crate) async fn order_of(&self, who: Who, goods: &[(i64, i32)]) -> Order {
        for (variant, quantity) in goods {
            self.put(who, *variant, *quantity).await;
        }
        self.placed(who).await
    }

    /// The order of these goods, paid by card.
    pub(crate) async fn paid(&self, who: Who, goods: &[(i64, i32)]) -> Order {
        let order = self.order_of(who, goods).await;
        self.pay_by_card(who, order.id).await;
        self.seen(who, order.id).await
    }

    pub(crate) async fn pay_by_card(&self, who: Who, order_id: i64) {
        let request = PayRequest {
            order_id,
            method: "card".to_owned(),
            payment_method: "pm_card_visa".to_owned(),
            expected_total_amount: None,
            return_url: "https://shop.example/back".to_owned(),
        };
        let answer = self.pay(who, request).await.unwrap();
        if answer.payment.unwrap().status != "succeeded" {
            self.reaches(order_id, "paid").await;
        }
    }

    /// Waits until the order has this status.
    pub(crate) async fn reaches(&self, order_id: i64, status: &str) {
        testkit::eventually(WITHIN, &format!("order {order_id} is {status}"), async || {
            let is = self.value(&format!("SELECT status FROM orders WHERE id = {order_id}")).await;
            (is == status).then_some(())
        })
        .await;
    }

    /// The order as this caller sees it.
    pub(crate) async fn seen(&self, who: Who, order_id: i64) -> Order {
        self.get_order(who, GetOrderRequest { order_id }).await.unwrap().order.unwrap()
    }

    /// Staff move the order on.
    pub(crate) async fn moved(&self, order_id: i64, status: &str) -> Order {
        // Workers move orders too: staff look again when one was quicker.
        testkit::eventually(WITHIN, &format!("order {order_id} is moved to {status}"), async || {
            let request = AdminGetOrderRequest { order_id };
            let now = self.desk_get_order(STAFF, request).await.unwrap().order.unwrap();
            let request = ChangeOrderStatusRequest {
                order_id,
                expected_version: now.version,
                status: status.to_owned(),
                reason: None,
            };
            match self.change_order_status(STAFF, request).await {
                Err(status) if reason(&status) == "version_mismatch" => None,
                moved => Some(moved.unwrap().order.unwrap()),
            }
        })
        .await
    }

    /// What is there and what is promised of a variant.
    pub(crate) async fn stock(&self, variant_id: i64) -> (i32, i32) {
        sqlx::query_as("SELECT on_hand, reserved FROM stock_levels WHERE variant_id = $1")
            .bind(variant_id)
            .fetch_one(&mut self.admin().await)
            .await
            .unwrap()
    }

    /// Users from `first` on, each with one unit of the variant in a cart of version 1.
    pub(crate) async fn crowd(&self, first: i64, count: i64, variant_id: i64, unit_amount: i64) {
        let last = first + count - 1;
        self.sql(&format!(
            "INSERT INTO carts (id, user_id, expires_at)
             SELECT gen_random_uuid(), u, now() + interval '1 day' FROM generate_series({first}, {last}) u;
             INSERT INTO cart_items (cart_id, variant_id, product_id, quantity, seen_unit_amount)
             SELECT id, {variant_id}, {variant_id} * 10, 1, {unit_amount} FROM carts WHERE user_id BETWEEN {first} AND {last}"
        ))
        .await;
    }

    /// Places an order, and asks again while nothing was done because this machine is busy with other tests.
    pub(crate) async fn place_patiently(
        &self,
        who: Who,
        wish: &PlaceOrderRequest,
    ) -> Result<PlaceOrderResponse, Status> {
        patiently(async || self.place_order(who, wish.clone()).await).await
    }

    /// What must hold whatever happened: stock, promises, coupons, histories, and events without gaps.
    pub(crate) async fn check_books(&self) {
        let broken: Vec<String> = sqlx::query_scalar(
            "SELECT concat('oversold ', variant_id) FROM stock_levels
              WHERE on_hand < 0 OR reserved < 0 OR (reserved > on_hand AND NOT backorder)
             UNION ALL
             SELECT concat('reserved is not what is held ', s.variant_id) FROM stock_levels s
               LEFT JOIN (SELECT variant_id, sum(quantity) AS q FROM reservations WHERE state = 'held' GROUP BY 1) r
                    USING (variant_id)
              WHERE s.reserved <> coalesce(r.q, 0)
             UNION ALL
             SELECT concat('paid order without its goods ', o.id) FROM orders o
               JOIN order_items i ON i.order_id = o.id
               LEFT JOIN reservations r ON r.order_id = o.id AND r.variant_id = i.variant_id AND r.state = 'committed'
              WHERE o.status IN ('paid', 'processing', 'shipped', 'delivered')
                AND i.quantity - i.cancelled - i.returned <> coalesce(r.quantity, 0)
             UNION ALL
             SELECT concat('dead order holds goods ', o.id) FROM orders o JOIN reservations r ON r.order_id = o.id
              WHERE o.status IN ('expired', 'cancelled') AND r.state = 'held' AND r.quantity > 0
             UNION ALL
             SELECT concat('coupon ', c.code) FROM coupons c LEFT JOIN coupon_redemptions r USING (code)
              GROUP BY c.code, c.used, c.usage_limit
             HAVING count(r.*) <> c.used OR c.used > coalesce(c.usage_limit, c.used)
             UNION ALL
             SELECT concat('history of ', order_id) FROM
                (SELECT order_id, from_status, lag(to_status) OVER (PARTITION BY order_id ORDER BY seq) AS last
                   FROM order_history) h WHERE last IS NOT NULL AND last <> from_status
             UNION ALL
             SELECT concat('order without event ', o.id) FROM orders o
               LEFT JOIN (SELECT aggregate_id, max(aggregate_version) AS v FROM outbox WHERE aggregate = 'order' GROUP BY 1) e
                    ON e.aggregate_id = o.id::text
              WHERE e.v IS DISTINCT FROM o.version
             UNION ALL
             SELECT concat('gap in ', aggregate, ' ', aggregate_id) FROM outbox GROUP BY aggregate, aggregate_id
             HAVING count(*) <> max(aggregate_version) - min(aggregate_version) + 1
             UNION ALL
             SELECT concat('unsettled key ', key) FROM idempotency_keys WHERE state = 'in_flight'",
        )
        .fetch_all(&mut self.admin().await)
        .await
        .unwrap();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

/// The word of a refusal that programs compare.
pub(crate) fn reason(status: &Status) -> &str {
    status.metadata().get("mc-reason").map_or("", |reason| reason.to_str().unwrap())
}

/// Asks again while nothing was done because somebody was away, busy or late; like a client, after a pause that grows.
/// Two hundred who asked at once again and again would keep the machine from what they wait for. A deadlock would be
/// asked again too: those are counted by the database.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(status) if is_undone(&status) => {
                assert!(Instant::now() < deadline, "nothing was done within {PATIENCE:?}: {status:?}");
            }
            answer => return answer,
        }
        sleep(pause.mul_f64(fastrand::f64())).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Whether nothing was done, and asking again may help.
pub(crate) fn is_undone(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
}
