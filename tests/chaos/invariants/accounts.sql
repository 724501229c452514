UNION ALL SELECT 'I15 mutation without event', u.id || ': ' || u.version || ' <> ' || coalesce(e.v::text, 'none')
  FROM accounts.users u
  LEFT JOIN (SELECT aggregate_id, max(aggregate_version) AS v FROM accounts.outbox WHERE aggregate = 'user' GROUP BY 1) e
    ON e.aggregate_id = u.id::text
 WHERE u.version > 1 AND e.v IS DISTINCT FROM u.version
UNION ALL SELECT 'I25 two live refresh tokens of a session', t.session_id::text
  FROM accounts.refresh_tokens t JOIN accounts.sessions s ON s.id = t.session_id
 WHERE t.used_at IS NULL AND s.revoked_at IS NULL AND t.expires_at > now()
 GROUP BY t.session_id HAVING count(*) > 1
