-- What was asked once is done once.

-- Requests with an idempotency key, kept for a day. The row is written by the transaction of the effect.
CREATE TABLE agenda.idempotency_keys (
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
CREATE INDEX idempotency_keys_expiry ON agenda.idempotency_keys (expires_at);

ALTER TABLE agenda.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE agenda.idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON agenda.idempotency_keys FOR ALL TO mc_user
    USING (scope = 'user:' || (SELECT app.uid())) WITH CHECK (scope = 'user:' || (SELECT app.uid()));
CREATE POLICY service ON agenda.idempotency_keys FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON agenda.idempotency_keys TO mc_user, mc_service;
