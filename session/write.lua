-- Replaces the value of a session if it is still the value that the caller read.
-- No other code writes a key that exists.
-- KEYS[1] the session. ARGV[1] value read, ARGV[2] new value, ARGV[3] ttl ms, ARGV[4] absolute expiry (Unix ms, 0 none),
-- ARGV[5] '1' if it is enough to move the expiry when Redis has no memory for the value.
-- Returns {1 written | 0 gone or changed | -1 absolute expiry passed and deleted, now ms, ttl ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local v = redis.call('GET', KEYS[1])
if not v or (v ~= ARGV[1] and v ~= ARGV[2]) then return {0, now, 0} end
local ttl = tonumber(ARGV[3])
local limit = tonumber(ARGV[4])
if limit > 0 and now + ttl > limit then ttl = limit - now end
if ttl <= 0 then
  redis.call('DEL', KEYS[1])
  return {-1, now, 0}
end
local px = string.format('%.0f', ttl)
local r = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', px)
if type(r) == 'table' and r.err then
  if ARGV[5] ~= '1' then return r end
  redis.call('PEXPIRE', KEYS[1], px)
end
return {1, now, ttl}
