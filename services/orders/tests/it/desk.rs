//! Orders as staff see and move them, and what is written down about it.

use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, GUEST, STAFF, TestApp, Who, refusal};
use crate::buying::{WITHIN, units, whole};

const ADMIN: Who = Who::Admin(1);

fn shipment(order: &Order, lines: Vec<OrderLine>, code: &str) -> CreateShipmentRequest {
    CreateShipmentRequest {
        order_id: order.id,
        expected_version: order.version,
        carrier: "Correios".into(),
        service: "PAC".into(),
        tracking_code: Some(code.into()),
        lines,
    }
}

fn change(order: &Order, status: &str) -> ChangeOrderStatusRequest {
    ChangeOrderStatusRequest {
        order_id: order.id,
        expected_version: order.version,
        status: status.into(),
        reason: None,
    }
}

#[tokio::test]
async fn the_desk_is_for_staff() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    for who in [Who::Nobody, GUEST, ANA, Who::Service("gateway")] {
        let code = match who {
            Who::Nobody | Who::Guest(_) => Code::Unauthenticated,
            _ => Code::PermissionDenied,
        };
        let list = AdminListOrdersRequest { page: 1, per_page: 10, ..Default::default() };
        assert_eq!(refusal(app.desk_list_orders(who, list).await).0, code);
        let get = AdminGetOrderRequest { order_id: order.id };
        assert_eq!(refusal(app.desk_get_order(who, get).await).0, code);
        assert_eq!(refusal(app.change_order_status(who, change(&order, "processing")).await).0, code);
        let note = AddNoteRequest { order_id: order.id, body: "x".into() };
        assert_eq!(refusal(app.add_note(who, note).await).0, code);
        assert_eq!(refusal(app.create_shipment(who, shipment(&order, vec![], "BR1")).await).0, code);
    }
    assert_eq!(app.value("SELECT count(*) FROM audit_chain").await, "0");
    assert_eq!(app.seen(ANA, order.id).await, order);
}

#[tokio::test]
async fn an_order_is_sent_in_two_parcels_and_delivered() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.shelf(2, 500, 100).await;
    let order = app.paid(ANA, &[(1, 3), (2, 1)]).await;
    for (request, field) in [
        (CreateShipmentRequest { carrier: " ".into(), ..shipment(&order, vec![], "A1") }, "carrier"),
        (CreateShipmentRequest { service: "x".repeat(61), ..shipment(&order, vec![], "A1") }, "service"),
        (shipment(&order, vec![], ""), "tracking_code"),
        (shipment(&order, vec![units(1, 4)], "A1"), "lines"),
        (shipment(&order, vec![units(9, 1)], "A1"), "lines"),
        (CreateShipmentRequest { expected_version: 0, ..shipment(&order, vec![], "A1") }, "expected_version"),
        (
            CreateShipmentRequest { expected_version: 99, ..shipment(&order, vec![], "A1") },
            "expected_version",
        ),
    ] {
        assert_eq!(refusal(app.create_shipment(STAFF, request).await).2, field);
    }
    let first = app.create_shipment(STAFF, shipment(&order, vec![units(1, 2)], "BR1")).await.unwrap();
    let first = first.order.unwrap();
    assert_eq!((first.status.as_str(), first.items[0].fulfilled), ("processing", 2));
    assert_eq!(first.shipments.len(), 1);
    assert_eq!(first.shipments[0].tracking_code.as_deref(), Some("BR1"));
    let taken = refusal(app.create_shipment(STAFF, shipment(&first, vec![], "BR1")).await);
    assert_eq!(taken.1, "tracking_taken");
    // One unit of the first line is not wanted any more; what is on its way stays on its way.
    let unwanted = CancelOrderRequest { order_id: order.id, reason: None, lines: vec![units(1, 1)] };
    assert_eq!(refusal(app.cancel_order(ANA, whole(order.id)).await).1, "illegal_transition");
    let fewer = app.cancel_order(ANA, unwanted).await.unwrap().order.unwrap();
    assert_eq!(fewer.status, "processing");
    testkit::eventually(WITHIN, "the money is back", async || {
        (app.value("SELECT count(*) FROM refunds WHERE status = 'pending'").await == "0").then_some(())
    })
    .await;
    let fewer = app.seen(ANA, order.id).await;
    let second = app.create_shipment(ADMIN, shipment(&fewer, vec![], "BR2")).await.unwrap().order.unwrap();
    assert_eq!((second.status.as_str(), second.items[1].fulfilled), ("shipped", 1));
    assert_eq!(
        refusal(app.create_shipment(STAFF, shipment(&second, vec![], "BR3")).await).1,
        "illegal_transition"
    );
    let delivered = app.moved(order.id, "delivered").await;
    assert!(delivered.shipments.iter().all(|shipment| shipment.status == "delivered"));
    assert!(delivered.shipments.iter().all(|shipment| shipment.delivered_at.is_some()));
    let told = app
        .value("SELECT string_agg(regexp_replace(subject, '.*shipment.(.*)\\.\\d+', '\\1') || aggregate_version, ' ' ORDER BY seq) FROM outbox WHERE aggregate = 'shipment'")
        .await;
    assert_eq!(told, "created1 created1 delivered2 delivered2");
    let written =
        app.value("SELECT string_agg(action || ':' || actor_id, ' ' ORDER BY id) FROM audit_chain").await;
    assert_eq!(written, "order.shipment_created:7 order.shipment_created:1 order.status_changed:7");
    app.check_books().await;
}

