UNION ALL SELECT 'I15 mutation without event', v.id || ': ' || v.version || ' <> ' || coalesce(e.v::text, 'none')
  FROM catalog.variants v
  LEFT JOIN (SELECT aggregate_id, max(aggregate_version) AS v FROM catalog.outbox WHERE aggregate = 'price' GROUP BY 1) e
    ON e.aggregate_id = v.id::text
 WHERE v.version > 1 AND e.v IS DISTINCT FROM v.version
UNION ALL SELECT 'I16 gap in versions', aggregate || ' ' || aggregate_id
  FROM catalog.outbox WHERE aggregate = 'price'
 GROUP BY aggregate, aggregate_id HAVING count(*) <> max(aggregate_version) - min(aggregate_version) + 1
-- While parts are away a read may be three seconds old.
UNION ALL SELECT 'I19 stale read after an acknowledged purge', r.reader || ' saw ' || r.amount || ' of product ' || r.product_id
                 || ' at ' || round(r.t0::numeric, 1)
  FROM chk.reads r
 WHERE r.amount < (SELECT max(a.amount) FROM chk.acks a WHERE a.product_id = r.product_id AND a.t + 3 < r.t0)
UNION ALL SELECT 'I20 read went back in time', reader || ' saw ' || amount || ' of product ' || product_id || ' after ' || before
                 || ' at ' || round(t0::numeric, 1)
  FROM (SELECT reader, product_id, amount, t0,
               max(amount) OVER (PARTITION BY reader, product_id ORDER BY t0 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
               AS before
          FROM chk.reads) q
 WHERE amount < before
UNION ALL SELECT 'I21 wrong entry left in a cache', c.shown_by || ' shows ' || c.amount || ' for product ' || c.product_id
  FROM chk.cache c
 WHERE NOT EXISTS (SELECT FROM catalog.variants v JOIN catalog.prices p ON p.variant_id = v.id AND p.price_list_id = 1
                    WHERE v.product_id = c.product_id AND p.amount = c.amount)
