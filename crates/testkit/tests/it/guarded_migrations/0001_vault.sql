CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO mc_anon, mc_user, mc_admin, mc_service;
CREATE FUNCTION app.uid() RETURNS bigint LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;

CREATE SCHEMA vault;
GRANT USAGE ON SCHEMA vault TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE vault.secrets (
    id      bigint PRIMARY KEY,
    user_id bigint NOT NULL,
    text    text NOT NULL
);
ALTER TABLE vault.secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON vault.secrets FOR ALL TO mc_user
    USING (user_id = (SELECT app.uid())) WITH CHECK (user_id = (SELECT app.uid()));
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.secrets TO mc_user;

CREATE VIEW vault.texts WITH (security_invoker = true) AS SELECT text FROM vault.secrets;
GRANT SELECT ON vault.texts TO mc_user;
