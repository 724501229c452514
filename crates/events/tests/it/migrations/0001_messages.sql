-- What every service with events has.
CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE ledger.outbox (
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
CREATE INDEX outbox_pending   ON ledger.outbox (shard, seq) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON ledger.outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_stream    ON ledger.outbox (stream_seq) WHERE stream_seq IS NOT NULL;
CREATE TABLE ledger.inbox (
    consumer    text NOT NULL,
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);
ALTER TABLE ledger.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY record  ON ledger.outbox FOR INSERT TO mc_anon, mc_user, mc_admin WITH CHECK (true);
CREATE POLICY service ON ledger.outbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT INSERT ON ledger.outbox TO mc_anon, mc_user, mc_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.outbox TO mc_service;
ALTER TABLE ledger.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON ledger.inbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.inbox TO mc_service;

-- The effect of a message, and an effect that must happen once.
CREATE TABLE ledger.entries (event_id uuid NOT NULL);
GRANT SELECT, INSERT ON ledger.entries TO mc_service;
