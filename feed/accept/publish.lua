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
--     11 the gate: 'jump gap confirm stale lag known'. Jump and gap are in parts
--        per million of the reference, 0 = no limit; the last three are in
--        microseconds, lag 0 = no limit. The history lives for known too: its
--        newest entry is the last known quote when the last quote has expired
--     12… one record for each quote: 'bid ask bid_size ask_size text time source
--        sum digits wide'. Text is the time as text, the next field the same in
--        microseconds; '-' stands for a size or a text that is not given, and a
--        quote without a text has the time of acceptance. Sum is bid + ask in
--        units of 10^-digits, twice the mid; wide is 1 where the spread is wider
--        than its limit
--
-- Returns {epoch, acceptance in microseconds, an answer for each quote}. An
-- answer is the number, negative where the quote confirmed a gap; or
-- {'future', 'old' or 'late', the microseconds that the time was compared with},
-- {'outranked', 'source microseconds since it was heard'}, {'wide', ''},
-- {'outlier', 'sum and digits of the reference, outliers of the source in a row,
-- what would confirm it'}, {'failed', why}. A quote with such an answer wrote
-- nothing, except that its outlier is remembered and that, under ARGV 9, its
-- source was heard.
--
-- The counter is a hash: epoch, seq, run (the server that counted), ref (the
-- reference of the gate: sum, digits, quotes accepted since there was none, when
-- the last of them was accepted, the newest time of any), s:SOURCE (time of its
-- last quote that had one, when that was accepted, when its last quote was
-- accepted), o:SOURCE (outliers in a row, sum, digits and arrival of the last),
-- h:SOURCE (when a named source was last heard).
--
-- Numbers that may pass 10^14 are printed by %.0f: tostring would round them,
-- and %d, which costs half, may be of 32 bits. Long whole numbers are read with
-- '.0' after them: the embedded Lua reads no others above 2^63.

local MAX_SOURCES = 16
local MAX_AHEAD = 5000000 -- microseconds
local MAX_COUNT = 9007199254740991 -- 2^53-1, the last number counted exactly
local FIRST = 12 -- argument of the first quote
local OWN = 4 -- fields of the counter that belong to no source

local call, format, find = redis.call, string.format, string.find
local LAST, COUNTER, HISTORY = KEYS[1], KEYS[2], KEYS[3]
local channel, symbol, ttl, history = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local candidate, run, seen_epoch, seen, ranked = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]
local publish, gate = ARGV[10], ARGV[11]

local function bad(what)
  return redis.error_reply('FXARGS publish script: bad ' .. what)
end
local function whole(n, low, high)
  return n and n >= low and n <= high and n % 1 == 0
end
local function decimal(s)
  return #s <= 64 and s:byte(-1) ~= 46 and find(s, '^%d+%.?%d*$')
end

if #KEYS ~= 3 or #ARGV < FIRST then return bad('number of arguments') end
if channel == '' then return bad('channel') end
if publish ~= 'PUBLISH' and publish ~= 'SPUBLISH' then return bad('command to publish') end
if #symbol > 21 or not find(symbol, '^[%u%d]+/[%u%d]+$') then return bad('symbol') end
if not whole(ttl, 1, 1e12) then return bad('life of the last quote') end
if not whole(history, 1, 1e9) then return bad('length of the history') end
if #candidate > 32 or not find(candidate, '^[a-z0-9]+$') then return bad('new epoch') end
if run == '' or #run > 64 then return bad('run id') end
if not whole(seen, 0, MAX_COUNT) then return bad('highest number seen') end

