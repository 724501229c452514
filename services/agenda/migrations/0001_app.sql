-- What every schema of this service shares: who is asking.
-- Roles and the database itself are made once per cluster, before any migration.

-- Trusted: the owner of the database may create it. Bookings exclude each other by equality and overlap.
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;

CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO mc_anon, mc_user, mc_admin, mc_service;

CREATE FUNCTION app.uid() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;
