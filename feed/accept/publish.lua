-- Accepts quotes of several symbols. Those of one symbol are accepted together and
-- in their order: for each a number, an entry of the history and a message; for the
-- newest of them the last value. Nobody sees the state between.
--
-- Redis does not undo what a failed script wrote. All arguments are checked before
-- anything is written. Of each symbol everything that can fail is checked before its
-- first write, with the rights of the user at this moment; and that first write,
-- XADD, is the one that a full server, a replica or a wrong kind of key refuses,
-- having changed nothing. A symbol that is refused leaves the others alone.
--
-- KEYS three for each symbol: last quote (string), counter (hash), history (stream). Or the
--      counter of one symbol alone, if its slot is on its way to this server: that
--      refuses commands which name a key that it lacks beside others, here the last
--      quote after its life. The names of the other two follow from the counter's
-- ARGV 1 life of the last quote in ms  2 length of the history, at least 1
--      3 epoch to begin if one must begin, see born
--      4 run id of this server as the caller knows it
--      5 named sources, best first, each with the ms it must be silent before
--        those after it are taken: 'main 5000 backup 10000'; '' = all are equal
--      6 PUBLISH or, in a cluster, SPUBLISH
--      7 the gate: 'gap confirm stale lag known'. Gap is in parts per million of the
--        reference, 0 = no limit; the last three are in microseconds, lag 0 = no
--        limit. The history lives for known too: its newest entry is the last known
--        quote when the last quote has expired
--      8… for each symbol 'symbol jump epoch seen quotes channel': its jump limit in
--        parts per million, 0 = none; the epoch and the highest number that the
--        caller has seen, '-' and 0 = none; how many quotes follow. Then each quote:
--        'bid ask extra text time source sum digits'. Extra is what the message has
--        between the ask and '","ts"', '-' = nothing. Text is the time as text, '-' = that
--        of acceptance; time is the same in microseconds. Sum is bid + ask in units of
--        10^-digits, twice the mid, with a minus where the spread is wider than its limit
--
-- Returns {acceptance in microseconds, a reply for each symbol}. A reply is the text
-- of the error by which the symbol was refused, or {epoch, an answer for each quote}.
-- An answer is the number, negative where the quote confirmed a gap; or
-- {'future', 'old' or 'late', the microseconds that the time was compared with},
-- {'outranked', 'source microseconds since it was heard'}, {'wide', ''},
-- {'outlier', 'sum and digits of the reference, outliers of the source in a row,
-- what would confirm it'}, {'failed', why}. A quote with such an answer wrote
-- nothing, except that its outlier is remembered and that, under ARGV 5, its
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
local FIRST = 8 -- argument of the first symbol
local OWN = 4 -- fields of the counter that belong to no source
local TRIM = 16 -- a history longer than the square of this is cut only once in so many quotes
local REFRESH = 60000000 -- microseconds: the life of the history is set again as often
local KINDS = {'string', 'hash', 'stream'}
local POINT, T, Z = 46, 84, 90 -- bytes

local call, try, format, find, match, byte = redis.call, redis.pcall, string.format, string.find, string.match, string.byte
local abs, min, max, floor = math.abs, math.min, math.max, math.floor

local function bad(what)
  return redis.error_reply('FXARGS publish script: bad ' .. what)
end
local function whole(text, low, high)
  local n = #text <= 16 and find(text, '^%d+$') and tonumber(text)
  return n and n >= low and n <= high and n
end
-- A whole number of many digits, as near as a double is.
local function large(text)
  return tonumber(#text < 16 and text or text .. '.0')
end

local keys = KEYS
if #KEYS == 1 then
  local name = match(KEYS[1], '^(.*:)seq$')
  if not name then return bad('key') end
  keys = {name .. 'quote', KEYS[1], name .. 'ticks'}
end
if #keys == 0 or #keys % 3 ~= 0 or #ARGV <= FIRST then return bad('number of arguments') end
local ttl, history = whole(ARGV[1], 1, 1e12), whole(ARGV[2], 1, 1e9)
local candidate, run, ranked, publish = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if not ttl then return bad('life of the last quote') end
if not history then return bad('length of the history') end
if #candidate > 32 or not find(candidate, '^[a-z0-9]+$') then return bad('new epoch') end
if run == '' or #run > 64 then return bad('run id') end
if publish ~= 'PUBLISH' and publish ~= 'SPUBLISH' then return bad('command to publish') end
local gap, confirm, stale, lag, known = match(ARGV[7], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
if not gap then return bad('gate') end
gap, confirm, stale, lag, known = tonumber(gap), tonumber(confirm), tonumber(stale), tonumber(lag), tonumber(known)

local names, limits, rank = {}, {}, {} -- of named sources
if ranked ~= '' then
  for name, limit in ranked:gmatch('(%S+) (%d+)') do
    names[#names + 1], limits[#limits + 1], rank[name] = name, tonumber(limit) * 1000, #names + 1
  end
  if #names == 0 or #names > MAX_SOURCES then return bad('named sources') end
end

-- The symbols. Of each counter are read its own fields, then for each source of the
-- quotes its times and its outliers, for each named source when it was heard.
local SYMBOL = '^([%u%d]+/[%u%d]+) (%d+) ([%w_-]+) (%d+) (%d+) (%S+)$'
local QUOTE = '^(%d+%.?%d*) (%d+%.?%d*) ([-,":%l_%d.]+) ([%dT:.Z-]+) (%d+) ([%l%d_.-]+) (%-?%d+) (%d+)$'
local BID, ASK, EXTRA, TEXT, TIME, SOURCE, SUM, DIGITS, MID = 1, 2, 3, 4, 5, 6, 7, 8, 9
local symbols, argument = {}, FIRST
for n = 1, #keys / 3 do
  local symbol, jump, seen_epoch, seen, quotes, channel = match(ARGV[argument] or '', SYMBOL)
  if not symbol or #symbol > 21 or #seen_epoch > 32 then return bad('symbol') end
  quotes, seen = tonumber(quotes), whole(seen, 0, MAX_COUNT)
  if not seen then return bad('highest number seen') end
  if quotes == 0 or argument + quotes > #ARGV then return bad('number of quotes') end
  local fields, sources, list = {'epoch', 'seq', 'run', 'ref'}, {}, {}
  for i = 1, quotes do
    local bid, ask, extra, text, time, source, sum, digits = match(ARGV[argument + i], QUOTE)
    if not digits then return bad('quote') end
    if #bid > 64 or byte(bid, -1) == POINT then return bad('bid') end
    if #ask > 64 or byte(ask, -1) == POINT then return bad('ask') end
    if extra ~= '-' and (#extra > 512 or not find(extra, '^","[%l_]+":"[^-]+$')) then return bad('extra') end
    if text ~= '-' and (#text ~= 27 or byte(text, 11) ~= T or byte(text, -1) ~= Z) then return bad('time') end
    if #time > 16 or tonumber(time) > MAX_COUNT then return bad('time in microseconds') end
    if #sum > 73 or #digits > 2 then return bad('sum') end
    if not sources[source] then
      if #source > 32 then return bad('source') end
      local k = #fields + 1
      fields[k], fields[k + 1], sources[source] = 's:' .. source, 'o:' .. source, {field = k, time = false, time_at = false, taken = false}
    end
    list[i] = {bid, ask, extra, text, tonumber(time), source, sum, digits, large(sum)}
  end
  if #fields > OWN + 2 * MAX_SOURCES then return bad('number of sources') end
  for i = 1, #names do fields[#fields + 1] = 'h:' .. names[i] end
  symbols[n] = {
    symbol = symbol, channel = channel, jump = tonumber(jump), seen_epoch = seen_epoch, seen = seen,
    last = keys[3 * n - 2], counter = keys[3 * n - 1], history = keys[3 * n], fields = fields, sources = sources, quotes = list,
    epoch = false, seq = 0, stored = false, ref = false, latest = false, outliers = false, -- set by read
    changed = false, cleared = false, touched = false, -- set by judge
  }
  argument = argument + quotes + 1
end
if argument ~= #ARGV + 1 then return bad('number of arguments') end

local clock = call('TIME')
local at = clock[1] * 1000000 + clock[2]
local accepted = clock[1] .. ('00000' .. clock[2]):sub(-6)

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
local today

-- A whole number as text.
local function count(n)
  return n < 1e14 and n .. '' or format('%.0f', n)
end

-- The text of an error of Redis, which names no key.
local function refused(s, reply)
  for i, key in ipairs({s.last, s.counter, s.history}) do
    local kind = call('TYPE', key).ok
    if kind ~= 'none' and kind ~= KINDS[i] then
      return 'WRONGTYPE ' .. key .. ' is a ' .. kind .. ', it must be a ' .. KINDS[i]
    end
  end
  return reply.err
end

-- Before 7.0 a script cannot ask what its user may do: there a user with part
-- of these rights can leave an acceptance half done.
local may = rawget(redis, 'acl_check_cmd')
local function forbidden(s)
  local command, key
  if not may('XADD', s.history, '*', 'q', '') then
    command, key = 'XADD', s.history
  elseif not may('PEXPIRE', s.history, '1') then
    command, key = 'PEXPIRE', s.history
  elseif not may('HSET', s.counter, 'seq', '') then
    command, key = 'HSET', s.counter
  elseif not may('HDEL', s.counter, 's:') then
    command, key = 'HDEL', s.counter
  elseif not may('SET', s.last, '') then
    command, key = 'SET', s.last
  elseif not may(publish, s.channel, '') then
    command, key = publish, s.channel
  end
  return command and 'NOPERM the publish script may not ' .. command .. ' ' .. key
end

-- Reads what is known of a source: the time of its last quote that had one, when that
-- was accepted, when its last quote was accepted. Version 0.1 wrote the first two.
local function learn(source, text)
  local time, time_at, taken = match(text, '^(%d+) (%d+) ?(%d*)$')
  if time then
    source.time, source.time_at = tonumber(time), tonumber(time_at)
    source.taken = tonumber(taken) or source.time_at
  end
end
-- The last outlier of a source, and how many it had in a row.
local function outlier(text)
  local n, sum, digits, at = match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  return n and #sum <= 72 and #digits <= 2
    and {n = tonumber(n), sum = sum, mid = large(sum), digits = digits, at = tonumber(at)} or nil
end

local function power(n) -- of ten, exactly
  return tonumber('1' .. ('0'):rep(n) .. '.0')
end
-- Whether x is further from y than a limit in parts per million of y. Exact
-- where both have at most nine digits and a few.
local function further(x, y, limit)
  local a, b, more = x.mid, y.mid, x.digits - y.digits
  if more < 0 then
    a = a * power(-more)
  elseif more > 0 then
    b = b * power(more)
  end
  return abs(a - b) * 1000000 > b * limit
end

-- Reads the rest of the counter, about sources that these quotes are not from: when the
-- first outlier comes, or when there may be too many sources.
local function everything(s)
  if s.whole then return end
  s.whole, s.others = call('HGETALL', s.counter), {}
  for i = 1, #s.whole, 2 do
    local kind, name = match(s.whole[i], '^([so]):(.*)$')
    if kind == 'o' and not s.sources[name] then
      s.outliers[name] = outlier(s.whole[i + 1])
    elseif kind == 's' and not s.sources[name] then
      s.others[name] = {}
      learn(s.others[name], s.whole[i + 1])
    end
  end
end

-- Whether a source that is none of these two had a quote accepted lately.
local function another(s, one, two)
  for _, sources in ipairs({s.sources, s.others}) do
    for name, source in pairs(sources) do
      if name ~= one and name ~= two and source.taken and abs(at - source.taken) <= stale then return true end
    end
  end
  return false
end

-- Judges a quote whose mid is further from that of ref, the reference, than the limit:
-- returns true if it confirms a gap, else its answer. What would confirm it: 'more' of
-- this source, 'second' source, 'third' source that must be silent, or 'reference' that
-- must be forgotten.
local function gap_or_outlier(s, name, one, ref)
  everything(s)
  local before, confirmed, missing = s.outliers[name], false, 'more'
  if before and not further(one, before, s.jump) then one.n = before.n + 1 end
  if gap > 0 and ref.n >= confirm and further(one, ref, gap) then
    missing = 'reference'
  elseif not another(s, name, name) then
    confirmed = one.n >= confirm
  else
    missing = 'second'
  end
  if missing ~= 'reference' and not confirmed then
    for second, other in pairs(s.outliers) do
      if second ~= name and abs(at - other.at) <= stale and not further(one, other, s.jump) then
        if not another(s, name, second) then
          confirmed = true
        elseif missing == 'second' then
          missing = 'third'
        end
      end
    end
  end
  s.changed = s.changed or {}
  if confirmed then
    s.outliers, s.changed, s.cleared = {}, {}, true
    return true
  end
  s.outliers[name], s.changed[name] = one, true
  return false, {'outlier', ref.sum .. ' ' .. ref.digits .. ' ' .. one.n .. ' ' .. missing}
end

-- A source that has been silent for longer than its limit does not count; one
-- that was heard in the future was heard by another clock.
local function outranked(s, source)
  local by
  for i = 1, (rank[source] or #names + 1) - 1 do
    if s.heard[i] and abs(at - s.heard[i]) <= limits[i] then
      by = {'outranked', names[i] .. ' ' .. format('%.0f', at - s.heard[i])}
      break
    end
  end
  if rank[source] then s.heard[rank[source]], s.touched = at, true end
  return by
end

-- When an epoch began, in ms; 0 if that is not known. The first nine characters of an
-- epoch of 13 are that time in base 36; those of version 0.1 have eight and begin with
-- no digit below 2. Base 36 is read by hand: tonumber may have 32 bits.
local function born(epoch)
  if #epoch ~= 13 or not find(epoch, '^[01][%d%l]+$') then return 0 end
  local ms = 0
  for i = 1, 9 do
    local c = byte(epoch, i)
    ms = ms * 36 + (c < 58 and c - 48 or c - 87)
  end
  return ms
end

-- Whether an epoch is another one than seen and not newer. With two masters in a split,
-- the one that was replaced would otherwise go on with an epoch that clients have left.
local function over(epoch, seen)
  if epoch == seen then return false end
  local ms = born(seen)
  return ms > 0 and born(epoch) <= ms
end

-- The epoch to begin after these two. It is newer than both, even if the clock of the
-- caller is behind.
local function begin(stored, seen)
  local least, ms = max(born(stored), born(seen)), born(candidate)
  if ms == 0 or ms > least then return candidate end
  local digits, n = {}, least + 1
  for i = 9, 1, -1 do
    local d = n % 36
    digits[i] = string.char(d < 10 and d + 48 or d + 87)
    n = (n - d) / 36
  end
  return table.concat(digits) .. candidate:sub(10)
end

-- Reads the state of a symbol; returns the text of the error that forbids it.
local function read(s)
  local kind = call('TYPE', s.last).ok -- of the three only SET would not mind another kind of key
  if kind ~= 'none' and kind ~= 'string' then return refused(s) end
  local stored = try('HMGET', s.counter, unpack(s.fields))
  if stored.err then return refused(s, stored) end
  local refusal = may and forbidden(s)
  if refusal then return refusal end

  local epoch, seq = stored[1] or '', whole(stored[2] or '', 0, MAX_COUNT - #s.quotes)
  if not seq or #epoch > 32 or not find(epoch, '^[%w_-]+$') or stored[3] ~= run
    or (s.seen_epoch == epoch and s.seen > seq) or over(epoch, s.seen_epoch) then
    epoch, seq = begin(epoch, s.seen_epoch), 0
  end
  s.epoch, s.seq, s.stored, s.outliers = epoch, seq, stored, {}
  for name, source in pairs(s.sources) do
    if stored[source.field] then learn(source, stored[source.field]) end
    if stored[source.field + 1] then s.outliers[name] = outlier(stored[source.field + 1]) end
  end
  if ranked ~= '' then
    s.heard = {} -- by rank
    for i = 1, #names do s.heard[i] = tonumber(stored[#s.fields - #names + i] or '') end
  end
  -- The reference of the gate. It is forgotten some days after its last quote. A time
  -- in the future is that of a server whose clock was ahead: it counts as now, or quotes
  -- would be refused as old for as long.
  if stored[4] then
    local sum, digits, n, when, latest = match(stored[4], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
    if sum and #sum <= 72 and #digits <= 2 and at - tonumber(when) <= known then
      s.ref, s.latest = {sum = sum, mid = large(sum), digits = digits, n = tonumber(n), at = tonumber(when)}, min(tonumber(latest), at)
    end
  end
end

-- Judges the quotes of a symbol. Returns the answers, behind the epoch, the messages of
-- the accepted quotes and the last of these; s.latest becomes the newest time of any.
local function judge(s)
  local answers, texts, n, last = {s.epoch}, {}, 0, nil -- n are accepted
  local sources, jump, ref, latest, outliers, quotes = s.sources, s.jump, s.ref, s.latest, s.outliers, s.quotes
  local sum, mid, digits = ref and ref.sum, ref and ref.mid, ref and ref.digits -- of the reference
  local head, middle = '{"symbol":"' .. s.symbol .. '","bid":"', ',"epoch":"' .. s.epoch .. '","at":' .. accepted .. ',"source":"'
  for i = 1, #quotes do
    local q = quotes[i]
    local name, text, own, answer, confirmed = q[SOURCE], q[TEXT], q[MID], nil, nil
    local source, time = sources[name], text ~= '-' and q[TIME]
    if time then
      if time > at + MAX_AHEAD then
        answer = {'future', accepted}
      elseif source.time and time < source.time and abs(at - source.time_at) <= ttl * 1000 then
        answer = {'old', count(source.time)}
      elseif latest and lag > 0 and time < latest - lag then
        answer = {'late', count(latest)}
      end
    end
    if not answer and ranked ~= '' then answer = outranked(s, name) end
    if not answer and own < 0 then answer = {'wide', ''} end
    if not answer and mid and jump > 0 and (q[DIGITS] ~= digits or abs(own - mid) * 1000000 > mid * jump) then
      local one = {sum = q[SUM], mid = own, digits = q[DIGITS], n = 1, at = at}
      local before = {sum = sum, mid = mid, digits = digits, n = n + (ref and ref.n or 0)}
      if further(one, before, jump) then
        confirmed, answer = gap_or_outlier(s, name, one, before)
        outliers = s.outliers
      end
    end
    if not answer then
      if time then
        source.time, source.time_at = time, at
      else
        today = today or now()
        text = today
      end
      source.taken = at
      if outliers[name] then
        outliers[name], s.changed = nil, s.changed or {}
        s.changed[name] = true
      end
      if not time or time > at then time = at end
      if not latest or time > latest then latest = time end
      sum, mid, digits, n, last = q[SUM], own, q[DIGITS], n + 1, q
      texts[n] = head .. q[BID] .. '","ask":"' .. q[ASK] .. (q[EXTRA] == '-' and '' or q[EXTRA]) .. '","ts":"' .. text
        .. '","seq":' .. count(s.seq + n) .. (confirmed and ',"gap":true' or '') .. middle .. name .. '"}'
      answer = confirmed and -s.seq - n or s.seq + n
    end
    answers[i + 1] = answer
  end
  s.latest = latest
  return answers, texts, last
end

-- Forgets the least recent of too many sources; ages has when each was last used.
local function make_room(forget, kind, ages)
  local list = {}
  for source, used in pairs(ages) do list[#list + 1] = {source = source, used = used} end
  table.sort(list, function(a, b) return a.used < b.used or a.used == b.used and a.source < b.source end)
  for i = 1, #list - MAX_SOURCES do forget[#forget + 1] = kind .. list[i].source end
end

-- Adds what of the counter is to be set and deleted: named sources that were heard,
-- outliers (a gap cleared those of all sources), times of sources.
local function changes(s, set, forget)
  if s.touched and ranked ~= '' then
    for i, name in ipairs(names) do
      if s.heard[i] == at then set[#set + 1], set[#set + 2] = 'h:' .. name, accepted end
    end
  end
  for i = 1, s.cleared and #s.whole or 0, 2 do
    local name = match(s.whole[i], '^o:(.*)$')
    if name and not s.changed[name] then forget[#forget + 1] = s.whole[i] end
  end
  local ages
  for name in pairs(s.changed or {}) do
    local o = s.outliers[name]
    if o then
      set[#set + 1], set[#set + 2] = 'o:' .. name, o.n .. ' ' .. o.sum .. ' ' .. o.digits .. ' ' .. accepted
      ages = {}
    elseif s.stored[s.sources[name].field + 1] then
      forget[#forget + 1] = 'o:' .. name
    end
  end
  if ages then
    for name, o in pairs(s.outliers) do ages[name] = o.at end
    make_room(forget, 'o:', ages)
  end
end

-- Adds the times of the sources of accepted quotes.
local function remember(s, set, forget)
  local unknown = 0
  for name, source in pairs(s.sources) do
    if source.taken == at then
      if not s.stored[source.field] then unknown = unknown + 1 end
      set[#set + 1], set[#set + 2] = 's:' .. name, count(source.time or 0) .. ' '
        .. (source.time_at == at and accepted or count(source.time_at or 0)) .. ' ' .. accepted
    end
  end
  if unknown > 0 and call('HLEN', s.counter) + unknown > OWN + MAX_SOURCES then
    everything(s)
    local ages = {}
    for _, sources in ipairs({s.sources, s.others}) do
      for name, source in pairs(sources) do ages[name] = source.taken end
    end
    make_room(forget, 's:', ages)
  end
end

-- Accepts the quotes of a symbol; returns its reply.
local function accept(s)
  local refusal = read(s)
  if refusal then return refusal end
  local begun, before = s.seq == 0, s.ref and s.ref.at or 0
  local answers, texts, newest = judge(s)
  local last, set, forget, failed = #texts, {}, {}, nil
  if last == 0 then
    changes(s, set, forget)
    if #set > 0 then
      local reply = try('HSET', s.counter, unpack(set))
      if type(reply) == 'table' and reply.err then return refused(s, reply) end
      if #forget > 0 then call('HDEL', s.counter, unpack(forget)) end
    end
    return answers
  end

  local cut = history < TRIM * TRIM or floor((s.seq + last) / TRIM) > floor(s.seq / TRIM)
  for n = 1, last do
    local reply
    if n == last and cut then
      reply = try('XADD', s.history, 'MAXLEN', '=', ARGV[2], '*', 'q', texts[n])
    else
      reply = try('XADD', s.history, '*', 'q', texts[n])
    end
    if type(reply) == 'table' and reply.err then
      if n == 1 then return refused(s, reply) end
      -- Not even the identifiers of a stream are endless: what has its entry is
      -- accepted, the rest is not, nor is anything remembered of the sources and the price.
      last, failed = n - 1, {'failed', reply.err}
      break
    end
  end
  s.seq = s.seq + last
  set[1], set[2] = 'seq', count(s.seq)
  if begun then set[3], set[4], set[5], set[6] = 'epoch', s.epoch, 'run', run end
  if failed then
    for i, answer in ipairs(answers) do
      if type(answer) == 'number' and abs(answer) > s.seq then answers[i] = failed end
    end
  else
    set[#set + 1], set[#set + 2] = 'ref', newest[SUM] .. ' ' .. newest[DIGITS] .. ' ' .. min((s.ref and s.ref.n or 0) + last, 1000000) .. ' '
      .. accepted .. ' ' .. (s.latest == at and accepted or count(s.latest))
    changes(s, set, forget)
    remember(s, set, forget)
  end
  if #forget > 0 then call('HDEL', s.counter, unpack(forget)) end
  call('HSET', s.counter, unpack(set))
  call('SET', s.last, texts[last], 'PX', ARGV[1])
  -- Not at each quote: so the history may live for REFRESH longer than known.
  local refresh = max(min(known / 16, REFRESH), 1)
  if floor(at / refresh) ~= floor(before / refresh) then
    call('PEXPIRE', s.history, format('%.0f', max((known + refresh) / 1000, 1)))
  end
  for n = 1, last do call(publish, s.channel, texts[n]) end
  return answers
end

local replies = {at}
for n, s in ipairs(symbols) do replies[n + 1] = accept(s) end
return replies
