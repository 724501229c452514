-- What every schema of this service shares: who is asking, what money is, how Portuguese is searched.
-- Roles and the database itself are made once per cluster, before any migration.

-- All of these are trusted: the owner of the database may create them.
CREATE EXTENSION IF NOT EXISTS unaccent   SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;

CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO mc_anon, mc_user, mc_admin, mc_service;

CREATE FUNCTION app.uid() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;

-- Money in minor units (centavos), and its currency.
CREATE DOMAIN app.minor AS bigint  CHECK (VALUE >= 0);
CREATE DOMAIN app.ccy   AS char(3) CHECK (VALUE ~ '^[A-Z]{3}$');

-- The dictionary is named, so the result depends on no search path and the function may be immutable.
CREATE FUNCTION app.f_unaccent(text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT public.unaccent('public.unaccent'::regdictionary, $1) $$;

-- Portuguese after accents are gone: 'café', 'cafés' and 'cafe' become one word.
CREATE TEXT SEARCH CONFIGURATION app.mc_pt (COPY = pg_catalog.portuguese);
ALTER TEXT SEARCH CONFIGURATION app.mc_pt
    ALTER MAPPING FOR hword, hword_part, word WITH public.unaccent, pg_catalog.portuguese_stem;
