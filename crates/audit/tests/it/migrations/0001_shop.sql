-- A service that has nothing but its audit log.
CREATE SCHEMA watch;
GRANT USAGE ON SCHEMA watch TO mc_anon, mc_user, mc_admin, mc_service;

-- What staff did. Each row holds the hash of the one before it: what is changed or taken out later breaks the chain.
CREATE TABLE watch.audit_chain (
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
CREATE INDEX audit_chain_entity ON watch.audit_chain (entity, entity_id, id);

ALTER TABLE watch.audit_chain ENABLE ROW LEVEL SECURITY;
ALTER TABLE watch.audit_chain FORCE ROW LEVEL SECURITY;
CREATE POLICY staff ON watch.audit_chain FOR SELECT TO mc_admin, mc_service USING (true);
CREATE POLICY write ON watch.audit_chain FOR INSERT TO mc_admin, mc_service WITH CHECK (true);
-- Nobody may change or delete what is written.
GRANT SELECT, INSERT ON watch.audit_chain TO mc_admin, mc_service;