#[tokio::test]
async fn only_steps_of_the_table_are_taken_and_money_takes_its_own() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let pending = app.order_of(ANA, &[(1, 1)]).await;
    for status in [
        "paid",
        "expired",
        "payment_failed",
        "processing",
        "shipped",
        "delivered",
        "returned",
        "refunded",
        "partially_refunded",
        "return_requested",
        "pending_payment",
    ] {
        let refused = refusal(app.change_order_status(STAFF, change(&pending, status)).await);
        assert_eq!((refused.0, refused.1.as_str()), (Code::Aborted, "illegal_transition"), "{status}");
    }
    assert_eq!(refusal(app.change_order_status(STAFF, change(&pending, "lost")).await).2, "status");
    let stale = ChangeOrderStatusRequest { expected_version: 9, ..change(&pending, "cancelled") };
    let answer = app.change_order_status(STAFF, stale).await;
    assert_eq!(answer.as_ref().unwrap_err().metadata().get("mc-current-version").unwrap(), "1");
    assert_eq!(refusal(answer).1, "version_mismatch");
    assert_eq!(app.seen(ANA, pending.id).await, pending);
    assert_eq!(app.value("SELECT count(*) FROM audit_chain").await, "0");

    let why =
        ChangeOrderStatusRequest { reason: Some("asked by phone".into()), ..change(&pending, "cancelled") };
    let cancelled = app.change_order_status(STAFF, why).await.unwrap().order.unwrap();
    assert_eq!(cancelled.status, "cancelled");
    let last = cancelled.history.last().unwrap();
    assert_eq!((last.actor.as_str(), last.reason.as_deref()), ("staff", Some("asked by phone")));
    assert_eq!(app.stock(1).await, (100, 0));
    let missing = ChangeOrderStatusRequest { order_id: 999_999, ..change(&pending, "processing") };
    assert_eq!(refusal(app.change_order_status(STAFF, missing).await).1, "order_not_found");
    let entry = app
        .value("SELECT concat(actor_role, ' ', entity_id, ' ', before, ' ', after) FROM audit_chain")
        .await;
    let expected = format!(r#"staff {} {{"status":"pending_payment"}} {{"status":"cancelled"}}"#, pending.id);
    assert_eq!(entry, expected);
    app.check_books().await;
}

