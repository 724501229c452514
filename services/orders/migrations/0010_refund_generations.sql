-- Which key of a refund is in use: one that the provider has burned is given up for the next, never two at once. The
-- first is the refund's own, later ones are it and their number.
ALTER TABLE orders.refunds ADD COLUMN generation int NOT NULL DEFAULT 0 CHECK (generation >= 0);

-- How often an event could not be worked through; `attempts` counts those that no process came back from as well.
ALTER TABLE orders.payment_events ADD COLUMN failures int NOT NULL DEFAULT 0 CHECK (failures >= 0);

-- The same thing may happen again after somebody has dealt with it.
ALTER TABLE orders.payment_issues DROP CONSTRAINT payment_issues_kind_ref_key;
CREATE UNIQUE INDEX one_open_issue ON orders.payment_issues (kind, ref) WHERE resolved_at IS NULL;

-- Uses a coupon up once more for an order that it was given back of: money that came late. The price was agreed on, so
-- its dates do not matter any more; its limits do. False, and nothing is used up, when somebody else has it now.
CREATE FUNCTION orders.redeem_again(p_order bigint) RETURNS bool
LANGUAGE plpgsql SET search_path = pg_catalog, public
AS $$
DECLARE
    named    public.citext;
    customer text;
    slots    int;
    taken    int;
BEGIN
    SELECT o.coupon_code,
           coalesce('user:' || o.user_id, 'mail:' || encode(sha256(convert_to(lower(o.email::text), 'UTF8')), 'hex'),
                    'erased:' || o.id)
      INTO named, customer FROM orders.orders o WHERE o.id = p_order;
    IF named IS NULL OR EXISTS (SELECT FROM orders.coupon_redemptions r WHERE r.order_id = p_order) THEN
        RETURN true;
    END IF;
    SELECT c.per_customer_limit INTO slots FROM orders.coupons c
     WHERE c.code = named AND (c.usage_limit IS NULL OR c.used < c.usage_limit) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT min(n) INTO taken FROM generate_series(1, slots) n
     WHERE NOT EXISTS (SELECT FROM orders.coupon_redemptions r
                        WHERE r.code = named AND r.customer_key = customer AND r.slot = n);
    IF taken IS NULL THEN
        RETURN false;
    END IF;
    UPDATE orders.coupons c SET used = c.used + 1 WHERE c.code = named;
    INSERT INTO orders.coupon_redemptions (code, order_id, customer_key, slot)
    VALUES (named, p_order, customer, taken);
    RETURN true;
END $$;
