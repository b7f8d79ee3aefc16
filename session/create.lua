-- Creates a session key that must not exist yet.
-- KEYS[1] the session. ARGV[1] value, ARGV[2] ttl ms, ARGV[3] absolute expiry (Unix ms),
-- ARGV[4] time at which its id entered the user index (Unix ms), ARGV[5] maximum age of that entry (ms).
-- Returns {1 created | 0 taken | -1 absolute expiry passed | -2 index entry too old, now ms, ttl ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local v = redis.call('GET', KEYS[1])
if v and v ~= ARGV[1] then return {0, now, 0} end -- equal: the client repeats a call whose answer was lost
if now - tonumber(ARGV[4]) > tonumber(ARGV[5]) then return {-2, now, 0} end
local ttl = math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) - now)
if ttl <= 0 then return {-1, now, 0} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', ttl))
return {1, now, ttl}
