-- Accepts quotes of one symbol in their order: for each a number, an entry of
-- the history and a message; for the newest of them the last value. Nobody
-- sees the state between.
--
-- Redis does not undo what a failed script wrote. So everything that can fail
-- is checked before the first write, with the rights of the user at this
-- moment; and the first write, XADD, is the one that a full server, a replica
-- or a wrong kind of key refuses, having changed nothing.
--
-- KEYS 1 last quote (string)  2 counter (hash)  3 history (stream)
-- ARGV 1 channel  2 symbol  3 life of the last quote in ms  4 length of the history
--      5 epoch to begin if one must begin  6 run id of this server as the caller knows it
--      7 epoch and 8 highest number that the caller has seen, '' and 0 = none
--      9 named sources, best first, each with the ms it must be silent before
--        those after it are taken: 'main 5000 backup 10000'; '' = all are equal
--     10 PUBLISH or, in a cluster, SPUBLISH
--     11… five for each quote: bid, ask, time as text ('' = that of acceptance),
--        the same in microseconds, source
--
-- Returns {epoch, acceptance in microseconds, an answer for each quote}. An
-- answer is the number, or {'future' or 'old', the microseconds that the time
-- was compared with}, {'outranked', 'source microseconds since it was heard'},
-- {'failed', why}. A quote with such an answer wrote nothing, except that under
-- ARGV 9 its source was heard.
-- Numbers that may pass 10^14 are printed by %.0f: tostring would round them,
-- and %d, which costs half, may be of 32 bits.

local MAX_SOURCES = 16
local MAX_AHEAD = 5000000 -- microseconds
local MAX_COUNT = 9007199254740991 -- 2^53-1, the last number counted exactly
local FIRST = 11 -- argument of the first quote

local call, format, find = redis.call, string.format, string.find
local LAST, COUNTER, HISTORY = KEYS[1], KEYS[2], KEYS[3]
local channel, symbol, ttl, history = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local candidate, run, seen_epoch, seen, ranked = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]
local publish = ARGV[10]

local function bad(what)
  return redis.error_reply('FXARGS publish script: bad ' .. what)
end
local function whole(n, low, high)
  return n and n >= low and n <= high and n % 1 == 0
end
local function price(s)
  return #s <= 64 and find(s, '^%d+%.?%d*$') and s:byte(-1) ~= 46
end

if #KEYS ~= 3 or #ARGV < FIRST + 4 or (#ARGV - FIRST + 1) % 5 ~= 0 then return bad('number of arguments') end
if channel == '' then return bad('channel') end
if publish ~= 'PUBLISH' and publish ~= 'SPUBLISH' then return bad('command to publish') end
if #symbol > 21 or not find(symbol, '^[%u%d]+/[%u%d]+$') then return bad('symbol') end
if not whole(ttl, 1, 1e12) then return bad('life of the last quote') end
if not whole(history, 0, 1e9) then return bad('length of the history') end
if #candidate > 32 or not find(candidate, '^[a-z0-9]+$') then return bad('new epoch') end
if run == '' or #run > 64 then return bad('run id') end
if not whole(seen, 0, MAX_COUNT) then return bad('highest number seen') end

