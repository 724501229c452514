-- What is owed to somebody whose account is erased still has to reach them: where an order goes to is kept until it is on
-- its way or comes to nothing. Free text about them goes at once.

GRANT UPDATE (reason) ON orders.order_history, orders.returns TO mc_service;

-- As before; and an erased buyer's address goes with the step after which nobody needs it. A guest's order has a token of
-- its own, an erased account's has none.
CREATE OR REPLACE FUNCTION orders.move(p_order bigint, p_to text, p_actor text, p_reason text,
                                       OUT from_status text, OUT seq int, OUT version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
    owner bigint;
BEGIN
    SELECT o.status, o.user_id INTO from_status, owner FROM orders.orders o WHERE o.id = p_order FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(max(h.seq), 0) + 1 INTO seq FROM orders.order_history h WHERE h.order_id = p_order;
    INSERT INTO orders.order_history (order_id, seq, user_id, from_status, to_status, actor, reason)
    VALUES (p_order, seq, owner, from_status, p_to, p_actor, p_reason);
    UPDATE orders.orders o
       SET status = p_to, version = o.version + 1, updated_at = now(),
           shipping_address = CASE WHEN o.user_id IS NULL AND o.order_token_sha256 IS NULL
                                        AND p_to NOT IN ('pending_payment', 'payment_failed', 'paid', 'processing')
                                   THEN NULL ELSE o.shipping_address END
     WHERE o.id = p_order RETURNING o.version INTO version;
END $$;
