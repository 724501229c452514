//! Good data, and ways to spoil it: each with the invariant that must notice.

use crate::system::Database;

/// A state that nothing is wrong with.
pub(super) fn good(database: Database) -> String {
    let own = match database {
        Database::Orders => include_str!("orders_good.sql"),
        Database::Accounts => {
            "INSERT INTO accounts.users (id, email, name, version) VALUES (5, 'a@mestrescafe.dev', 'Ana', 2);
             INSERT INTO accounts.sessions (id, user_id, created_at, last_used_at, auth_at, expires_at)
             VALUES ('00000000-0000-7000-8000-000000000001', 5, now(), now(), now(), now() + interval '1 day');
             INSERT INTO accounts.refresh_tokens (token_sha256, session_id, user_id, created_at, expires_at)
             VALUES (sha256('a'), '00000000-0000-7000-8000-000000000001', 5, now(), now() + interval '1 day');
             INSERT INTO accounts.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, published_at)
             VALUES (gen_random_uuid(), 's', 'user', '5', 2, 0, '', '{t}', now());"
        }
        Database::Agenda => {
            "INSERT INTO agenda.events (id, user_id, title, kind, starts_at, ends_at, version)
             VALUES (1, 5, 'Aula', 'aula', '2030-01-01T10:00:00Z', '2030-01-01T11:00:00Z', 2);
             INSERT INTO agenda.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, published_at)
             SELECT gen_random_uuid(), 's', 'event', '1', v, 0, '', '{t}', now() FROM generate_series(1, 2) AS v;"
        }
        Database::Catalog => {
            "UPDATE catalog.variants SET version = 3 WHERE id = (SELECT min(id) FROM catalog.variants);
             INSERT INTO catalog.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, published_at)
             SELECT gen_random_uuid(), 's', 'price', (SELECT min(id)::text FROM catalog.variants), v, 0, '', '{t}', now()
               FROM generate_series(2, 3) AS v;
             INSERT INTO chk.acks VALUES (1, 100, 1), (1, 101, 5);
             INSERT INTO chk.reads VALUES ('user:5', 1, 100, 2, 2.1), ('user:5', 1, 101, 9, 9.1), ('user:6', 1, 100, 7, 7.1);
             INSERT INTO chk.cache
             SELECT 'gateway-0', v.product_id, p.amount FROM catalog.variants v JOIN catalog.prices p ON p.variant_id = v.id;"
        }
        Database::Notifications => {
            "INSERT INTO notifications.feeds (user_id, last_seq, kept, unread, version) VALUES (5, 1, 1, 1, 1);
             INSERT INTO notifications.notifications (user_id, seq, kind, title, body, dedupe_key)
             VALUES (5, 1, 'order', 'Pedido', '', 'order:1:paid');
             INSERT INTO notifications.emails (id, dedupe_key, template, locale, sealed, message_id)
             VALUES (gen_random_uuid(), 'order:1:paid', 'order_paid', 'en', '', 'm1');
             INSERT INTO notifications.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, published_at)
             VALUES (gen_random_uuid(), 's', 'feed', '5', 1, 0, '', '{t}', now());"
        }
        Database::Invalidator => "",
    };
    format!("{own} INSERT INTO chk.applied SELECT id FROM {}.outbox;", database.schema())
}

/// What must be noticed, and what does it.
pub(super) fn of(database: Database) -> &'static [(&'static str, &'static str)] {
    match database {
        Database::Accounts => &ACCOUNTS,
        Database::Agenda => &AGENDA,
        Database::Catalog => &CATALOG,
        Database::Notifications => &NOTIFICATIONS,
        Database::Orders => &ORDERS,
        Database::Invalidator => &[],
    }
}

const ACCOUNTS: [(&str, &str); 3] = [
    ("I15", "UPDATE accounts.users SET version = 3"),
    ("I17", "UPDATE accounts.outbox SET published_at = NULL"),
    (
        "I25",
        "INSERT INTO accounts.refresh_tokens (token_sha256, session_id, user_id, created_at, expires_at)
         VALUES (sha256('b'), '00000000-0000-7000-8000-000000000001', 5, now(), now() + interval '1 day')",
    ),
];

