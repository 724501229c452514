//! Whether row level security holds: every statement of the service and every table, as strangers.

use testkit::TestDatabase;
use testkit::policies::{Params, tables, walk};

const OWNER: i64 = 42;
const STRANGER: i64 = 99;
/// The owner's cart, and the payment of the order that waits: what ids default to.
const FIRST: &str = "00000000-0000-7000-8000-000000000001";
/// A guest's cart, and the payment of the order that is paid.
const SECOND: &str = "00000000-0000-7000-8000-000000000002";
/// A cart that no order names yet.
const SPARE: &str = "00000000-0000-7000-8000-000000000007";
/// Of nothing yet.
const NEW: &str = "00000000-0000-7000-8000-000000000009";

/// A user with a cart, an order that waits, one that is paid and one that nothing happened to; a guest with a cart.
const EVERYTHING: &str = "
INSERT INTO stock_levels (variant_id, product_id, on_hand, reserved) VALUES (42, 42, 50, 3), (7, 42, 50, 0);
INSERT INTO stock_movements (variant_id, location_id, kind, on_hand_delta, ref) VALUES (42, 1, 'receive', 50, 'seed');
INSERT INTO coupons (code, kind, value, per_customer_limit) VALUES ('x', 'fixed', 100, 9);
INSERT INTO carts (id, user_id, coupon_code, expires_at) VALUES
    ('00000000-0000-7000-8000-000000000001', 42, 'x', '2000-01-01Z');
INSERT INTO carts (id, token_sha256, expires_at) VALUES
    ('00000000-0000-7000-8000-000000000002', decode(repeat('aa', 32), 'hex'), '2100-01-01Z');
INSERT INTO carts (id, token_sha256, state, merged_into, merge_report, expires_at) VALUES
    ('00000000-0000-7000-8000-000000000003', decode(repeat('bb', 32), 'hex'), 'merged',
     '00000000-0000-7000-8000-000000000001', '{\"strategy\":\"sum\"}', '2100-01-01Z');
INSERT INTO carts (id, user_id, state, expires_at)
SELECT concat('00000000-0000-7000-8000-00000000000', n)::uuid, 42, 'converted', '2100-01-01Z' FROM generate_series(4, 8) n;
INSERT INTO cart_items (id, cart_id, variant_id, product_id, quantity, seen_unit_amount) OVERRIDING SYSTEM VALUE VALUES
    (42, '00000000-0000-7000-8000-000000000001', 42, 42, 1, 100),
    (43, '00000000-0000-7000-8000-000000000002', 42, 42, 1, 100),
    (44, '00000000-0000-7000-8000-000000000004', 42, 42, 1, 100);
INSERT INTO orders (id, number, user_id, cart_id, status, items_amount, shipping_amount, tax_amount, total_amount,
                    shipping_address, shipping_service, coupon_code)
VALUES (42, 'x', 42, '00000000-0000-7000-8000-000000000004', 'pending_payment', 300, 0, 0, 300, '{\"city\":\"C\"}', 'PAC', 'x'),
       (43, 'y', 42, '00000000-0000-7000-8000-000000000005', 'paid', 300, 0, 0, 300, '{}', 'PAC', NULL),
       (44, 'z', 42, '00000000-0000-7000-8000-000000000006', 'pending_payment', 300, 0, 0, 300, '{}', 'PAC', NULL);
INSERT INTO order_items (id, order_id, user_id, line, product_id, variant_id, sku, name, weight_g, quantity,
                         unit_amount, total_amount, fulfilled) OVERRIDING SYSTEM VALUE
VALUES (42, 42, 42, 42, 42, 42, 'S', 'N', 250, 3, 100, 300, 1), (43, 43, 42, 1, 42, 7, 'S', 'N', 250, 3, 100, 300, 1),
       (44, 44, 42, 1, 42, 7, 'S', 'N', 250, 3, 100, 300, 0);
INSERT INTO order_history (order_id, seq, user_id, to_status, actor) VALUES (42, 1, 42, 'pending_payment', 'customer');
INSERT INTO reservations (order_id, variant_id, quantity, state, expires_at)
VALUES (42, 42, 3, 'held', '2000-01-01Z'), (43, 7, 3, 'committed', '2000-01-01Z'),
       (44, 42, 1, 'held', '2000-01-01Z');
