-- What holds in every database; SCHEMA is the service's.
SELECT 'I17 event not published' AS inv, id::text AS what FROM SCHEMA.outbox WHERE published_at IS NULL
UNION ALL SELECT 'I18 invalidation not applied', b.id::text
  FROM SCHEMA.outbox b LEFT JOIN chk.applied a ON a.outbox_id = b.id
 WHERE cardinality(b.tags) > 0 AND a.outbox_id IS NULL
UNION ALL SELECT 'I27 table with an owner but no forced RLS while an app role may read it', c.oid::regclass::text
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('user_id', 'owner_id', 'sender_id', 'receiver_id')
 WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'SCHEMA'::regnamespace
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
   AND (has_any_column_privilege('mc_user', c.oid, 'SELECT') OR has_any_column_privilege('mc_anon', c.oid, 'SELECT'))
UNION ALL SELECT 'I28 app role may TRUNCATE, make REFERENCES or pass by RLS', c.oid::regclass || ' ' || r.rolname
  FROM pg_class c, pg_roles r
 WHERE r.rolname IN ('mc_user', 'mc_anon', 'mc_admin', 'mc_service') AND c.relkind IN ('r', 'p')
   AND c.relnamespace = 'SCHEMA'::regnamespace
   AND (has_table_privilege(r.oid, c.oid, 'TRUNCATE') OR has_table_privilege(r.oid, c.oid, 'REFERENCES')
        OR r.rolbypassrls OR r.rolsuper)
UNION ALL SELECT 'I29 view reads with its owner''s rights', c.oid::regclass::text
  FROM pg_class c
 WHERE c.relkind = 'v' AND c.relnamespace = 'SCHEMA'::regnamespace
   AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)
UNION ALL SELECT 'I30 leaked transaction', pid || ' ' || usename
  FROM pg_stat_activity
 WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND now() - state_change > interval '1 s'
   AND pid <> pg_backend_pid()
UNION ALL SELECT 'I31 forgotten prepared transaction', gid FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL SELECT 'deadlock', deadlocks::text FROM pg_stat_database WHERE datname = current_database() AND deadlocks > 0
