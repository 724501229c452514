-- Events on their way out, and messages that were handled already.

CREATE SCHEMA orders;
GRANT USAGE ON SCHEMA orders TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE orders.outbox (
    id                uuid PRIMARY KEY,
    seq               bigint GENERATED ALWAYS AS IDENTITY,
    subject           text NOT NULL,
    aggregate         text NOT NULL,
    aggregate_id      text NOT NULL,
    aggregate_version bigint NOT NULL,
    shard             smallint NOT NULL,
    payload           bytea NOT NULL,
    tags              text[] NOT NULL,
    traceparent       text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    published_at      timestamptz,
    stream_seq        bigint,
    UNIQUE (aggregate, aggregate_id, aggregate_version)
);
CREATE INDEX outbox_pending   ON orders.outbox (shard, seq) WHERE published_at IS NULL;
-- Repair after a stream went back asks for the published tail.
CREATE INDEX outbox_published ON orders.outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_stream    ON orders.outbox (stream_seq) WHERE stream_seq IS NOT NULL;

CREATE TABLE orders.inbox (
    consumer    text NOT NULL,
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

-- Buyers change their carts as themselves, and may say so; only the service itself reads and marks.
ALTER TABLE orders.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY record  ON orders.outbox FOR INSERT TO mc_user, mc_anon, mc_admin WITH CHECK (true);
CREATE POLICY service ON orders.outbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT INSERT ON orders.outbox TO mc_user, mc_anon, mc_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders.outbox TO mc_service;

ALTER TABLE orders.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON orders.inbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON orders.inbox TO mc_service;
