-- What every service with keys has, and effects to count.
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO mc_anon, mc_user, mc_admin, mc_service;
CREATE FUNCTION app.uid() RETURNS bigint LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;
CREATE FUNCTION app.guest_token() RETURNS bytea LANGUAGE sql STABLE
AS $$ SELECT decode(nullif(current_setting('app.cart_token_sha256', true), ''), 'hex') $$;

CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE shop.outbox (
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
CREATE INDEX outbox_pending   ON shop.outbox (shard, seq) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON shop.outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_stream    ON shop.outbox (stream_seq) WHERE stream_seq IS NOT NULL;
ALTER TABLE shop.outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY record  ON shop.outbox FOR INSERT TO mc_anon, mc_user, mc_admin WITH CHECK (true);
CREATE POLICY service ON shop.outbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT INSERT ON shop.outbox TO mc_anon, mc_user, mc_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.outbox TO mc_service;

-- Requests with an idempotency key, kept for a day. The row is written by the transaction of the effect.
CREATE TABLE shop.idempotency_keys (
    -- Whose: user:<id> or guest:<hexadecimal SHA-256 of the token>.
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
CREATE INDEX idempotency_keys_expiry ON shop.idempotency_keys (expires_at);

ALTER TABLE shop.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY own   ON shop.idempotency_keys FOR ALL TO mc_user, mc_admin
    USING (scope = 'user:' || (SELECT app.uid())) WITH CHECK (scope = 'user:' || (SELECT app.uid()));
CREATE POLICY guest ON shop.idempotency_keys FOR ALL TO mc_anon
    USING (scope = 'guest:' || encode((SELECT app.guest_token()), 'hex'))
    WITH CHECK (scope = 'guest:' || encode((SELECT app.guest_token()), 'hex'));
CREATE POLICY service ON shop.idempotency_keys FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.idempotency_keys TO mc_user, mc_anon, mc_admin, mc_service;


-- The effect that must happen once, and a place where it can be made to wait.
CREATE TABLE shop.effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL);
GRANT SELECT, INSERT ON shop.effects TO mc_anon, mc_user, mc_admin, mc_service;
