-- What no database of the product knows: loaded by the checker, never by a service.
CREATE SCHEMA IF NOT EXISTS chk;
-- Stock before the run, and the last movement then.
CREATE TABLE IF NOT EXISTS chk.stock0 (
    variant_id bigint PRIMARY KEY, on_hand int NOT NULL, reserved int NOT NULL, movement_id bigint NOT NULL
);
-- The provider's own books: capture or refund.
CREATE TABLE IF NOT EXISTS chk.prov (charge text NOT NULL, order_id bigint NOT NULL, kind text NOT NULL, amount bigint NOT NULL);
-- What clients did: ok, fail or unknown.
CREATE TABLE IF NOT EXISTS chk.hist (
    op bigint NOT NULL, kind text NOT NULL, key text, outcome text NOT NULL, http int NOT NULL, order_id bigint, body_sha text
);
-- Events whose purges are on the log.
CREATE TABLE IF NOT EXISTS chk.applied (outbox_id uuid PRIMARY KEY);
-- When a price was acknowledged, in seconds of the run.
CREATE TABLE IF NOT EXISTS chk.acks (product_id bigint NOT NULL, amount bigint NOT NULL, t float8 NOT NULL);
CREATE TABLE IF NOT EXISTS chk.reads (
    reader text NOT NULL, product_id bigint NOT NULL, amount bigint NOT NULL, t0 float8 NOT NULL, t1 float8 NOT NULL
);
-- What gateways show once everything is quiet.
CREATE TABLE IF NOT EXISTS chk.cache (shown_by text NOT NULL, product_id bigint NOT NULL, amount bigint NOT NULL);
-- Whose things were seen by whom.
CREATE TABLE IF NOT EXISTS chk.seen (viewer text NOT NULL, route text NOT NULL, owner text NOT NULL);
