#!lua name=mestres_limits

-- Charges what one gateway let through to the buckets of the whole fleet.
--
-- KEYS[1]   sorted set of the gateways that were heard lately
-- KEYS[2..] buckets: each holds the microsecond (of this server's clock) at which it will be full again
-- ARGV[1]   the gateway's name
-- ARGV[2..] for each bucket: cost in microseconds of refill, size in microseconds of refill
--
-- Answers the number of gateways, then for each bucket the microseconds until it is full.
local function charge(keys, args)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  redis.call('ZADD', keys[1], now, args[1])
  redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', now - 5000000)
  redis.call('PEXPIRE', keys[1], 60000)
  local answer = { redis.call('ZCARD', keys[1]) }
  for i = 2, #keys do
    local cost, size = tonumber(args[2 * i - 2]), tonumber(args[2 * i - 1])
    local full_at = tonumber(redis.call('GET', keys[i]) or '0')
    if full_at < now then full_at = now end
    -- Bounded, so that a burst on many gateways at once is repaid within one more bucket.
    full_at = math.min(full_at + cost, now + 2 * size)
    redis.call('SET', keys[i], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
    answer[i] = full_at - now
  end
  return answer
end

redis.register_function('mestres_limits_charge', charge)
