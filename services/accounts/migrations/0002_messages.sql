-- Events on their way out, and messages that were handled already.

CREATE SCHEMA accounts;
GRANT USAGE ON SCHEMA accounts TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE accounts.outbox (
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
CREATE INDEX outbox_pending   ON accounts.outbox (shard, seq) WHERE published_at IS NULL;
-- Repair after a stream went back asks for the published tail.
CREATE INDEX outbox_published ON accounts.outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_stream    ON accounts.outbox (stream_seq) WHERE stream_seq IS NOT NULL;

CREATE TABLE accounts.inbox (
    consumer    text NOT NULL,
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

-- Whoever may change something (nobody anonymous may) may say so; only the service itself reads and marks.
ALTER TABLE accounts.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY record  ON accounts.outbox FOR INSERT TO mc_user, mc_admin WITH CHECK (true);
CREATE POLICY service ON accounts.outbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT INSERT ON accounts.outbox TO mc_user, mc_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts.outbox TO mc_service;

ALTER TABLE accounts.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON accounts.inbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts.inbox TO mc_service;
