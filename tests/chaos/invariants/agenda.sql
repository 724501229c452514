UNION ALL SELECT 'I15 mutation without event', v.id || ': ' || v.version || ' <> ' || coalesce(e.v::text, 'none')
  FROM agenda.events v
  LEFT JOIN (SELECT aggregate_id, max(aggregate_version) AS v FROM agenda.outbox WHERE aggregate = 'event' GROUP BY 1) e
    ON e.aggregate_id = v.id::text
 WHERE e.v IS DISTINCT FROM v.version
UNION ALL SELECT 'I16 gap in versions', aggregate || ' ' || aggregate_id
  FROM agenda.outbox GROUP BY aggregate, aggregate_id HAVING count(*) <> max(aggregate_version) - min(aggregate_version) + 1