local jump, gap, confirm, stale, lag, known = gate:match('^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
if not jump then return bad('gate') end
jump, gap, confirm = tonumber(jump), tonumber(gap), tonumber(confirm)
stale, lag, known = tonumber(stale), tonumber(lag), tonumber(known)

-- What is read of the counter: its own fields, then for each source of these
-- quotes its times and its outliers, for each named source when it was heard.
local fields, sources, quotes, count = {'epoch', 'seq', 'run', 'ref'}, {}, {}, 0
local RECORD = '^(%d+%.?%d*) (%d+%.?%d*) ([%d.-]+) ([%d.-]+) ([%dT:.Z-]+) (%d+) ([a-z0-9_.%-]+) (%d+) (%d+) ([01])$'
local BID, ASK, BID_SIZE, ASK_SIZE, TEXT, TIME, SOURCE, SUM, DIGITS, WIDE = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
for i = FIRST, #ARGV do
  local q = {ARGV[i]:match(RECORD)}
  local source = q[SOURCE]
  if not source then return bad('quote') end
  if not decimal(q[BID]) then return bad('bid') end
  if not decimal(q[ASK]) then return bad('ask') end
  if q[BID_SIZE] ~= '-' and not decimal(q[BID_SIZE]) then return bad('bid_size') end
  if q[ASK_SIZE] ~= '-' and not decimal(q[ASK_SIZE]) then return bad('ask_size') end
  if q[TEXT] ~= '-' and not find(q[TEXT], '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$') then return bad('time') end
  if #q[TIME] > 16 or tonumber(q[TIME]) > MAX_COUNT then return bad('time in microseconds') end
  if #q[SUM] > 72 or #q[DIGITS] > 2 then return bad('mid') end
  if not sources[source] then
    if #source > 32 then return bad('source') end
    fields[#fields + 1], fields[#fields + 2] = 's:' .. source, 'o:' .. source
    sources[source], count = #fields - 1, count + 1
  end
  quotes[i - FIRST + 1] = q
end
if count > MAX_SOURCES then return bad('number of sources') end

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
  if not may('PEXPIRE', HISTORY, '1') then return forbidden('PEXPIRE', HISTORY) end
  if not may('HSET', COUNTER, 'seq', '') then return forbidden('HSET', COUNTER) end
  if not may('HDEL', COUNTER, 's:') then return forbidden('HDEL', COUNTER) end
  if not may('SET', LAST, '') then return forbidden('SET', LAST) end
  if not may(publish, channel, '') then return forbidden(publish, channel) end
end

local clock = call('TIME')
local at = clock[1] * 1000000 + clock[2]
local accepted = clock[1] .. ('00000' .. clock[2]):sub(-6)

local epoch, seq = stored[1] or '', tonumber(stored[2] or '')
if not find(epoch, '^[%w_-]+$') or #epoch > 32 or not whole(seq, 0, MAX_COUNT - #quotes)
  or stored[3] ~= run or (seen_epoch == epoch and seen > seq) then
  epoch, seq = candidate, 0
end

-- Of each source: the time of its last quote that had one, when that was
-- accepted, when its last quote was accepted. Version 0.1 wrote the first two.
local function times(text)
  local time, time_at, last = (text or ''):match('^(%d+) (%d+) ?(%d*)$')
  return tonumber(time or ''), tonumber(time_at or ''), tonumber(last or '') or tonumber(time_at or '')
end
-- The last outlier of a source, and how many it had in a row.
local function outlier(text)
  local n, sum, digits, when = (text or ''):match('^(%d+) (%d+) (%d+) (%d+)$')
  return n and #sum <= 72 and #digits <= 2 and {n = tonumber(n), sum = sum, mid = tonumber(sum .. '.0'), digits = tonumber(digits), at = tonumber(when)}
end

local newest, newest_at, taken, outliers, heard = {}, {}, {}, {}, {} -- by source; heard by rank
for source, i in pairs(sources) do
  newest[source], newest_at[source], taken[source] = times(stored[i])
  outliers[source] = outlier(stored[i + 1])
end
for i = 1, #names do
  heard[i] = tonumber(stored[#fields - #names + i] or '')
end

-- The reference of the gate. It is forgotten some days after its last quote. A time
-- in the future is that of a server whose clock was ahead: it counts as now, or quotes
-- would be refused as old for as long.
local ref = {}
do
  local sum, digits, n, when, latest = (stored[4] or ''):match('^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if sum and #sum <= 72 and #digits <= 2 and at - tonumber(when) <= known then
    ref = {sum = sum, mid = tonumber(sum .. '.0'), digits = tonumber(digits), n = tonumber(n), latest = math.min(tonumber(latest), at)}
  end
end

local function power(n) -- of ten, exactly
  return tonumber('1' .. ('0'):rep(n) .. '.0')
end
-- Whether x is further from y than a limit in parts per million of y. Exact
-- where both have at most nine digits and a few.
local function further(x, y, limit)
  local a, b = x.mid, y.mid
  if x.digits < y.digits then
    a = a * power(y.digits - x.digits)
  elseif x.digits > y.digits then
    b = b * power(x.digits - y.digits)
  end
  return math.abs(a - b) * 1000000 > b * limit
end

-- The rest of the counter, about sources that these quotes are not from. It is
-- read when the first outlier comes, or when there may be too many sources.
local whole_counter
local function everything()
  if whole_counter then return end
  whole_counter = call('HGETALL', COUNTER)
  for i = 1, #whole_counter, 2 do
    local kind, source = whole_counter[i]:match('^([so]):(.*)$')
    if kind and not sources[source] then
      if kind == 's' then
        newest[source], newest_at[source], taken[source] = times(whole_counter[i + 1])
      else
        outliers[source] = outlier(whole_counter[i + 1])
      end
    end
  end
end

-- Whether a source that is none of these two had a quote accepted lately.
local function another(source, second)
  for name, last in pairs(taken) do
    if name ~= source and name ~= second and math.abs(at - last) <= stale then return true end
  end
  return false
end

-- Judges a mid beyond the limit: it confirms a gap, or is refused and counted.
-- What would confirm it: 'more' of this source, 'second' source, 'third' source
-- that must be silent, or 'reference' that must be forgotten.
local function gap_or_outlier(source, one)
  everything()
  local before, confirmed, missing = outliers[source], false, 'more'
  one.n, one.at = 1, at
  if before and not further(one, before, jump) then one.n = before.n + 1 end
  if gap > 0 and ref.n >= confirm and further(one, ref, gap) then
    missing = 'reference'
  elseif not another(source, source) then
    confirmed = one.n >= confirm
  else
    missing = 'second'
  end
  if missing ~= 'reference' and not confirmed then
    for name, other in pairs(outliers) do
      if name ~= source and math.abs(at - other.at) <= stale and not further(one, other, jump) then
        if not another(source, name) then
          confirmed = true
        elseif missing == 'second' then
          missing = 'third'
        end
      end
    end
  end
  return confirmed, missing
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

local answers, accepted_quotes, indexes = {epoch, at}, {}, {} -- indexes of their answers
local touched, remembered, unknown, changed, cleared, refs = false, {}, 0, {}, false, {}
local head = '{"symbol":"' .. symbol .. '","bid":"'
local middle = ',"epoch":"' .. epoch .. '","at":' .. accepted .. ',"source":"'
local today
for _, q in ipairs(quotes) do
  local text, time, source, answer, confirmed = q[TEXT], tonumber(q[TIME]), q[SOURCE], nil, false
  local timed = text ~= '-'
  if timed then
    local last = newest[source]
    if time > at + MAX_AHEAD then
      answer = {'future', accepted}
    elseif last and time < last and math.abs(at - newest_at[source]) <= ttl * 1000 then
      answer = {'old', format('%.0f', last)}
    elseif lag > 0 and ref.latest and time < ref.latest - lag then
      answer = {'late', format('%.0f', ref.latest)}
    end
  end
  if not answer and #names > 0 then
    local by = outranked(source)
    if rank[source] then heard[rank[source]], touched = at, true end
    if by then answer = {'outranked', by} end
  end
  if not answer and q[WIDE] == '1' then answer = {'wide', ''} end
  local one = {sum = q[SUM], mid = tonumber(q[SUM] .. '.0'), digits = tonumber(q[DIGITS])}
  if not answer and jump > 0 and ref.mid and further(one, ref, jump) then
    local missing
    confirmed, missing = gap_or_outlier(source, one)
    if not confirmed then
      answer = {'outlier', ref.sum .. ' ' .. ref.digits .. ' ' .. one.n .. ' ' .. missing}
      outliers[source], changed[source], touched = one, true, true
    end
  end
  if not answer then
    if timed then
      newest[source], newest_at[source] = time, at
    else
      today = today or now()
      text = today
    end
    if not stored[sources[source]] and not remembered[source] then unknown = unknown + 1 end
    taken[source], remembered[source] = at, true
    if confirmed then
      outliers, changed, cleared = {}, {}, true
    elseif outliers[source] then
      outliers[source], changed[source] = nil, true
    end
    one.n, one.latest = (ref.n or 0) + 1, math.max(ref.latest or 0, timed and math.min(time, at) or at)
    ref = one
    seq = seq + 1
    refs[#refs + 1] = one
    local sizes = ''
    if q[BID_SIZE] ~= '-' then sizes = '","bid_size":"' .. q[BID_SIZE] end
    if q[ASK_SIZE] ~= '-' then sizes = sizes .. '","ask_size":"' .. q[ASK_SIZE] end
    local n = #accepted_quotes + 1
    accepted_quotes[n] = head .. q[BID] .. '","ask":"' .. q[ASK] .. sizes .. '","ts":"' .. text .. '","seq":'
      .. format(seq < 2147483648 and '%d' or '%.0f', seq) .. (confirmed and ',"gap":true' or '') .. middle .. source .. '"}'
    indexes[n] = #answers + 1
    answer = confirmed and -seq or seq
  end
  answers[#answers + 1] = answer
end

local update, forget = {}, {}
local function set(field, value)
  update[#update + 1], update[#update + 2] = field, value
end
-- Forgets the least recent of too many sources; ages has when each was last used.
local function make_room(kind, ages)
  local list = {}
  for source, used in pairs(ages) do list[#list + 1] = {source = source, used = used} end
  table.sort(list, function(a, b) return a.used < b.used or a.used == b.used and a.source < b.source end)
  for i = 1, #list - MAX_SOURCES do forget[#forget + 1] = kind .. list[i].source end
end

-- What has become of outliers: a gap cleared those of all sources.
local function settle_outliers()
  for i = 1, cleared and #whole_counter or 0, 2 do
    local source = whole_counter[i]:match('^o:(.*)$')
    if source and not changed[source] then forget[#forget + 1] = whole_counter[i] end
  end
  local ages
  for source in pairs(changed) do
    local o = outliers[source]
    if o then
      set('o:' .. source, format('%d %s %d %s', o.n, o.sum, o.digits, accepted))
      ages = {}
    elseif stored[sources[source] + 1] then
      forget[#forget + 1] = 'o:' .. source
    end
  end
  if ages then
    for source, o in pairs(outliers) do ages[source] = o.at end
    make_room('o:', ages)
  end
end

if touched then
  for i, name in ipairs(names) do
    if heard[i] == at then set('h:' .. name, accepted) end
  end
end
if #accepted_quotes == 0 then
  settle_outliers()
  if #update > 0 then
    local reply = redis.pcall('HSET', COUNTER, unpack(update))
    if type(reply) == 'table' and reply.err then return refused(reply) end
    for _, field in ipairs(forget) do call('HDEL', COUNTER, field) end
  end
  return answers
end

local last = #accepted_quotes
for n, quote in ipairs(accepted_quotes) do
  local reply
  if n < last then
    reply = redis.pcall('XADD', HISTORY, '*', 'q', quote)
  else
    reply = redis.pcall('XADD', HISTORY, 'MAXLEN', '=', ARGV[4], '*', 'q', quote)
  end
  if type(reply) == 'table' and reply.err then
    if n == 1 then return refused(reply) end
    -- Not even the identifiers of a stream are endless: what has its entry is
    -- accepted, the rest is not, nor is anything but the reference remembered.
    for m = n, last do
      answers[indexes[m]] = {'failed', reply.err}
    end
    last, seq, ref = n - 1, math.abs(answers[indexes[n - 1]]), refs[n - 1]
    remembered, unknown, changed, cleared = {}, 0, {}, false
    break
  end
end

settle_outliers()
if unknown > 0 and call('HLEN', COUNTER) + unknown > OWN + MAX_SOURCES then
  everything()
  make_room('s:', taken)
end
for source in pairs(remembered) do
  set('s:' .. source, format('%.0f %.0f %s', newest[source] or 0, newest_at[source] or 0, accepted))
end
for _, field in ipairs(forget) do call('HDEL', COUNTER, field) end
set('ref', format('%s %d %d %s %.0f', ref.sum, ref.digits, math.min(ref.n, 1000000), accepted, ref.latest))
call('HSET', COUNTER, 'epoch', epoch, 'seq', format('%.0f', seq), 'run', run, unpack(update))
call('SET', LAST, accepted_quotes[last], 'PX', ARGV[3])
call('PEXPIRE', HISTORY, format('%.0f', math.max(known / 1000, 1)))
for n = 1, last do call(publish, channel, accepted_quotes[n]) end
return answers
