-- Removes all keys of a symbol at once.
--
-- KEYS 1 counter (hash)  2… the other keys
--
-- Returns {how many keys there were, the epoch of the counter or '', the time in
-- microseconds}.

local epoch = redis.pcall('HGET', KEYS[1], 'epoch')
if type(epoch) ~= 'string' then epoch = '' end
local clock = redis.call('TIME')
return {redis.call('DEL', unpack(KEYS)), epoch, clock[1] .. ('00000' .. clock[2]):sub(-6)}
