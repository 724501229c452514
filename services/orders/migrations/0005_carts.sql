-- Carts and coupons.

CREATE TABLE orders.coupons (
    code               citext PRIMARY KEY CHECK (code ~ '^[A-Za-z0-9_-]{1,40}$'),
    kind               text NOT NULL CHECK (kind IN ('percent', 'fixed', 'free_shipping', 'bxgy')),
    -- Hundredths of a percent, minor units, or 0.
    value              bigint NOT NULL CHECK (value >= 0),
    rules              jsonb NOT NULL DEFAULT '{}',
    usage_limit        int CHECK (usage_limit > 0),
    per_customer_limit int NOT NULL DEFAULT 1 CHECK (per_customer_limit > 0),
    used               int NOT NULL DEFAULT 0 CHECK (used >= 0),
    starts_at          timestamptz,
    ends_at            timestamptz,
    is_active          bool NOT NULL DEFAULT true,
    version            bigint NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT never_over_redeem CHECK (usage_limit IS NULL OR used <= usage_limit),
    CHECK (kind <> 'percent' OR value <= 10000),
    CHECK (ends_at IS NULL OR starts_at IS NULL OR ends_at > starts_at)
);

CREATE TABLE orders.carts (
    id           uuid PRIMARY KEY,
    user_id      bigint CHECK (user_id > 0),
    token_sha256 bytea CHECK (length(token_sha256) = 32),
    currency     app.currency NOT NULL DEFAULT 'BRL',
    coupon_code  citext,
    state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'locked', 'merged', 'converted', 'expired')),
    merged_into  uuid REFERENCES orders.carts,
    -- What the merge answered, for whoever asks again.
    merge_report jsonb,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CHECK ((user_id IS NULL) <> (token_sha256 IS NULL)),
    CHECK ((state = 'merged') = (merged_into IS NOT NULL))
);
CREATE UNIQUE INDEX one_active_cart_of_user  ON orders.carts (user_id)
    WHERE state IN ('active', 'locked') AND user_id IS NOT NULL;
CREATE UNIQUE INDEX one_active_cart_of_guest ON orders.carts (token_sha256)
    WHERE state IN ('active', 'locked') AND token_sha256 IS NOT NULL;
CREATE INDEX carts_of_user  ON orders.carts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX carts_of_guest ON orders.carts (token_sha256) WHERE token_sha256 IS NOT NULL;
CREATE INDEX carts_expiry   ON orders.carts (expires_at) WHERE state = 'active';

CREATE TABLE orders.cart_items (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cart_id          uuid NOT NULL REFERENCES orders.carts ON DELETE CASCADE,
    variant_id       bigint NOT NULL CHECK (variant_id > 0),
    product_id       bigint NOT NULL CHECK (product_id > 0),
    quantity         int NOT NULL CONSTRAINT line_quantity CHECK (quantity BETWEEN 1 AND 99),
    seen_unit_amount app.minor NOT NULL,
    added_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT one_line_per_variant UNIQUE (cart_id, variant_id)
);

ALTER TABLE orders.coupons ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.coupons FORCE ROW LEVEL SECURITY;
-- Whoever knows a code may see what it gives; no statement lists codes for buyers.
CREATE POLICY known ON orders.coupons FOR SELECT TO mc_anon, mc_user USING (is_active);
CREATE POLICY staff ON orders.coupons FOR ALL TO mc_admin, mc_service USING (true) WITH CHECK (true);
GRANT SELECT ON orders.coupons TO mc_anon, mc_user;
GRANT SELECT, INSERT, UPDATE ON orders.coupons TO mc_admin, mc_service;

ALTER TABLE orders.carts ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.carts FORCE ROW LEVEL SECURITY;
CREATE POLICY own     ON orders.carts FOR ALL TO mc_user
    USING (user_id = (SELECT app.uid())) WITH CHECK (user_id = (SELECT app.uid()));
CREATE POLICY guest   ON orders.carts FOR ALL TO mc_anon
    USING (token_sha256 = (SELECT app.guest_token())) WITH CHECK (token_sha256 = (SELECT app.guest_token()));
CREATE POLICY service ON orders.carts FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON orders.carts TO mc_user, mc_anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders.carts TO mc_service;

ALTER TABLE orders.cart_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.cart_items FORCE ROW LEVEL SECURITY;
CREATE POLICY of_own_cart ON orders.cart_items FOR ALL TO mc_user, mc_anon
    USING (cart_id IN (SELECT id FROM orders.carts)) WITH CHECK (cart_id IN (SELECT id FROM orders.carts));
CREATE POLICY service     ON orders.cart_items FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON orders.cart_items TO mc_user, mc_anon, mc_service;
