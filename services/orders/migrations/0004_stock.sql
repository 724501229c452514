-- Stock: what is there, what is promised, and every movement of it.
--
-- Stock lives with orders, so that an order, its reservations and its coupon are one local transaction. Lock order
-- everywhere: the order's row first, then stock by ascending variant; one order per transaction.

-- What a buyer is told about a quantity.
CREATE FUNCTION orders.band(on_hand int, reserved int, low_threshold int, backorder bool) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN backorder THEN 'in'
                WHEN on_hand - reserved <= 0 THEN 'out'
                WHEN on_hand - reserved <= low_threshold THEN 'low'
                ELSE 'in' END
$$;

CREATE TABLE orders.stock_levels (
    variant_id    bigint NOT NULL CHECK (variant_id > 0),
    location_id   int NOT NULL DEFAULT 1 CHECK (location_id > 0),
    product_id    bigint NOT NULL CHECK (product_id > 0),
    on_hand       int NOT NULL CHECK (on_hand >= 0),
    reserved      int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    low_threshold int NOT NULL DEFAULT 5 CHECK (low_threshold >= 0),
    backorder     bool NOT NULL DEFAULT false,
    band          text NOT NULL GENERATED ALWAYS AS (orders.band(on_hand, reserved, low_threshold, backorder)) STORED,
    -- Versions of the events that say so: one for each change of counts, one for each change of the band.
    version       bigint NOT NULL DEFAULT 1,
    band_version  bigint NOT NULL DEFAULT 1,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (variant_id, location_id),
    CONSTRAINT never_oversell CHECK (backorder OR reserved <= on_hand),
    -- Events are versioned by variant: a second location needs a design of its own first.
    CONSTRAINT one_location CHECK (location_id = 1)
) WITH (fillfactor = 50);
CREATE INDEX stock_levels_product ON orders.stock_levels (product_id);
CREATE INDEX stock_levels_band    ON orders.stock_levels (band, variant_id);

CREATE TABLE orders.stock_movements (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    variant_id     bigint NOT NULL,
    location_id    int NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('receive', 'adjust', 'reserve', 'release', 'commit', 'return')),
    on_hand_delta  int NOT NULL DEFAULT 0,
    reserved_delta int NOT NULL DEFAULT 0,
    -- What moved it, such as order:17.
    ref            text NOT NULL CHECK (length(ref) <= 200),
    reason         text CHECK (length(reason) <= 200),
    at             timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (variant_id, location_id) REFERENCES orders.stock_levels,
    CONSTRAINT moved_once UNIQUE (variant_id, location_id, kind, ref)
);

ALTER TABLE orders.stock_levels ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.stock_levels FORCE ROW LEVEL SECURITY;
CREATE POLICY everybody ON orders.stock_levels FOR SELECT TO mc_anon, mc_user USING (true);
CREATE POLICY staff     ON orders.stock_levels FOR ALL TO mc_admin, mc_service USING (true) WITH CHECK (true);
GRANT SELECT ON orders.stock_levels TO mc_anon, mc_user;
GRANT SELECT, INSERT, UPDATE ON orders.stock_levels TO mc_admin, mc_service;

ALTER TABLE orders.stock_movements ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.stock_movements FORCE ROW LEVEL SECURITY;
CREATE POLICY staff ON orders.stock_movements FOR ALL TO mc_admin, mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON orders.stock_movements TO mc_admin, mc_service;
