-- Events on their way out, and messages that were handled already.

CREATE SCHEMA agenda;
GRANT USAGE ON SCHEMA agenda TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE agenda.outbox (
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
CREATE INDEX outbox_pending   ON agenda.outbox (shard, seq) WHERE published_at IS NULL;
-- Repair after a stream went back asks for the published tail.
CREATE INDEX outbox_published ON agenda.outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_stream    ON agenda.outbox (stream_seq) WHERE stream_seq IS NOT NULL;

CREATE TABLE agenda.inbox (
    consumer    text NOT NULL,
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

-- Whoever has an agenda changes it as mc_user, and may say so; only the service itself reads and marks.
ALTER TABLE agenda.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE agenda.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY record  ON agenda.outbox FOR INSERT TO mc_user WITH CHECK (true);
CREATE POLICY service ON agenda.outbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT INSERT ON agenda.outbox TO mc_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON agenda.outbox TO mc_service;

ALTER TABLE agenda.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE agenda.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON agenda.inbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON agenda.inbox TO mc_service;
