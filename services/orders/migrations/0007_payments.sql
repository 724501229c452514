-- Payments, refunds, what the provider told us, and the ledger. Written by the service; a buyer sees a payment's state.

CREATE TABLE orders.payments (
    id              uuid PRIMARY KEY,
    order_id        bigint NOT NULL REFERENCES orders.orders,
    user_id         bigint,
    attempt         int NOT NULL CHECK (attempt > 0),
    provider        text NOT NULL,
    provider_ref    text,
    -- The provider's idempotency key of the attempt: mc:<order>:<attempt>:create.
    provider_key    text NOT NULL UNIQUE,
    method          text NOT NULL CHECK (method IN ('card', 'pix')),
    status          text NOT NULL CHECK (status IN ('created', 'processing', 'requires_action', 'requires_capture',
                                                    'succeeded', 'failed', 'canceled', 'unknown')),
    -- A payment only moves to a higher rank.
    status_rank     smallint NOT NULL DEFAULT 0 CHECK (status_rank BETWEEN 0 AND 10),
    amount          app.minor NOT NULL CHECK (amount > 0),
    currency        app.currency NOT NULL,
    captured_amount app.minor NOT NULL DEFAULT 0,
    refunded_amount app.minor NOT NULL DEFAULT 0,
    failure_code    text,
    retryable       bool NOT NULL DEFAULT false,
    next_action     jsonb,
    -- Exactly what was asked of the provider: a repeat must say the same. Cleared when the attempt is settled.
    request         bytea,
    -- Workers take what is due; a worker's lease is this moment put off.
    next_check_at   timestamptz NOT NULL DEFAULT now(),
    checks          int NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, attempt),
    UNIQUE (provider, provider_ref),
    CONSTRAINT never_over_capture CHECK (captured_amount <= amount),
    CONSTRAINT never_over_refund CHECK (refunded_amount <= captured_amount)
);
-- One attempt that may still take money, by the database.
CREATE UNIQUE INDEX one_live_payment ON orders.payments (order_id)
    WHERE status IN ('created', 'processing', 'requires_action', 'requires_capture', 'succeeded', 'unknown');
CREATE INDEX payments_unsettled ON orders.payments (next_check_at)
    WHERE status IN ('created', 'processing', 'requires_action', 'requires_capture', 'unknown');

CREATE TABLE orders.payment_events (
    provider      text NOT NULL,
    event_id      text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 255),
    type          text NOT NULL,
    provider_ref  text,
    payload       jsonb NOT NULL,
    attempts      int NOT NULL DEFAULT 0,
    next_try_at   timestamptz NOT NULL DEFAULT now(),
    received_at   timestamptz NOT NULL DEFAULT now(),
    processed_at  timestamptz,
    outcome       text,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX payment_events_due ON orders.payment_events (next_try_at) WHERE processed_at IS NULL;

CREATE TABLE orders.refunds (
    id            uuid PRIMARY KEY,
    payment_id    uuid NOT NULL REFERENCES orders.payments,
    order_id      bigint NOT NULL REFERENCES orders.orders,
    user_id       bigint,
    provider_key  text NOT NULL UNIQUE,
    provider_ref  text UNIQUE,
    amount        app.minor NOT NULL CHECK (amount > 0),
    reason        text NOT NULL CHECK (length(reason) <= 500),
    status        text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    requested_by  bigint,
    -- Units counted as refunded with it, should it fail: [[line, quantity], …]
    lines         jsonb NOT NULL DEFAULT '[]',
    next_check_at timestamptz NOT NULL DEFAULT now(),
    checks        int NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_order     ON orders.refunds (order_id);
CREATE INDEX refunds_payment   ON orders.refunds (payment_id);
CREATE INDEX refunds_unsettled ON orders.refunds (next_check_at) WHERE status = 'pending';

CREATE TABLE orders.ledger (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   bigint NOT NULL REFERENCES orders.orders,
    payment_id uuid NOT NULL REFERENCES orders.payments,
    kind       text NOT NULL CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
    amount     app.minor NOT NULL,
    ref        text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT entered_once UNIQUE (payment_id, kind, ref)
);
CREATE INDEX ledger_order ON orders.ledger (order_id);

-- What no program may decide: a person looks at it.
CREATE TABLE orders.payment_issues (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (length(kind) <= 60),
    order_id    bigint,
    payment_id  uuid,
    ref         text NOT NULL,
    detail      text NOT NULL CHECK (length(detail) <= 1000),
    at          timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    UNIQUE (kind, ref)
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['payments', 'payment_events', 'refunds', 'ledger', 'payment_issues'] LOOP
        EXECUTE format('ALTER TABLE orders.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE orders.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY staff ON orders.%I FOR ALL TO mc_admin, mc_service USING (true) WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON orders.%I TO mc_service', t);
        EXECUTE format('GRANT SELECT ON orders.%I TO mc_admin', t);
    END LOOP;
END $$;
-- What is entered stays.
REVOKE UPDATE ON orders.ledger FROM mc_service;
CREATE POLICY own   ON orders.payments FOR SELECT TO mc_user USING (user_id = (SELECT app.uid()));
CREATE POLICY guest ON orders.payments FOR SELECT TO mc_anon USING (order_id IN (SELECT id FROM orders.orders));
CREATE POLICY own   ON orders.refunds  FOR SELECT TO mc_user USING (user_id = (SELECT app.uid()));
CREATE POLICY guest ON orders.refunds  FOR SELECT TO mc_anon USING (order_id IN (SELECT id FROM orders.orders));
GRANT SELECT (id, order_id, user_id, attempt, method, status, amount, currency, captured_amount, refunded_amount,
              failure_code, retryable, next_action, created_at, updated_at) ON orders.payments TO mc_user, mc_anon;
GRANT SELECT (id, payment_id, order_id, user_id, amount, reason, status, created_at) ON orders.refunds TO mc_user, mc_anon;
