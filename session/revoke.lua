-- Deletes a session. Tombstones stay, since they point to the new session.
-- KEYS[1] the session. ARGV[1] tombstone to set if the key does not exist ('' none), ARGV[2] its life (ms):
-- it stops a session whose id is in the user index already and whose key is about to be written.
-- Returns {1 deleted | 0 did not exist, the last value}.
local v = redis.pcall('GET', KEYS[1])
if type(v) == 'table' then -- not a string, so it cannot be a session
  redis.call('DEL', KEYS[1])
  return {1, ''}
end
if not v then
  if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
  return {0, ''}
end
if string.sub(v, 1, 13) == '{"tombstone":' then return {0, v} end
redis.call('DEL', KEYS[1])
return {1, v}
