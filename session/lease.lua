-- Takes one of a user's connection leases.
-- KEYS[1] sorted set: connection id by the end of its lease (Unix ms).
-- ARGV[1] connection id, ARGV[2] maximum number of leases, ARGV[3] lease ms.
-- Returns 1 taken, 0 all in use.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
