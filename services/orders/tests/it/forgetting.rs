//! What becomes of carts and orders when their user's account is erased.

use ::events::{Event, Fact};
use async_nats::jetstream;
use proto::events::v1::UserFact;
use proto::orders::v1::*;
use rls::{Caller, UserId};
use time::OffsetDateTime;

use crate::app::{ANA, BIA, GUEST, STAFF, TestApp, refusal};
use crate::buying::{WITHIN, units};

/// Says on the stream that an account was deleted.
async fn deleted(jetstream: &jetstream::Context, event: &Event, message_id: &str) {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", message_id);
    let stored = jetstream.publish_with_headers(event.subject(), headers, event.encode().into()).await;
    stored.unwrap().await.unwrap();
}

/// Messages that the consumer has finished.
async fn finished(jetstream: &jetstream::Context) -> u64 {
    let stream = jetstream.get_stream(::events::streams::MUTATIONS).await.unwrap();
    let Ok(mut consumer) = stream.get_consumer::<jetstream::consumer::pull::Config>("orders-erasure").await
    else {
        return 0;
    };
    consumer.info().await.unwrap().ack_floor.consumer_sequence
}

#[tokio::test]
async fn orders_stay_and_forget_who_placed_them() {
    let nats = testkit::Nats::start().await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = jetstream::new(client);
    ::events::streams::declare(&jetstream, 1).await.unwrap();
    let url = nats.url();
    let mut app = TestApp::start_with(move |config| config.nats_url = url).await;
    app.shelf(1, 1_000, 100).await;
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('UM', 'fixed', 100)").await;

    // Everything that an account can leave: a merged cart, a paid order with a coupon, of which something was cancelled and
    // something sent and wanted back, kept answers, a cart in use. Somebody else's stays.
    app.put(GUEST, 1, 1).await;
    app.put(ANA, 1, 2).await;
    let merge = MergeCartsRequest { cart_token_sha256: vec![0xaa; 32], strategy: "sum".into() };
    app.merge_carts(ANA, merge).await.unwrap();
    let wish = PlaceOrderRequest { coupon_code: Some("UM".into()), ..app.wish(ANA).await };
    let request = app.keyed(ANA, wish, "POST /api/v1/checkout", "k");
    let order = app.checkouts.clone().place_order(request).await.unwrap().into_inner().order.unwrap();
    app.pay_by_card(ANA, order.id).await;
    let cancel = CancelOrderRequest {
        order_id: order.id,
        reason: Some("Souza quer menos".into()),
        lines: vec![units(1, 1)],
    };
    app.cancel_order(ANA, cancel).await.unwrap();
    let note = AddNoteRequest { order_id: order.id, body: "Souza ligou".into() };
    app.add_note(STAFF, note).await.unwrap();
    for status in ["processing", "shipped", "delivered"] {
        app.moved(order.id, status).await;
    }
    let back = OrderLine { reason: Some("Souza não gostou".into()), ..units(1, 1) };
    app.request_return(ANA, RequestReturnRequest { order_id: order.id, lines: vec![back] }).await.unwrap();
    // And one that is paid and still here: it has to get to somebody.
    let open = app.paid(ANA, &[(1, 1)]).await;
    app.sql(&format!(
        "INSERT INTO shipments (order_id, user_id, carrier, service, lines, status) VALUES ({}, 42, 'C', 'S', '[]', 'ready')",
        order.id
    ))
    .await;
    app.put(ANA, 1, 3).await;
    let bias = app.order_of(BIA, &[(1, 1)]).await;
    testkit::eventually(WITHIN, "the refund is over", async || {
        (app.value("SELECT count(*) FROM refunds WHERE status = 'pending'").await == "0").then_some(())
    })
    .await;

    let fact = Fact::UserDeleted(UserFact { user_id: 42 });
    let deletion = Event::new(&Caller::User(UserId(42)), OffsetDateTime::now_utc(), 2, fact);
    deleted(&jetstream, &deletion, &deletion.id().to_string()).await;
    testkit::eventually(WITHIN, "the deletion is handled", async || {
        (finished(&jetstream).await >= 1).then_some(())
    })
    .await;

    let named = "SELECT (SELECT count(*) FROM orders WHERE user_id = 42 OR (id NOT IN ($bia, $open) AND (shipping_address IS NOT NULL
                            OR email IS NOT NULL OR order_token_sha256 IS NOT NULL OR cart_token_sha256 IS NOT NULL)))
        + (SELECT count(*) FROM order_items WHERE user_id = 42) + (SELECT count(*) FROM order_history WHERE user_id = 42)
        + (SELECT count(*) FROM payments WHERE user_id = 42) + (SELECT count(*) FROM refunds WHERE 42 IN (user_id, requested_by))
        + (SELECT count(*) FROM shipments WHERE user_id = 42) + (SELECT count(*) FROM returns WHERE user_id = 42)
        + (SELECT count(*) FROM carts WHERE user_id = 42) + (SELECT count(*) FROM coupon_redemptions WHERE customer_key = 'user:42')
        + (SELECT count(*) FROM idempotency_keys WHERE scope = 'user:42')
        + (SELECT count(*) FROM carts WHERE state = 'merged')"
        .replace("$bia", &bias.id.to_string())
        .replace("$open", &open.id.to_string());
    assert_eq!(app.value(&named).await, "0");
    assert_eq!(
        refusal(app.get_order(ANA, GetOrderRequest { order_id: order.id }).await).1,
        "order_not_found"
    );
    let texts = "SELECT concat((SELECT string_agg(h::text, ' ') FROM order_history h), (SELECT string_agg(r::text, ' ') FROM returns r),
                        (SELECT string_agg(r::text, ' ') FROM refunds r), (SELECT string_agg(n::text, ' ') FROM order_notes n),
                        (SELECT string_agg(concat(a.before, a.after), ' ') FROM audit_chain a)) LIKE '%Souza%'";
    assert_eq!(app.value(texts).await, "false");
    let desk = async |order_id| {
        app.desk_get_order(STAFF, AdminGetOrderRequest { order_id }).await.unwrap().order.unwrap()
    };
    assert_eq!(desk(open.id).await.shipping_address, open.shipping_address);
    app.moved(open.id, "processing").await;
    assert_eq!(desk(open.id).await.shipping_address, open.shipping_address);
    app.moved(open.id, "shipped").await;
    assert_eq!(desk(open.id).await.shipping_address, None);
    // The books are as they were.
    assert_eq!(app.value("SELECT count(*) FROM orders").await, "3");
    let get = AdminGetOrderRequest { order_id: order.id };
    let kept = app.desk_get_order(crate::app::STAFF, get).await.unwrap().order.unwrap();
    assert_eq!((kept.total_amount, kept.status.as_str()), (order.total_amount, "return_requested"));
    assert_eq!((kept.user_id, kept.shipping_address), (None, None));
    assert_eq!(app.seen(BIA, bias.id).await, bias);
    let ask = GetOrderForNoticeRequest { order_id: order.id };
    let notice = app.get_order_for_notice(crate::app::Who::Service("notifications"), ask).await.unwrap();
    assert_eq!((notice.email, notice.order_token), (None, None));
    app.check_books().await;

    // Once more finds nothing to do.
    let state = "SELECT concat((SELECT string_agg(o::text, ' ' ORDER BY o) FROM orders o),
                               (SELECT string_agg(c::text, ' ' ORDER BY c) FROM carts c), (SELECT count(*) FROM outbox))";
    let before = app.value(state).await;
    deleted(&jetstream, &deletion, "again").await;
    testkit::eventually(WITHIN, "the repeat is handled", async || {
        (finished(&jetstream).await >= 2).then_some(())
    })
    .await;
    assert_eq!(app.value(state).await, before);
    assert_eq!(app.value("SELECT count(*) FROM inbox WHERE consumer = 'orders-erasure'").await, "1");
    app.stop().await;
}
