-- Whoever cannot have an order is told of every line that is short, not of the first one only.

-- As before, but MC409 names all variants that are short in its detail, ascending and separated by commas, and what is
-- left of each in its hint.
CREATE OR REPLACE FUNCTION orders.reserve(p_order bigint, p_variants bigint[], p_quantities int[], p_ttl interval)
RETURNS SETOF orders.stock_change
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
DECLARE
    r      record;
    change orders.stock_change;
    short  text;
    remain text;
BEGIN
    FOR r IN SELECT u.v, sum(u.q)::int AS q FROM unnest(p_variants, p_quantities) AS u(v, q) GROUP BY u.v ORDER BY u.v LOOP
        INSERT INTO orders.reservations AS mine (order_id, variant_id, quantity, expires_at)
        SELECT p_order, r.v, r.q, now() + p_ttl WHERE EXISTS (SELECT FROM orders.stock_levels s WHERE s.variant_id = r.v)
        ON CONFLICT (order_id, variant_id, location_id) DO UPDATE
           SET quantity = EXCLUDED.quantity, state = 'held', expires_at = EXCLUDED.expires_at
         WHERE mine.state = 'released';
        IF FOUND THEN
            UPDATE orders.stock_levels s
               SET reserved = s.reserved + r.q, version = s.version + 1, updated_at = now(),
                   band_version = s.band_version
                       + (orders.band(s.on_hand, s.reserved + r.q, s.low_threshold, s.backorder) <> s.band)::int
             WHERE s.variant_id = r.v AND s.location_id = 1 AND (s.backorder OR s.on_hand - s.reserved >= r.q)
            RETURNING s.variant_id, s.product_id, s.on_hand, s.reserved, s.version,
                      orders.band(s.on_hand, s.reserved - r.q, s.low_threshold, s.backorder), s.band, s.band_version
                 INTO change;
        ELSE
            CONTINUE WHEN EXISTS (SELECT FROM orders.reservations v WHERE v.order_id = p_order AND v.variant_id = r.v);
        END IF;
        IF NOT FOUND THEN
            -- Lines before this one were promised; of those after it, what is there is as it is seen now.
            SELECT string_agg(l.v::text, ',' ORDER BY l.v),
                   string_agg(greatest(coalesce(s.on_hand - s.reserved, 0), 0)::text, ',' ORDER BY l.v)
              INTO short, remain
              FROM (SELECT u.v, sum(u.q)::int AS q FROM unnest(p_variants, p_quantities) AS u(v, q) GROUP BY u.v) l
              LEFT JOIN orders.stock_levels s ON s.variant_id = l.v AND s.location_id = 1
             WHERE l.v = r.v
                OR (l.v > r.v
                    AND (s.variant_id IS NULL OR (NOT s.backorder AND s.on_hand - s.reserved < l.q))
                    AND NOT EXISTS (SELECT FROM orders.reservations v
                                     WHERE v.order_id = p_order AND v.variant_id = l.v AND v.state <> 'released'));
            RAISE EXCEPTION 'out_of_stock' USING ERRCODE = 'MC409', DETAIL = short, HINT = remain;
        END IF;
        INSERT INTO orders.stock_movements (variant_id, location_id, kind, reserved_delta, ref)
        VALUES (r.v, 1, 'reserve', r.q, 'order:' || p_order || ':' || change.version);
        RETURN NEXT change;
    END LOOP;
END $$;
