-- Deletes a session. Tombstones stay, they say where a session went.
-- KEYS[1] the session. ARGV[1] tombstone to leave where there is no key ('' none), ARGV[2] its ms:
-- it stops a session whose id is in the user index already and whose key is about to be made.
-- Returns {1 deleted | 0 was not there, the value it had}.
local v = redis.pcall('GET', KEYS[1])
if type(v) == 'table' then -- not a string: nothing of ours can use it
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
