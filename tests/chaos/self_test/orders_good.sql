-- Order 1 is paid and partly refunded, order 2 waits for its money; both are of variant 1, of which there were ten.
INSERT INTO orders.stock_levels (variant_id, product_id, on_hand, reserved, version) VALUES (1, 1, 8, 1, 4);
INSERT INTO orders.carts (id, user_id, state, version, expires_at) VALUES
    ('00000000-0000-7000-8000-000000000001', 5, 'converted', 2, now() + interval '1 day'),
    ('00000000-0000-7000-8000-000000000002', 6, 'converted', 2, now() + interval '1 day');
INSERT INTO orders.orders (id, number, user_id, cart_id, status, items_amount, shipping_amount, tax_amount, total_amount,
                           refunded_amount, shipping_service, version) VALUES
    (1, 'MC-1', 5, '00000000-0000-7000-8000-000000000001', 'paid', 2000, 500, 0, 2500, 300, 'PAC', 3),
    (2, 'MC-2', 6, '00000000-0000-7000-8000-000000000002', 'pending_payment', 1000, 500, 0, 1500, 0, 'PAC', 1);
INSERT INTO orders.order_items (order_id, user_id, line, product_id, variant_id, sku, name, weight_g, quantity, unit_amount,
                                total_amount) VALUES
    (1, 5, 1, 1, 1, 'S', 'Café', 250, 2, 1000, 2000),
    (2, 6, 1, 1, 1, 'S', 'Café', 250, 1, 1000, 1000);
INSERT INTO orders.order_history (order_id, seq, user_id, from_status, to_status, actor) VALUES
    (1, 1, 5, NULL, 'pending_payment', 'customer'),
    (1, 2, 5, 'pending_payment', 'paid', 'provider'),
    (2, 1, 6, NULL, 'pending_payment', 'customer');
INSERT INTO orders.reservations (order_id, variant_id, quantity, state, expires_at) VALUES
    (1, 1, 2, 'committed', now()), (2, 1, 1, 'held', now() + interval '1 hour');
INSERT INTO orders.stock_movements (variant_id, location_id, kind, on_hand_delta, reserved_delta, ref) VALUES
    (1, 1, 'reserve', 0, 2, 'order:1:2'), (1, 1, 'commit', -2, -2, 'order:1:3'), (1, 1, 'reserve', 0, 1, 'order:2:4');
INSERT INTO orders.coupons (code, kind, value, usage_limit, used) VALUES ('CAFE', 'fixed', 0, 1, 1);
INSERT INTO orders.coupon_redemptions (code, order_id, customer_key, slot) VALUES ('CAFE', 1, 'user:5', 1);
INSERT INTO orders.payments (id, order_id, user_id, attempt, provider, provider_ref, provider_key, method, status, status_rank,
                             amount, currency, captured_amount, refunded_amount) VALUES
    ('00000000-0000-7000-8000-00000000000a', 1, 5, 1, 'sandbox', 'pi_1', 'mc:1:1:create', 'card', 'succeeded', 10, 2500, 'BRL',
     2500, 300);
INSERT INTO orders.refunds (id, payment_id, order_id, user_id, provider_key, amount, reason, status) VALUES
    ('00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-00000000000a', 1, 5, 'r', 300, 'x', 'succeeded');
INSERT INTO orders.ledger (order_id, payment_id, kind, amount, ref) VALUES
    (1, '00000000-0000-7000-8000-00000000000a', 'authorize', 2500, 'a'),
    (1, '00000000-0000-7000-8000-00000000000a', 'capture', 2500, 'c'),
    (1, '00000000-0000-7000-8000-00000000000a', 'refund', 300, 'r');
INSERT INTO orders.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, published_at)
SELECT gen_random_uuid(), 's', kind, id, version, 0, '', '{t}', now()
  FROM (VALUES ('order', '1', 1, 3), ('order', '2', 1, 1), ('stock', '1', 2, 4),
               ('payment', '00000000-0000-7000-8000-00000000000a', 1, 1),
               ('cart', '00000000-0000-7000-8000-000000000001', 1, 2),
               ('cart', '00000000-0000-7000-8000-000000000002', 1, 2)) AS a (kind, id, first, last),
       generate_series(a.first, a.last) AS version;
INSERT INTO chk.stock0 VALUES (1, 10, 0, 0);
INSERT INTO chk.prov VALUES ('pi_1', 1, 'capture', 2500), ('pi_1', 1, 'refund', 300);
INSERT INTO chk.hist VALUES (1, 'checkout', 'k1', 'ok', 201, 1, 'a'), (2, 'checkout', 'k1', 'ok', 201, 1, 'a'),
                            (3, 'pay', 'k2', 'ok', 202, 1, 'b'), (4, 'pay', 'k2', 'ok', 200, 1, 'c');
INSERT INTO chk.seen VALUES ('user:5', 'orders', 'user:5');
