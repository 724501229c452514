-- What every schema of this service shares: who is asking.
-- Roles and the database itself are made once per cluster, before any migration.

-- Trusted: the owner of the database may create it. Coupon codes and mail addresses do not tell case apart.
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;

CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO mc_anon, mc_user, mc_admin, mc_service;

CREATE FUNCTION app.uid() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;

-- The hash of the token that a guest holds: of a cart, or of one order.
CREATE FUNCTION app.guest_token() RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT decode(nullif(current_setting('app.cart_token_sha256', true), ''), 'hex') $$;

-- Money in minor units (centavos).
CREATE DOMAIN app.minor AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN app.currency AS char(3) CHECK (VALUE ~ '^[A-Z]{3}$');
