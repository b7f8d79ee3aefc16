-- Accepts one quote: counter, last value, history and publication, all or
-- nothing. Redis does not undo what a failed script wrote, so everything that
-- can fail is checked before the first write, and the first write, XADD, is the
-- one that a full server refuses.
--
-- KEYS 1 last quote (string)  2 counter (hash)  3 history (stream)
-- ARGV 1 channel  2 symbol  3 bid  4 ask  5 time as text, '' = that of acceptance
--      6 the same in microseconds  7 source  8 life of the last quote in ms
--      9 length of the history  10 epoch to begin if one must begin
--      11 run id of this server as the caller knows it
--      12 epoch and 13 highest number that the caller has seen, '' and 0 = none
--
-- Returns {1, epoch, number, acceptance in microseconds}, or, with nothing
-- written, {0, reason, the microseconds that the time was compared with}.
-- Numbers that may pass 10^14 are printed by %.0f: tostring would round them.

local MAX_SOURCES = 16
local MAX_AHEAD = 5000000 -- microseconds
local MAX_COUNT = 9007199254740991 -- 2^53-1, the last number counted exactly

local channel, symbol, bid, ask, text = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local time, source, ttl, history = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local candidate, run, seen_epoch, seen = ARGV[10], ARGV[11], ARGV[12], tonumber(ARGV[13])

local function bad(what)
  return redis.error_reply('FXARGS publish script: bad ' .. what)
end
local function whole(n, low, high)
  return n and n >= low and n <= high and n % 1 == 0
end
local function price(s)
  return #s <= 32 and (s:match('^%d+$') or s:match('^%d+%.%d+$'))
end

if #KEYS ~= 3 or #ARGV ~= 13 then return bad('number of arguments') end
if channel == '' then return bad('channel') end
if not symbol:match('^%u%u%u/%u%u%u$') then return bad('symbol') end
if not price(bid) then return bad('bid') end
if not price(ask) then return bad('ask') end
if text ~= '' and not text:match('^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$') then return bad('time') end
if not whole(time, 0, MAX_COUNT) then return bad('time in microseconds') end
if #source > 32 or not source:match('^[a-z0-9_.%-]+$') then return bad('source') end
if not whole(ttl, 1, 1e12) then return bad('life of the last quote') end
if not whole(history, 0, 1e9) then return bad('length of the history') end
if #candidate > 32 or not candidate:match('^[a-z0-9]+$') then return bad('new epoch') end
if run == '' or #run > 64 then return bad('run id') end
if not whole(seen, 0, MAX_COUNT) then return bad('highest number seen') end

local kinds = {'string', 'hash', 'stream'}
for i = 1, 3 do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= kinds[i] then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', it must be a ' .. kinds[i])
  end
end

-- Before 7.0 a script cannot ask what its user may do: there a user with part
-- of these rights can leave an acceptance half done.
local may = rawget(redis, 'acl_check_cmd')
if may then
  for _, command in ipairs({
    {'XADD', KEYS[3], '*', 'q', ''}, {'HSET', KEYS[2], 'seq', ''}, {'HDEL', KEYS[2], 's:'},
    {'SET', KEYS[1], ''}, {'PUBLISH', channel, ''},
  }) do
    if not may(unpack(command)) then
      return redis.error_reply('NOPERM the publish script may not ' .. command[1] .. ' ' .. command[2])
    end
  end
end

local clock = redis.call('TIME')
local at = clock[1] * 1000000 + clock[2]
local stored = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'run', 's:' .. source)

if text ~= '' then
  if time > at + MAX_AHEAD then return {0, 'future', string.format('%.0f', at)} end
  local last, last_at = (stored[4] or ''):match('^(%d+) (%d+)$')
  if last and time < tonumber(last) and math.abs(at - last_at) <= ttl * 1000 then
    return {0, 'old', last}
  end
end

local epoch, seq = stored[1] or '', tonumber(stored[2] or '')
if not epoch:match('^[%w_-]+$') or #epoch > 32 or not whole(seq, 0, MAX_COUNT - 1)
  or stored[3] ~= run or (seen_epoch == epoch and seen > seq) then
  epoch, seq = candidate, 0
end
seq = seq + 1

-- A source is forgotten to make room for a new one: the least recent.
local forget
if text ~= '' and not stored[4] and redis.call('HLEN', KEYS[2]) >= 3 + MAX_SOURCES then
  local all, count, oldest = redis.call('HGETALL', KEYS[2]), 0, nil
  for i = 1, #all, 2 do
    if all[i]:sub(1, 2) == 's:' then
      count = count + 1
      local used = tonumber(all[i + 1]:match(' (%d+)$')) or 0
      if not oldest or used < oldest then oldest, forget = used, all[i] end
    end
  end
  if count < MAX_SOURCES then forget = nil end
end

if text == '' then
  local seconds = tonumber(clock[1])
  local days = math.floor(seconds / 86400)
  seconds = seconds - days * 86400
  -- Days since 1970 to a date of the Gregorian calendar, in years from March.
  days = days + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day + 2) / 153)
  day = day - math.floor((153 * month + 2) / 5) + 1
  year = year + era * 400
  if month < 10 then month = month + 3 else month, year = month - 9, year + 1 end
  text = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
    math.floor(seconds / 3600), math.floor(seconds / 60) % 60, seconds % 60, tonumber(clock[2]))
  time = nil -- not the producer's: not remembered
end

local number, accepted = string.format('%.0f', seq), string.format('%.0f', at)
local quote = '{"symbol":"' .. symbol .. '","bid":"' .. bid .. '","ask":"' .. ask .. '","ts":"' .. text
  .. '","seq":' .. number .. ',"epoch":"' .. epoch .. '","at":' .. accepted .. ',"source":"' .. source .. '"}'

redis.call('XADD', KEYS[3], 'MAXLEN', '=', ARGV[9], '*', 'q', quote)
if forget then redis.call('HDEL', KEYS[2], forget) end
if time then
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'seq', number, 'run', run,
    's:' .. source, string.format('%.0f', time) .. ' ' .. accepted)
else
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'seq', number, 'run', run)
end
redis.call('SET', KEYS[1], quote, 'PX', ARGV[8])
redis.call('PUBLISH', channel, quote)
return {1, epoch, seq, at}
