-- A small schema with the policies every service has.
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO mc_anon, mc_user, mc_admin, mc_service;
CREATE FUNCTION app.uid() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;
CREATE FUNCTION app.cart_token() RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT decode(nullif(current_setting('app.cart_token_sha256', true), ''), 'hex') $$;

CREATE SCHEMA notes;
GRANT USAGE ON SCHEMA notes TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE notes.notes (
    id      bigint PRIMARY KEY,
    user_id bigint NOT NULL DEFAULT app.uid(),
    text    text   NOT NULL CHECK (length(text) < 100)
);
ALTER TABLE notes.notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes.notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own   ON notes.notes FOR ALL TO mc_user USING (user_id = (SELECT app.uid())) WITH CHECK (user_id = (SELECT app.uid()));
CREATE POLICY staff ON notes.notes FOR ALL TO mc_admin, mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notes.notes TO mc_user, mc_admin, mc_service;

CREATE TABLE notes.carts (
    token_sha256 bytea PRIMARY KEY,
    lines        int   NOT NULL
);
ALTER TABLE notes.carts ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes.carts FORCE ROW LEVEL SECURITY;
CREATE POLICY guest ON notes.carts FOR ALL TO mc_anon USING (token_sha256 = (SELECT app.cart_token())) WITH CHECK (token_sha256 = (SELECT app.cart_token()));
GRANT SELECT, INSERT ON notes.carts TO mc_anon;
