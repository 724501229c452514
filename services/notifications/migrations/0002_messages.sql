-- Events on their way out, and messages that were handled already.

CREATE SCHEMA notifications;
GRANT USAGE ON SCHEMA notifications TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE notifications.outbox (
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
CREATE INDEX outbox_pending   ON notifications.outbox (shard, seq) WHERE published_at IS NULL;
-- Repair after a stream went back asks for the published tail.
CREATE INDEX outbox_published ON notifications.outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_stream    ON notifications.outbox (stream_seq) WHERE stream_seq IS NOT NULL;

CREATE TABLE notifications.inbox (
    consumer    text NOT NULL,
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);

-- Whoever may change something may say so; only the service itself reads and marks.
ALTER TABLE notifications.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY record  ON notifications.outbox FOR INSERT TO mc_anon, mc_user, mc_admin WITH CHECK (true);
CREATE POLICY service ON notifications.outbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT INSERT ON notifications.outbox TO mc_anon, mc_user, mc_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.outbox TO mc_service;

ALTER TABLE notifications.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON notifications.inbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.inbox TO mc_service;
