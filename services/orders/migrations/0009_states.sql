-- The states of an order and its steps are rules, not secrets; but no table goes without policies. Checks of foreign
-- keys look past them.
ALTER TABLE orders.order_statuses ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.order_statuses FORCE ROW LEVEL SECURITY;
ALTER TABLE orders.allowed_transitions ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.allowed_transitions FORCE ROW LEVEL SECURITY;
CREATE POLICY staff ON orders.order_statuses FOR SELECT TO mc_admin, mc_service USING (true);
CREATE POLICY staff ON orders.allowed_transitions FOR SELECT TO mc_admin, mc_service USING (true);
