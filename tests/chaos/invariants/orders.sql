-- Stock -----------------------------------------------------------------------------------------------------------
UNION ALL SELECT 'I01 oversold', variant_id::text
  FROM orders.stock_levels WHERE on_hand < 0 OR reserved < 0 OR (reserved > on_hand AND NOT backorder)
UNION ALL SELECT 'I02 reserved is not what is held', s.variant_id || ': ' || s.reserved || ' <> ' || coalesce(r.q, 0)
  FROM orders.stock_levels s
  LEFT JOIN (SELECT variant_id, location_id, sum(quantity) AS q FROM orders.reservations WHERE state = 'held' GROUP BY 1, 2) r
 USING (variant_id, location_id)
 WHERE s.reserved <> coalesce(r.q, 0)
UNION ALL SELECT 'I03 stock not conserved', s.variant_id || ': ' || s.on_hand
  FROM orders.stock_levels s
  JOIN chk.stock0 z USING (variant_id)
  LEFT JOIN (SELECT variant_id, sum(quantity) AS q FROM orders.reservations WHERE state = 'committed' GROUP BY 1) c
 USING (variant_id)
  LEFT JOIN (SELECT m.variant_id, sum(m.on_hand_delta) AS q FROM orders.stock_movements m JOIN chk.stock0 z0 USING (variant_id)
              WHERE m.kind IN ('receive', 'adjust') AND m.id > z0.movement_id GROUP BY 1) m
 USING (variant_id)
 WHERE s.on_hand <> z.on_hand + coalesce(m.q, 0) - coalesce(c.q, 0)
UNION ALL SELECT 'I03 stock moved without a movement', s.variant_id::text
  FROM orders.stock_levels s
  JOIN chk.stock0 z USING (variant_id)
  LEFT JOIN (SELECT m.variant_id, sum(m.on_hand_delta) AS h, sum(m.reserved_delta) AS r
               FROM orders.stock_movements m JOIN chk.stock0 z0 USING (variant_id)
              WHERE m.id > z0.movement_id GROUP BY 1) m
 USING (variant_id)
 WHERE s.on_hand <> z.on_hand + coalesce(m.h, 0) OR s.reserved <> z.reserved + coalesce(m.r, 0)
UNION ALL SELECT 'I04 paid order without its stock', o.id || ': variant ' || i.variant_id
  FROM orders.orders o
  JOIN orders.order_items i ON i.order_id = o.id
  LEFT JOIN (SELECT order_id, variant_id, sum(quantity) AS q FROM orders.reservations WHERE state = 'committed' GROUP BY 1, 2) r
    ON r.order_id = o.id AND r.variant_id = i.variant_id
 WHERE o.status IN ('paid', 'processing', 'shipped', 'delivered') AND i.quantity - i.cancelled <> coalesce(r.q, 0)
UNION ALL SELECT 'I05 dead order still holds stock', o.id || ': ' || o.status
  FROM orders.orders o JOIN orders.reservations r ON r.order_id = o.id
 WHERE o.status IN ('expired', 'cancelled', 'refunded') AND r.state = 'held'
UNION ALL SELECT 'I05 dead order kept its goods', o.id || ': ' || o.status
  FROM orders.orders o JOIN orders.reservations r ON r.order_id = o.id
 WHERE r.state = 'committed' AND r.quantity > 0
   AND (o.status IN ('expired', 'cancelled')
        OR (o.status = 'refunded' AND NOT EXISTS (SELECT FROM orders.shipments s WHERE s.order_id = o.id)))
-- Money -----------------------------------------------------------------------------------------------------------
UNION ALL SELECT 'I06 charged twice', p.order_id::text
  FROM (SELECT charge, order_id, sum(amount) FILTER (WHERE kind = 'capture') AS taken,
               coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS returned
          FROM chk.prov GROUP BY 1, 2) p
 WHERE p.taken > p.returned GROUP BY p.order_id HAVING count(*) > 1
UNION ALL SELECT 'I06 captured twice on one authorization', charge
  FROM chk.prov WHERE kind = 'capture' GROUP BY charge HAVING count(*) > 1
