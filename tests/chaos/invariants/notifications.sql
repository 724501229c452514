UNION ALL SELECT 'I15 mutation without event', f.user_id || ': ' || f.version || ' <> ' || coalesce(e.v::text, 'none')
  FROM notifications.feeds f
  LEFT JOIN (SELECT aggregate_id, max(aggregate_version) AS v FROM notifications.outbox WHERE aggregate = 'feed' GROUP BY 1) e
    ON e.aggregate_id = f.user_id::text
 WHERE f.version > 0 AND e.v IS DISTINCT FROM f.version
UNION ALL SELECT 'I26 somebody was told twice', user_id || ': ' || dedupe_key
  FROM notifications.notifications GROUP BY user_id, dedupe_key HAVING count(*) > 1
UNION ALL SELECT 'I26 somebody was written to twice', dedupe_key
  FROM notifications.emails GROUP BY dedupe_key HAVING count(*) > 1
UNION ALL SELECT 'I26 feed miscounts', f.user_id::text
  FROM notifications.feeds f LEFT JOIN notifications.notifications n USING (user_id)
 GROUP BY f.user_id, f.kept, f.unread
HAVING count(n.id) <> f.kept OR count(n.id) FILTER (WHERE n.read_at IS NULL) <> f.unread