INSERT INTO coupon_redemptions (code, order_id, customer_key, slot) VALUES ('x', 42, 'user:42', 1);
INSERT INTO shipments (id, order_id, user_id, carrier, service, lines, status) OVERRIDING SYSTEM VALUE
VALUES (42, 42, 42, 'C', 'S', '[]', 'ready');
INSERT INTO returns (order_id, user_id, line, quantity) VALUES (42, 42, 42, 1);
INSERT INTO order_notes (order_id, author_id, body) VALUES (42, 7, 'N');
INSERT INTO payments (id, order_id, user_id, attempt, provider, provider_ref, provider_key, method, status, amount,
                      currency, captured_amount, refunded_amount, next_check_at)
VALUES ('00000000-0000-7000-8000-000000000001', 42, 42, 1, 'x', 'x', 'k1', 'card', 'created', 300, 'BRL', 300, 10,
        '2000-01-01Z'),
       ('00000000-0000-7000-8000-000000000002', 43, 42, 1, 'x', 'y', 'k2', 'card', 'succeeded', 300, 'BRL', 300, 0,
        '2000-01-01Z');
INSERT INTO refunds (id, payment_id, order_id, user_id, provider_key, amount, reason, status, next_check_at)
VALUES ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000001', 42, 42, 'r', 10, 'R',
        'pending', '2000-01-01Z');
INSERT INTO ledger (order_id, payment_id, kind, amount, ref, at)
VALUES (42, '00000000-0000-7000-8000-000000000001', 'capture', 300, 'c', '2000-01-02Z');
INSERT INTO payment_events (provider, event_id, type, payload, next_try_at) VALUES ('x', 'x', 'T', '{}', '2000-01-01Z');
INSERT INTO payment_issues (kind, ref, detail) VALUES ('k', 'r', 'D');
INSERT INTO idempotency_keys (scope, route, key, request_sha256, locked_until, request_id)
VALUES ('user:42', 'r', 'k', decode(repeat('00', 32), 'hex'), '2000-01-01Z', 'r');
INSERT INTO inbox (consumer, message_id) VALUES ('c', 'm')";

/// A database with all of it, and without a service whose workers would move it.
async fn filled() -> TestDatabase {
    let database = testkit::database("orders", &orders::MIGRATOR).await;
    let mut admin = database.admin().await;
    sqlx::raw_sql("SET search_path = orders, app, public").execute(&mut admin).await.unwrap();
    sqlx::raw_sql(EVERYTHING).execute(&mut admin).await.unwrap();
    database
}

