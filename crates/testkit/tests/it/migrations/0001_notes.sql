CREATE SCHEMA app;
CREATE SCHEMA kit;
GRANT USAGE ON SCHEMA kit TO mc_anon, mc_user, mc_admin, mc_service;

CREATE TABLE kit.notes (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text  text NOT NULL
);
GRANT SELECT, INSERT ON kit.notes TO mc_user;
