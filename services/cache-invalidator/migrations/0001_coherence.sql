-- Which life of the purge log is the current one. One row.
-- Roles and the database itself are made once per cluster, before any migration.

CREATE SCHEMA invalidator;
GRANT USAGE ON SCHEMA invalidator TO mc_service;

CREATE TABLE invalidator.coherence (
    id             smallint    PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    -- 16 bits of every position; 0 means "not known" to those who hold positions.
    epoch          int         NOT NULL CHECK (epoch BETWEEN 1 AND 65535),
    -- The last sequence of the log that was seen in this epoch, at most a second old.
    high_seq       bigint      NOT NULL CHECK (high_seq >= 0),
    -- When that message was stored: another time at the same sequence means the log went back and grew again.
    high_time      timestamptz NOT NULL,
    -- When the server made the stream: another time means another log.
    stream_created timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE invalidator.coherence ENABLE ROW LEVEL SECURITY;
ALTER TABLE invalidator.coherence FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON invalidator.coherence FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON invalidator.coherence TO mc_service;