-- Money that was given back at once is money that was taken twice all the same.
UNION ALL SELECT 'I06 taken twice for one order', order_id::text
  FROM chk.prov WHERE kind = 'capture' GROUP BY order_id HAVING count(*) > 1
UNION ALL SELECT 'I06 money left authorized', charge FROM chk.prov WHERE kind = 'hold'
UNION ALL SELECT 'I07 net charge above the order''s total', p.order_id::text
  FROM chk.prov p LEFT JOIN orders.orders o ON o.id = p.order_id
 GROUP BY p.order_id, o.total_amount
HAVING sum(CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount ELSE 0 END) > coalesce(o.total_amount, 0)
UNION ALL SELECT 'I08 money taken, order neither paid nor refunded', p.order_id || ': ' || coalesce(o.status, 'no such order')
  FROM chk.prov p LEFT JOIN orders.orders o ON o.id = p.order_id
 GROUP BY p.order_id, o.status
HAVING sum(CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount ELSE 0 END) > 0
   AND coalesce(o.status, '?') NOT IN ('paid', 'processing', 'shipped', 'delivered', 'return_requested', 'returned',
                                       'partially_refunded')
UNION ALL SELECT 'I09 paid order without money', o.id || ': ' || o.status
  FROM orders.orders o
 WHERE o.status IN ('paid', 'processing', 'shipped', 'delivered', 'return_requested', 'returned', 'partially_refunded')
   AND o.total_amount > 0
   AND NOT EXISTS (SELECT FROM chk.prov p WHERE p.order_id = o.id AND p.kind = 'capture' AND p.amount = o.total_amount)
UNION ALL SELECT 'I09 the shop''s idea of what it keeps is not the provider''s', o.id || ': ' || o.total_amount - o.refunded_amount
                 || ' <> ' || coalesce(p.net, 0)
  FROM orders.orders o
  LEFT JOIN (SELECT order_id, sum(CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount ELSE 0 END) AS net FROM chk.prov GROUP BY 1) p
    ON p.order_id = o.id
 WHERE o.status IN ('paid', 'processing', 'shipped', 'delivered', 'return_requested', 'returned', 'partially_refunded', 'refunded')
   AND o.total_amount - o.refunded_amount <> coalesce(p.net, 0)
UNION ALL SELECT 'I10 acknowledged order lost', h.order_id || ': ' || coalesce(o.status, 'no such order')
  FROM chk.hist h LEFT JOIN orders.orders o ON o.id = h.order_id
 WHERE h.outcome = 'ok' AND h.order_id IS NOT NULL
   AND (   (h.kind IN ('checkout', 'pay') AND o.id IS NULL)
        OR (h.kind = 'pay' AND h.http = 200 AND o.status IN ('pending_payment', 'payment_failed', 'expired')))
UNION ALL SELECT 'I11 ledger is not the provider''s', order_id || ': ' || coalesce(x.a, 0) || ' <> ' || coalesce(y.a, 0)
  FROM (SELECT order_id, sum(CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount ELSE 0 END) AS a
          FROM orders.ledger GROUP BY 1) x
  FULL JOIN (SELECT order_id, sum(CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount ELSE 0 END) AS a FROM chk.prov GROUP BY 1) y
 USING (order_id)
 WHERE coalesce(x.a, 0) <> coalesce(y.a, 0)
UNION ALL SELECT 'I11 payment is not what its ledger says', p.id::text
  FROM orders.payments p
  LEFT JOIN (SELECT payment_id, sum(amount) FILTER (WHERE kind = 'capture') AS taken,
                    sum(amount) FILTER (WHERE kind = 'refund') AS returned FROM orders.ledger GROUP BY 1) l
    ON l.payment_id = p.id
 WHERE p.captured_amount <> coalesce(l.taken, 0) OR p.refunded_amount <> coalesce(l.returned, 0)
UNION ALL SELECT 'I12 one key, two effects', key
  FROM chk.hist
 WHERE key IS NOT NULL AND outcome = 'ok' AND http IN (200, 201) 
   AND kind IN ('checkout', 'checkout_cancel', 'pay', 'cart_add', 'order_cancel', 'refund', 'stock_adjust')
 GROUP BY key HAVING count(DISTINCT order_id) > 1 OR count(DISTINCT body_sha) > 1
