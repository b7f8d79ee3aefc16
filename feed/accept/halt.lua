-- Makes the last quote of a symbol not current, if it is of one source.
--
-- KEYS 1 last quote (string)
-- ARGV 1 source  2 PUBLISH or SPUBLISH  3 channel
--
-- Returns 1 if the quote was current, else 0.

local quote = redis.call('GET', KEYS[1])
local tail = ',"source":"' .. ARGV[1] .. '"}'
if not quote or quote:sub(-#tail) ~= tail then return 0 end
redis.call('DEL', KEYS[1])
redis.call(ARGV[2], ARGV[3], quote:sub(1, -2) .. ',"halted":true}')
return 1