-- What is read of the counter: epoch, number, run id, then for each source of
-- these quotes 's:' = time and arrival of its last accepted quote that had a
-- time, for each named source 'h:' = when it was last heard.
local fields, sources, times = {'epoch', 'seq', 'run'}, {}, {}
for i = FIRST, #ARGV, 5 do
  local text, time, source = ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4]
  if not price(ARGV[i]) then return bad('bid') end
  if not price(ARGV[i + 1]) then return bad('ask') end
  if text ~= '' and not find(text, '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$') then return bad('time') end
  if not time or time > MAX_COUNT or not find(ARGV[i + 3], '^%d+$') then return bad('time in microseconds') end
  if not sources[source] then
    if #source > 32 or not find(source, '^[a-z0-9_.%-]+$') then return bad('source') end
    fields[#fields + 1] = 's:' .. source
    sources[source] = #fields
  end
  times[i] = time
end
if #fields - 3 > MAX_SOURCES then return bad('number of sources') end

local names, limits, rank = {}, {}, {}
if ranked ~= '' then
  for name, limit in ranked:gmatch('(%S+) (%d+)') do
    names[#names + 1], limits[#limits + 1], rank[name] = name, tonumber(limit) * 1000, #names + 1
    fields[#fields + 1] = 'h:' .. name
  end
  if #names == 0 or #names > MAX_SOURCES then return bad('named sources') end
end

-- The text of an error of Redis, which names no key.
local function refused(reply)
  for i, want in ipairs({'string', 'hash', 'stream'}) do
    local kind = call('TYPE', KEYS[i]).ok
    if kind ~= 'none' and kind ~= want then
      return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', it must be a ' .. want)
    end
  end
  return reply
end

-- Of the three only SET would not mind another kind of key.
local kind = call('TYPE', LAST).ok
if kind ~= 'none' and kind ~= 'string' then return refused() end
local stored = redis.pcall('HMGET', COUNTER, unpack(fields))
if stored.err then return refused(stored) end

-- Before 7.0 a script cannot ask what its user may do: there a user with part
-- of these rights can leave an acceptance half done.
local may = rawget(redis, 'acl_check_cmd')
local function forbidden(command, key)
  return redis.error_reply('NOPERM the publish script may not ' .. command .. ' ' .. key)
end
if may then
  if not may('XADD', HISTORY, '*', 'q', '') then return forbidden('XADD', HISTORY) end
  if not may('HSET', COUNTER, 'seq', '') then return forbidden('HSET', COUNTER) end
  if not may('HDEL', COUNTER, 's:') then return forbidden('HDEL', COUNTER) end
  if not may('SET', LAST, '') then return forbidden('SET', LAST) end
  if not may(publish, channel, '') then return forbidden(publish, channel) end
end

local clock = call('TIME')
local at = clock[1] * 1000000 + clock[2]
local accepted = clock[1] .. ('00000' .. clock[2]):sub(-6)

local epoch, seq = stored[1] or '', tonumber(stored[2] or '')
local count = (#ARGV - FIRST + 1) / 5
if not find(epoch, '^[%w_-]+$') or #epoch > 32 or not whole(seq, 0, MAX_COUNT - count)
  or stored[3] ~= run or (seen_epoch == epoch and seen > seq) then
  epoch, seq = candidate, 0
end

local newest, arrived, heard = {}, {}, {} -- by source, by source, by rank
for source, i in pairs(sources) do
  local last, last_at = (stored[i] or ''):match('^(%d+) (%d+)$')
  newest[source], arrived[source] = tonumber(last or ''), tonumber(last_at or '')
end
for i = 1, #names do
  heard[i] = tonumber(stored[#fields - #names + i] or '')
end

-- The time of acceptance as text, for quotes that have none.
local function now()
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
  local text = format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
    math.floor(seconds / 3600), math.floor(seconds / 60) % 60, seconds % 60, tonumber(clock[2]))
  return text
end

-- A source that has been silent for longer than its limit does not count; one
-- that was heard in the future was heard by another clock.
local function outranked(source)
  for i = 1, (rank[source] or #names + 1) - 1 do
    if heard[i] and math.abs(at - heard[i]) <= limits[i] then
      return names[i] .. ' ' .. format('%.0f', at - heard[i])
    end
  end
end

local answers, quotes, indexes = {epoch, at}, {}, {} -- indexes of the quotes' answers
local touched, remembered, unknown = false, {}, 0
local head = '{"symbol":"' .. symbol .. '","bid":"'
local middle = ',"epoch":"' .. epoch .. '","at":' .. accepted .. ',"source":"'
local today
for i = FIRST, #ARGV, 5 do
  local text, time, source, answer = ARGV[i + 2], times[i], ARGV[i + 4], nil
  if text ~= '' then
    local last = newest[source]
    if time > at + MAX_AHEAD then
      answer = {'future', accepted}
    elseif last and time < last and math.abs(at - arrived[source]) <= ttl * 1000 then
      answer = {'old', format('%.0f', last)}
    end
  end
  if not answer and #names > 0 then
    local by = outranked(source)
    if rank[source] then heard[rank[source]], touched = at, true end
    if by then answer = {'outranked', by} end
  end
  if not answer then
    if text ~= '' then
      if not newest[source] then unknown = unknown + 1 end
      newest[source], arrived[source], remembered[source] = time, at, ARGV[i + 3]
    else
      today = today or now()
      text = today
    end
    seq = seq + 1
    local n = #quotes + 1
    quotes[n] = head .. ARGV[i] .. '","ask":"' .. ARGV[i + 1] .. '","ts":"' .. text .. '","seq":' .. format(seq < 2147483648 and '%d' or '%.0f', seq)
      .. middle .. source .. '"}'
    indexes[n] = #answers + 1
    answer = seq
  end
  answers[#answers + 1] = answer
end

local update = {}
for i, name in ipairs(names) do
  if touched and heard[i] == at then
    update[#update + 1], update[#update + 2] = 'h:' .. name, accepted
  end
end
if #quotes == 0 then
  if touched then
    local reply = redis.pcall('HSET', COUNTER, unpack(update))
    if type(reply) == 'table' and reply.err then return refused(reply) end
  end
  return answers
end

-- Sources are forgotten to make room for new ones: the least recent.
local forget = {}
if unknown > 0 and call('HLEN', COUNTER) + unknown > 3 + MAX_SOURCES then
  local all, others, keep = call('HGETALL', COUNTER), {}, MAX_SOURCES
  for _ in pairs(remembered) do keep = keep - 1 end
  for i = 1, #all, 2 do
    local source = all[i]:match('^s:(.*)')
    if source and not remembered[source] then
      others[#others + 1] = {field = all[i], used = tonumber(all[i + 1]:match(' (%d+)$')) or 0}
    end
  end
  table.sort(others, function(a, b) return a.used < b.used end)
  for i = 1, #others - keep do forget[i] = others[i].field end
end

for n, quote in ipairs(quotes) do
  local reply
  if n < #quotes then
    reply = redis.pcall('XADD', HISTORY, '*', 'q', quote)
  else
    reply = redis.pcall('XADD', HISTORY, 'MAXLEN', '=', ARGV[4], '*', 'q', quote)
  end
  if type(reply) == 'table' and reply.err then
    if n == 1 then return refused(reply) end
    -- Not even the identifiers of a stream are endless: what has its entry is
    -- accepted, the rest is not, nor are its times remembered.
    for m = n, #quotes do
      answers[indexes[m]], quotes[m] = {'failed', reply.err}, nil
    end
    seq, remembered, forget = answers[indexes[n - 1]], {}, {}
    break
  end
end

for _, field in ipairs(forget) do call('HDEL', COUNTER, field) end
for source, time in pairs(remembered) do
  update[#update + 1], update[#update + 2] = 's:' .. source, time .. ' ' .. accepted
end
call('HSET', COUNTER, 'epoch', epoch, 'seq', format('%.0f', seq), 'run', run, unpack(update))
call('SET', LAST, quotes[#quotes], 'PX', ARGV[3])
for n = 1, #quotes do call(publish, channel, quotes[n]) end
return answers