const AGENDA: [(&str, &str); 3] = [
    ("I15", "UPDATE agenda.events SET version = 3"),
    ("I16", "DELETE FROM agenda.outbox WHERE aggregate_version = 1; UPDATE agenda.events SET version = 4;
             INSERT INTO agenda.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags)
             VALUES (gen_random_uuid(), 's', 'event', '1', 4, 0, '', '{}')"),
    ("I18", "DELETE FROM chk.applied"),
];

const CATALOG: [(&str, &str); 5] = [
    ("I15", "UPDATE catalog.variants SET version = 4 WHERE version = 3"),
    ("I16", "UPDATE catalog.outbox SET aggregate_version = 5 WHERE aggregate_version = 3"),
    ("I19", "INSERT INTO chk.reads VALUES ('user:7', 1, 100, 8.5, 8.6)"),
    ("I20", "INSERT INTO chk.reads VALUES ('user:5', 1, 100, 9.5, 9.6)"),
    ("I21", "UPDATE chk.cache SET amount = amount + 1"),
];

const NOTIFICATIONS: [(&str, &str); 5] = [
    ("I15", "UPDATE notifications.feeds SET version = 2"),
    (
        "I26 somebody was told twice",
        "INSERT INTO notifications.notifications (user_id, seq, kind, title, body, dedupe_key)
         VALUES (5, 2, 'order', 'Pedido', '', 'order:1:paid')",
    ),
    (
        "I26 somebody was written to twice",
        "INSERT INTO notifications.emails (id, dedupe_key, template, locale, sealed, message_id)
         VALUES (gen_random_uuid(), 'order:1:paid', 'order_paid', 'en', '', 'm2')",
    ),
    ("I26 feed miscounts", "UPDATE notifications.feeds SET unread = 0"),
    ("I18", "DELETE FROM chk.applied"),
];

