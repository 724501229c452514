-- What orders says about stock and sales, as far as a catalog shows it: bands, never counts.

-- A variant's band, and which of its changes was heard last: an older one that comes late changes nothing.
ALTER TABLE catalog.variants
    ADD COLUMN stock_band text NOT NULL DEFAULT 'out' CHECK (stock_band IN ('in', 'low', 'out')),
    ADD COLUMN stock_band_version bigint NOT NULL DEFAULT 0;

-- Variants begin with the band that their product shows; for these lines the owner may see and write them.
CREATE POLICY fill ON catalog.variants FOR ALL TO mc_owner USING (true) WITH CHECK (true);
UPDATE catalog.variants v SET stock_band = p.stock_band FROM catalog.products p WHERE p.id = v.product_id;
DROP POLICY fill ON catalog.variants;

-- Sold quantities that are not in products.popularity yet. Rows are only added and taken away, so that two orders
-- of the same coffee do not wait for each other.
CREATE TABLE catalog.popularity_pending (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id bigint NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0)
);
ALTER TABLE catalog.popularity_pending ENABLE ROW LEVEL SECURITY;
ALTER TABLE catalog.popularity_pending FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON catalog.popularity_pending FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.popularity_pending TO mc_service;