#[tokio::test]
async fn a_change_is_made_once_however_often_it_is_asked() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    let ask = async |key: &str| {
        let request = app.keyed(STAFF, change(&order, "processing"), "PATCH /api/v1/admin/orders/1", key);
        app.desk.clone().change_order_status(request).await
    };
    let first = ask("k1").await.unwrap();
    let again = ask("k1").await.unwrap();
    assert_eq!(again.get_ref().order, first.get_ref().order);
    assert_eq!(again.metadata().get("mc-idempotent-replayed").unwrap(), "true");
    assert_eq!(refusal(ask("k2").await).1, "version_mismatch");
    assert_eq!(app.value("SELECT count(*) FROM audit_chain").await, "1");
}

#[tokio::test]
async fn notes_are_for_staff_only() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.order_of(GUEST, &[(1, 1)]).await;
    let note = |body: &str| AddNoteRequest { order_id: order.id, body: body.into() };
    for body in ["", "  ", &"x".repeat(4_001), "a\u{0}b"] {
        assert_eq!(refusal(app.add_note(STAFF, note(body)).await).2, "body");
    }
    app.add_note(STAFF, note("Ligou: quer moer fino.")).await.unwrap();
    let seen = app.add_note(ADMIN, note("Feito.")).await.unwrap().order.unwrap();
    let notes: Vec<_> = seen.notes.iter().map(|note| (note.author_id, note.body.as_str())).collect();
    assert_eq!(notes, [(7, "Ligou: quer moer fino."), (1, "Feito.")]);
    assert_eq!(seen.version, 3);
    let buyers = app.seen(GUEST, order.id).await;
    assert!(buyers.notes.is_empty());
    assert!(!app.value("SELECT string_agg(after::text, '') FROM audit_chain").await.contains("moer"));
    app.check_books().await;
}

#[tokio::test]
async fn lists_are_filtered_and_counted_up_to_a_bound() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let anas = app.order_of(ANA, &[(1, 1)]).await;
    let guests = app.order_of(GUEST, &[(1, 2)]).await;
    let list = async |request: AdminListOrdersRequest| {
        let page = AdminListOrdersRequest { page: 1, per_page: 10, ..request };
        let reply = app.desk_list_orders(STAFF, page).await.unwrap();
        assert!(reply.total_exact);
        (reply.orders.iter().map(|order| order.id).collect::<Vec<_>>(), reply.total)
    };
    let all = AdminListOrdersRequest::default();
    assert_eq!(list(all.clone()).await, (vec![guests.id, anas.id], 2));
    assert_eq!(list(AdminListOrdersRequest { user_id: Some(42), ..all.clone() }).await, (vec![anas.id], 1));
    let number = AdminListOrdersRequest { number: Some(guests.number.clone()), ..all.clone() };
    assert_eq!(list(number.clone()).await, (vec![guests.id], 1));
    let none = AdminListOrdersRequest { statuses: vec!["paid".into()], ..number };
    assert_eq!(list(none).await, (vec![], 0));
    let waiting = AdminListOrdersRequest { statuses: vec!["pending_payment".into()], ..all.clone() };
    assert_eq!(list(waiting).await.1, 2);
    let two =
        AdminListOrdersRequest { statuses: vec!["pending_payment".into(), "paid".into()], ..all.clone() };
    assert_eq!(list(two).await.1, 2);

    app.sql(
        "INSERT INTO carts (id, user_id, state, expires_at)
         SELECT gen_random_uuid(), 44, 'converted', now() FROM generate_series(1, 10050);
         INSERT INTO orders (number, user_id, cart_id, status, items_amount, shipping_amount, tax_amount, total_amount,
                             shipping_service)
         SELECT concat('OLD-', row_number() OVER ()), 44, c.id, 'expired', 0, 0, 0, 0, 'PAC'
           FROM carts c WHERE c.user_id = 44",
    )
    .await;
    let many = AdminListOrdersRequest { page: 1, per_page: 1, user_id: Some(44), ..all };
    let reply = app.desk_list_orders(STAFF, many).await.unwrap();
    assert_eq!((reply.total, reply.total_exact), (10_000, false));
}
