-- Counts guests by the minute in which they end, and admits one more.
-- KEYS[1] hash: minute (Unix time) -> guests that end in it. ARGV[1] the most guests, 0 for no limit, ARGV[2] life of the guest (ms).
-- Returns {1 admitted | 0 too many, number of guests}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local this = math.floor(now / 60000)
local all, guests = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #all, 2 do
  if tonumber(all[i]) < this then
    redis.call('HDEL', KEYS[1], all[i])
  else
    guests = guests + tonumber(all[i + 1])
  end
end
local most = tonumber(ARGV[1])
if most > 0 and guests >= most then return {0, guests} end
redis.call('HINCRBY', KEYS[1], string.format('%.0f', math.floor((now + ARGV[2]) / 60000)), 1)
return {1, guests + 1}
