-- What was asked once is done once, and what staff did is written down.

-- Requests with an idempotency key, kept for a day. The row is written by the transaction of the effect.
CREATE TABLE notifications.idempotency_keys (
    -- Whose: user:<id>.
    scope          text NOT NULL CHECK (length(scope) <= 100),
    -- Method and path as asked; a long one is known by its hash.
    route          text NOT NULL CHECK (length(route) <= 200),
    key            text NOT NULL CHECK (key ~ '^[!-~]{1,255}$'),
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    state          text NOT NULL DEFAULT 'in_flight' CHECK (state IN ('in_flight', 'done')),
    -- Fences off a worker that was thought dead: only the latest attempt may finish.
    attempt        int NOT NULL DEFAULT 1,
    locked_until   timestamptz NOT NULL,
    -- The gRPC status, and the reply or the refusal, as first given; no reply when it was too long.
    status         smallint,
    reply          bytea CHECK (length(reply) <= 65536),
    -- Of the first request: a replayed refusal names it.
    request_id     text NOT NULL CHECK (length(request_id) <= 128),
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    PRIMARY KEY (scope, route, key),
    CHECK ((state = 'done') = (status IS NOT NULL))
);
CREATE INDEX idempotency_keys_expiry ON notifications.idempotency_keys (expires_at);

ALTER TABLE notifications.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON notifications.idempotency_keys FOR ALL TO mc_user, mc_admin
    USING (scope = 'user:' || (SELECT app.uid())) WITH CHECK (scope = 'user:' || (SELECT app.uid()));
CREATE POLICY service ON notifications.idempotency_keys FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.idempotency_keys TO mc_user, mc_admin, mc_service;

-- What staff did. Each row holds the hash of the one before it: what is changed or taken out later breaks the chain.
CREATE TABLE notifications.audit_chain (
    id          bigint PRIMARY KEY,
    at          timestamptz NOT NULL,
    actor_id    bigint,
    actor_role  text NOT NULL,
    action      text NOT NULL CHECK (length(action) <= 100),
    entity      text NOT NULL CHECK (length(entity) <= 100),
    entity_id   text NOT NULL CHECK (length(entity_id) <= 100),
    -- json, not jsonb: the hash is over the text.
    before      json,
    after       json,
    request_id  text NOT NULL CHECK (length(request_id) <= 128),
    prev_sha256 bytea NOT NULL CHECK (length(prev_sha256) = 32),
    sha256      bytea NOT NULL UNIQUE CHECK (length(sha256) = 32)
);
CREATE INDEX audit_chain_entity ON notifications.audit_chain (entity, entity_id, id);

ALTER TABLE notifications.audit_chain ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.audit_chain FORCE ROW LEVEL SECURITY;
CREATE POLICY staff ON notifications.audit_chain FOR SELECT TO mc_admin, mc_service USING (true);
CREATE POLICY write ON notifications.audit_chain FOR INSERT TO mc_admin, mc_service WITH CHECK (true);
-- Nobody may change or delete what is written.
GRANT SELECT, INSERT ON notifications.audit_chain TO mc_admin, mc_service;
