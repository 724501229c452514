-- Carts that came to their end are found by when they did, to be deleted. Those that became orders stay with them, empty.
CREATE INDEX carts_ended ON orders.carts (updated_at) WHERE state IN ('merged', 'expired');