const ORDERS: [(&str, &str); 55] = [
    ("I01", "UPDATE orders.stock_levels SET reserved = on_hand + 1"),
    ("I01", "UPDATE orders.stock_levels SET on_hand = -1"),
    ("I02", "UPDATE orders.stock_levels SET reserved = reserved + 1"),
    ("I02", "UPDATE orders.reservations SET quantity = 0 WHERE state = 'held'"),
    ("I03 stock not conserved", "UPDATE orders.stock_levels SET on_hand = on_hand + 1"),
    ("I03 stock not conserved", "UPDATE orders.reservations SET quantity = 1 WHERE state = 'committed'"),
    ("I03 stock moved without a movement", "DELETE FROM orders.stock_movements WHERE kind = 'commit'"),
    ("I04", "UPDATE orders.reservations SET state = 'released' WHERE order_id = 1"),
    ("I04", "UPDATE orders.order_items SET cancelled = 1 WHERE order_id = 1"),
    ("I05", "UPDATE orders.orders SET status = 'expired' WHERE id = 2"),
    ("I05 dead order kept", "UPDATE orders.orders SET status = 'cancelled' WHERE id = 1"),
    ("I05 dead order kept", "UPDATE orders.orders SET status = 'refunded' WHERE id = 1"),
    (
        "I06 taken twice",
        "INSERT INTO chk.prov VALUES ('pi_2', 1, 'capture', 2500), ('pi_2', 1, 'refund', 2500)",
    ),
    ("I06 money left", "INSERT INTO chk.prov VALUES ('pi_2', 1, 'hold', 2500)"),
    (
        "I13 a person",
        "INSERT INTO orders.payment_issues (kind, ref, detail) VALUES ('paid_twice', 'pi_1', 'paid twice')",
    ),
    ("I06 charged twice", "INSERT INTO chk.prov VALUES ('pi_2', 1, 'capture', 2500)"),
    ("I06 captured twice", "INSERT INTO chk.prov VALUES ('pi_1', 1, 'capture', 1)"),
    ("I07", "UPDATE chk.prov SET amount = 5000 WHERE kind = 'capture'"),
    ("I07", "INSERT INTO chk.prov VALUES ('pi_9', 99, 'capture', 1)"),
    ("I08", "INSERT INTO chk.prov VALUES ('pi_9', 2, 'capture', 1500)"),
    ("I08", "INSERT INTO chk.prov VALUES ('pi_9', 99, 'capture', 1)"),
    ("I09 paid order without money", "DELETE FROM chk.prov"),
    ("I09 paid order without money", "UPDATE orders.orders SET status = 'paid' WHERE id = 2"),
    ("I09 the shop's idea", "UPDATE orders.orders SET refunded_amount = 0 WHERE id = 1"),
    ("I09 the shop's idea", "DELETE FROM chk.prov WHERE kind = 'refund'"),
    ("I10", "INSERT INTO chk.hist VALUES (9, 'checkout', 'k9', 'ok', 201, 99, 'x')"),
    ("I10", "INSERT INTO chk.hist VALUES (9, 'pay', 'k9', 'ok', 200, 2, 'x')"),
    ("I11 ledger", "DELETE FROM orders.ledger WHERE kind = 'capture'"),
    ("I11 ledger", "INSERT INTO chk.prov VALUES ('pi_9', 99, 'capture', 1)"),
    ("I11 payment", "UPDATE orders.payments SET captured_amount = 0"),
    ("I12", "INSERT INTO chk.hist VALUES (9, 'checkout', 'k1', 'ok', 201, 2, 'a')"),
    ("I12", "INSERT INTO chk.hist VALUES (9, 'checkout', 'k1', 'ok', 201, 1, 'another body')"),
    ("I12", "INSERT INTO chk.hist VALUES (9, 'pay', 'k2', 'ok', 200, 1, 'another body')"),
    ("I13 payment", "UPDATE orders.payments SET status = 'unknown'"),
    ("I13 payment", "UPDATE orders.payments SET status = 'requires_capture'"),
    ("I13 refund", "UPDATE orders.refunds SET status = 'pending'"),
    (
        "I13 word",
        "INSERT INTO orders.payment_events (provider, event_id, type, payload) VALUES ('sandbox', 'evt_1', 't', '{}')",
    ),
    (
        "I14",
        "INSERT INTO orders.idempotency_keys (scope, route, key, request_sha256, locked_until, request_id)
         VALUES ('user:5', 'POST /x', 'k', sha256('x'), now(), 'r')",
    ),
    ("I15", "UPDATE orders.orders SET version = version + 1 WHERE id = 1"),
    ("I15", "DELETE FROM orders.outbox WHERE aggregate = 'payment'"),
    ("I15", "UPDATE orders.carts SET version = 3 WHERE version = 2"),
    ("I15", "UPDATE orders.stock_levels SET version = version + 1"),
    ("I15", "UPDATE orders.stock_levels SET band_version = 2"),
    ("I16", "DELETE FROM orders.outbox WHERE aggregate = 'stock' AND aggregate_version = 3"),
    ("I17", "UPDATE orders.outbox SET published_at = NULL WHERE aggregate = 'cart'"),
    ("I18", "DELETE FROM chk.applied WHERE outbox_id = (SELECT id FROM orders.outbox LIMIT 1)"),
    ("I22", "INSERT INTO chk.seen VALUES ('user:6', 'orders', 'user:5')"),
    ("I23 history", "UPDATE orders.order_history SET from_status = 'shipped' WHERE order_id = 1 AND seq = 2"),
    ("I23 order", "UPDATE orders.orders SET status = 'processing' WHERE id = 1"),
    ("I23 history", "UPDATE orders.order_history SET seq = 7 WHERE order_id = 1 AND seq = 2"),
    ("I24", "UPDATE orders.coupons SET used = 0"),
    ("I24 dead order", "UPDATE orders.orders SET status = 'expired' WHERE id = 1"),
    ("I27", "CREATE TABLE orders.leak (user_id bigint); GRANT SELECT ON orders.leak TO mc_user"),
    ("I28", "GRANT TRUNCATE ON orders.orders TO mc_service"),
    ("I29", "CREATE VIEW orders.everything AS SELECT * FROM orders.orders"),
];