#[tokio::test]
async fn no_statement_reaches_anything_of_another_buyer() {
    let database = filled().await;
    let (aa, bb, none) = (
        format!("\\x{}", "aa".repeat(32)),
        format!("\\x{}", "bb".repeat(32)),
        format!("\\x{}", "ee".repeat(32)),
    );
    let week = "7 days";
    let coupon = ["x", "fixed", "100", "{}", "9", "1", "2000-01-01Z", "2100-01-01Z", "true"];
    let params = Params::new(OWNER, STRANGER)
        .with("TOUCH_USER_CART", [NEW, "42", week])
        .with("TOUCH_GUEST_CART", [NEW, &none, week])
        .with("ADD_LINE", [FIRST, "7", "42", "1", "100", "50"])
        .with("SET_LINE", [FIRST, "42", "2", "100", week])
        .with("REMOVE_LINE", [FIRST, "42", week])
        .with("CLEAR", [FIRST, week])
        .with("SET_COUPON", [FIRST, "x", week])
        .with("EXPIRE", ["10"])
        .with("DELETE_ENDED", ["10", "-1 days"])
        .with("DELETE_ORDERED_LINES", ["10", "-1 days"])
        .with("VARIANTS_OF_BOTH", [&aa, "42"])
        .with("LOCK_GUEST_CART", [&aa])
        .with("MERGE_REPORT", [&bb, "42"])
        .with("OWN_GUEST_CART", [SECOND, "43", "{}"])
        .with("MERGE_CARTS", [FIRST, SECOND, "{7}", "{42}", "{1}", "{100}", "{}", "{}", "x"])
        .with("LIST_COUPONS", ["10", "0"])
        .with("INSERT_COUPON", ["NEW", "fixed", "100", "{}", "9", "1", "2000-01-01Z", "2100-01-01Z", "true"])
        .with("UPDATE_COUPON", coupon)
        .with("CEP", ["1310"])
        .with("RATES", ["1310", "250"])
        .with("SEED_STOCK", ["{8}", "{42}", "{5}"])
        .with("LIST_STOCK", ["42", "{42}", "in", "10", "0"])
        .with("COUNT_STOCK", ["42", "{42}", "in"])
        .with("INSERT_LEVELS", ["{8}", "{42}"])
        .with("ADJUST_LEVELS", ["{42}", "{1}"])
        .with("INSERT_MOVEMENTS", ["{42}", "{1}", "{R}", "adjust:1"])
        .with(
            "INSERT_ORDER",
            [
                "77", "42", &none, &none, "a@x.co", "pt-BR", SPARE, "BRL", "100", "0", "0", "0", "[]", "100",
                "{}", "PAC", "x",
            ],
        )
        .with("INSERT_ITEMS", ["42", "42", "{42}", "{7}", "{S}", "{N}", "{250}", "{1}", "{100}", "{0}"])
        .with("INSERT_FIRST_ENTRY", ["44", "42"])
        .with("RESERVE", ["44", "{7}", "{1}", "60"])
        .with("GIVE_BACK_UNITS", ["42", "{42}", "{1}"])
        .with("REDEEM", ["x", "44", "user:42"])
        .with("RETURN_GOODS", ["43"])
        .with("RESERVE_AGAIN", ["44", "60"])
        .with("MOVE_ORDER", ["42", "cancelled", "staff", "R"])
        .with("CANCEL_UNITS", ["42", "{42}", "{1}"])
        .with("FULFIL_UNITS", ["42", "{42}", "{1}"])
        .with("COUNT_UNITS", ["42", "{42}", "{1}"])
        .with("INSERT_RETURNS", ["43", "42", "{1}", "{1}", "{R}"])
        .with("INSERT_SHIPMENT", ["42", "42", "D", "S", "T", "[]", "2026-01-01Z"])
        .with("REFILL_CART", [FIRST, "{7}", "{42}", "{1}", "{100}", "50", "x"])
        .with("LIST_ORDERS", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "0"])
        .with("LIST_ORDERS_AFTER", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "2100-01-01Z", "0"])
        .with("LIST_ORDERS_BEFORE", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "2000-01-01Z", "0"])
        .with("COUNT_ORDERS", ["{}", "2000-01-01Z", "2100-01-01Z"])
        .with("STAFF_LIST_ORDERS", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "0"])
        .with("STAFF_LIST_ORDERS_IN_STATUS", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "0", "paid"])
        .with("STAFF_LIST_ORDERS_OF_USER", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "0", "42"])
        .with("STAFF_LIST_ORDERS_BY_NUMBER", ["{}", "2000-01-01Z", "2100-01-01Z", "10", "0", "x"])
        .with("STAFF_COUNT_ORDERS", ["{}", "2000-01-01Z", "2100-01-01Z"])
        .with("STAFF_COUNT_ORDERS_IN_STATUS", ["{}", "2000-01-01Z", "2100-01-01Z", "paid"])
        .with("STAFF_COUNT_ORDERS_OF_USER", ["{}", "2000-01-01Z", "2100-01-01Z", "42"])
        .with("STAFF_COUNT_ORDERS_BY_NUMBER", ["{}", "2000-01-01Z", "2100-01-01Z", "x"])
        .with("NEW_ATTEMPT", [NEW, "44", "42", "1", "x", "k9", "card", "100", "BRL", "\\x00", "60"])
        .with(
            "ADVANCE",
            [FIRST, "processing", "1", "x", "300", "F", "true", "{}", "5", "{authorize}", "{300}", "{a}"],
        )
        .with("ANOTHER_LIVE", ["42", NEW])
        .with("NOTE_CAPTURE", [FIRST, "300", "n"])
        .with("KEEP_EVENT", ["x", "y", "T", "r", "{}"])
        .with("LOCK_REFUNDABLE", ["43", "true"])
        .with("NEW_REFUND", [NEW, SECOND, "43", "k9", "R", "10", "7", "[]"])
        .with("NEW_AUTO_REFUND", [NEW, SECOND, "k9", "R"])
        .with("LOCK_CART", [FIRST, "42", &none])
        // What everybody may know: the stock, what shipping costs, what a code gives. That only staff get lists of
        // coupons and counts of stock is up to the calls. An order of which nothing is seen is overdue to anybody, and
        // has no coupon to be used up once more.
        .public([
            "IS_OVERDUE",
            "REDEEM_AGAIN",
            "LIST_STOCK",
            "COUNT_STOCK",
            "AVAILABILITY",
            "KNOWN_VARIANTS",
            "CEP",
            "RATES",
            "GIVEN_COUPON",
            "LIST_COUPONS",
            "COUNT_COUPONS",
            "GET_COUPON",
        ]);
    let report = walk(&database, "orders", orders::statements(), &params).await;
    // Answer nothing that could be seen; or ask for a cart without a token, and no walk says null.
    report.all_proven_but(&["REDEEM", "GIVE_COUPON_BACK", "LOCK_CART"]);
}

#[tokio::test]
async fn the_login_has_no_way_around_the_policies() {
    tables(&filled().await, "orders").await;
}
