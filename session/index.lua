-- Adds a session to its user's index before the session exists.
-- KEYS[1] the index. ARGV[1] session id, ARGV[2] least remaining life of the index (ms).
-- Returns {Redis time in ms, number of ids}. A set that another program created without expiry gets none.
local t = redis.call('TIME')
local left = redis.call('PTTL', KEYS[1])
redis.call('SADD', KEYS[1], ARGV[1])
if left == -2 or (left >= 0 and left < tonumber(ARGV[2])) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {t[1] * 1000 + math.floor(t[2] / 1000), redis.call('SCARD', KEYS[1])}