UNION ALL SELECT 'I13 payment unsettled', id || ': ' || status
  FROM orders.payments WHERE status IN ('created', 'processing', 'requires_capture', 'unknown')
UNION ALL SELECT 'I13 refund unsettled', id::text FROM orders.refunds WHERE status = 'pending'
UNION ALL SELECT 'I13 word of the provider not heard', event_id FROM orders.payment_events WHERE processed_at IS NULL
-- A provider that lies is the only reason for a person to be called.
UNION ALL SELECT 'I13 a person was called', kind || ' ' || ref || ': ' || detail
  FROM orders.payment_issues WHERE kind NOT IN ('event_mismatch', 'unknown_intent')
UNION ALL SELECT 'I14 idempotency row stuck', scope || '/' || key FROM orders.idempotency_keys WHERE state = 'in_flight'
-- Events ----------------------------------------------------------------------------------------------------------
UNION ALL SELECT 'I15 mutation without event', a.kind || ' ' || a.id || ': ' || a.version || ' <> ' || coalesce(e.v::text, 'none')
  FROM (SELECT 'order' AS kind, id::text AS id, version, 1 AS first FROM orders.orders
        UNION ALL SELECT 'payment', id::text, version, 1 FROM orders.payments
        UNION ALL SELECT 'cart', id::text, version, 1 FROM orders.carts
        -- What was there before the first event has version 1.
        UNION ALL SELECT 'stock', variant_id::text, version, 2 FROM orders.stock_levels
        UNION ALL SELECT 'stock_band', variant_id::text, band_version, 2 FROM orders.stock_levels) a
  LEFT JOIN (SELECT aggregate, aggregate_id, max(aggregate_version) AS v FROM orders.outbox GROUP BY 1, 2) e
    ON e.aggregate = a.kind AND e.aggregate_id = a.id
 WHERE a.version >= a.first AND e.v IS DISTINCT FROM a.version
UNION ALL SELECT 'I16 gap in versions', aggregate || ' ' || aggregate_id
  FROM orders.outbox WHERE aggregate IN ('order', 'payment', 'cart', 'stock', 'stock_band')
 GROUP BY aggregate, aggregate_id HAVING count(*) <> max(aggregate_version) - min(aggregate_version) + 1
UNION ALL SELECT 'I22 somebody saw what is another''s', viewer || ' saw ' || owner || '''s on ' || route
  FROM chk.seen WHERE owner <> viewer
UNION ALL SELECT 'I23 history is broken', order_id || ' at ' || seq
  FROM (SELECT order_id, seq, from_status, lag(to_status) OVER w AS before, row_number() OVER w AS place
          FROM orders.order_history WINDOW w AS (PARTITION BY order_id ORDER BY seq)) q
 WHERE seq <> place OR before IS DISTINCT FROM from_status
UNION ALL SELECT 'I23 order is not where its history ends', o.id || ': ' || o.status
  FROM orders.orders o
  LEFT JOIN LATERAL (SELECT to_status FROM orders.order_history h WHERE h.order_id = o.id ORDER BY seq DESC LIMIT 1) h ON true
 WHERE h.to_status IS DISTINCT FROM o.status
UNION ALL SELECT 'I24 coupon used too often or miscounted', c.code::text
  FROM orders.coupons c LEFT JOIN orders.coupon_redemptions r USING (code)
 GROUP BY c.code, c.used, c.usage_limit
HAVING count(r.*) > coalesce(c.usage_limit, 2147483647) OR count(r.*) <> c.used
UNION ALL SELECT 'I24 dead order keeps its coupon', o.id || ': ' || o.status
  FROM orders.orders o JOIN orders.coupon_redemptions r ON r.order_id = o.id WHERE o.status IN ('expired', 'cancelled')
UNION ALL SELECT 'cart turned into no order', c.id::text
  FROM orders.carts c WHERE c.state = 'converted' AND NOT EXISTS (SELECT FROM orders.orders o WHERE o.cart_id = c.id)
