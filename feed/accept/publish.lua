-- Accepts quotes of several symbols. Those of one symbol are accepted together and
-- in their order: for each a number, an entry of the history and a message; for the
-- newest of them the last value. Nobody sees the state between.
--
-- Redis does not undo what a failed script wrote. So the script first judges the quotes
-- of all symbols, which writes nothing: a bad argument ends it there. Of each symbol
-- everything that can fail is checked before its first write, with the rights of the user
-- at this moment; and that first write, XADD, is the one that a full server, a replica or
-- a wrong kind of key refuses, having changed nothing. A symbol that is refused leaves the
-- others alone.
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
--        between the ask and '","ts"', '-' = nothing; before it, of a quote that came in a
--        stream, ':generation:place:before:', see entry. Text is the time as text, '-' = that
--        of acceptance; time is the same in microseconds. Sum is bid + ask in units of
--        10^-digits, twice the mid, with a minus where the spread is wider than its limit
--
-- Returns {acceptance in microseconds, a reply for each symbol}. A reply is the text
-- of the error by which the symbol was refused, or {epoch, an answer for each quote}.
-- An answer is the number, negative where the quote confirmed a gap; or
-- {'future', 'old' or 'late', the microseconds that the time was compared with},
-- {'outranked', 'source microseconds since it was heard'}, {'wide', ''},
-- {'outlier', 'sum and digits of the reference, outliers of the source in a row,
-- what would confirm it'}, {'repeated', the entry settled last}, {'failed', why}. A
-- quote with such an answer wrote nothing, except that its outlier is remembered,
-- that, under ARGV 5, its source was heard, and that its entry is settled.
--
-- The counter is a hash: epoch, seq, run (the server that counted), ref (the
-- reference of the gate: sum, digits, quotes accepted since there was none, when
-- the last of them was accepted, the newest time of any), s:SOURCE (time of its
-- last quote that had one, when that was accepted, when its last quote was
-- accepted), o:SOURCE (outliers in a row, sum, digits and arrival of the last),
-- h:SOURCE (when a named source was last heard), entry (the place of the entry of a
-- stream that was settled last, and the generation of that stream). A place is 'ms-seq-index':
-- the id of the entry, and which of its quotes. A quote of a place that is not after the
-- settled one is a repeated one. The place before it is that of the quote that precedes it in
-- the stream, '' = unknown: if that is not settled, Redis has forgotten it, and the quote
-- must wait until its reader has sent that one again.
--
-- Of a call little is spent in the commands and most in Lua: keep tables, functions and
-- conversions between numbers and text out of the usual way. Numbers that may pass 10^14
-- are printed by %.0f: tostring would round them, and %d, which costs half, may be of 32
-- bits. Long whole numbers are read with '.0' after them: the embedded Lua reads no others
-- above 2^63.

local MAX_SOURCES = 16
local MAX_AHEAD = 5000000 -- microseconds
local MAX_COUNT = 9007199254740991 -- 2^53-1, the last number counted exactly
local FIRST = 8 -- argument of the first symbol
local OWN = 4 -- fields of the counter that belong to no source
local FIRM, FIRM_TEXT = 1000, '1000' -- the gate counts accepted quotes up to this: no confirm is higher
local TRIM = 16 -- a history longer than the square of this is cut only once in so many quotes
local REFRESH = 60000000 -- microseconds: the life of the history is set again as often
local POINT, COLON, T, Z = 46, 58, 84, 90 -- bytes
local SYMBOL = '^([%u%d]+/[%u%d]+) (%d+) ([%w_-]+) (%d+) (%d+) (%S+)$'
local QUOTE = '^(%d+%.?%d*) (%d+%.?%d*) ([-,":%l_%d.]+) ([%dT:.Z-]+) (%d+) ([%l%d_.-]+) (%-?%d+) (%d+)$'

local call, try, format, find, match, byte = redis.call, redis.pcall, string.format, string.find, string.match, string.byte
local abs, min, max, floor = math.abs, math.min, math.max, math.floor
local may = rawget(redis, 'acl_check_cmd')

local function bad(what)
  return redis.error_reply('FXARGS publish script: bad ' .. what)
end
local function whole(text, low, high)
  local n = #text <= 16 and not find(text, '%D') and tonumber(text)
  return n and n >= low and n <= high and n
end
-- A whole number of many digits, as near as a double is.
local function large(text)
  return tonumber(#text < 16 and text or text .. '.0')
end
-- A whole number as text.
local function count(n)
  return n < 2147483648 and format('%d', n) or format('%.0f', n)
end

local keys, size = KEYS, #ARGV
if #KEYS == 1 then
  local name = match(KEYS[1], '^(.*:)seq$')
  if not name then return bad('key') end
  keys = {name .. 'quote', KEYS[1], name .. 'ticks'}
end
if #keys == 0 or #keys % 3 ~= 0 or size <= FIRST then return bad('number of arguments') end
local ttl, history = whole(ARGV[1], 1, 1e12), whole(ARGV[2], 1, 1e9)
local candidate, run, ranked, publish = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if not ttl then return bad('life of the last quote') end
if not history then return bad('length of the history') end
if #candidate > 32 or not find(candidate, '^[a-z0-9]+$') then return bad('new epoch') end
if run == '' or #run > 64 then return bad('run id') end
if publish ~= 'PUBLISH' and publish ~= 'SPUBLISH' then return bad('command to publish') end
local gap, confirm, stale, lag, known = match(ARGV[7], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
if not gap then return bad('gate') end
lag, known = tonumber(lag), tonumber(known)

local clock = call('TIME')
local at = clock[1] * 1000000 + clock[2]
local accepted = clock[1] .. ('00000' .. clock[2]):sub(-6)
-- The life of the history is set by the first quote after refreshed, not by each quote: so
-- the history may live for refresh longer than known.
local refresh = max(min(known / 16, REFRESH), 1)
local refreshed = floor(at / refresh) * refresh

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

-- Whether x is further from y than a limit in parts per million of y. Exact
-- where both have at most nine digits and a few.
local function further(x, y, limit)
  local a, b, more = x.mid, y.mid, x.digits - y.digits
  local power = tonumber('1' .. ('0'):rep(abs(more)) .. '.0') -- of ten, exactly
  if more < 0 then a = a * power else b = b * power end
  return abs(a - b) * 1000000 > b * limit
end

-- The last outlier of a source, and how many it had in a row.
local function outlier(text)
  local n, sum, digits, at = match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  return n and #sum <= 72 and #digits <= 2
    and {n = tonumber(n), sum = sum, mid = large(sum), digits = digits, at = tonumber(at)} or nil
end

local names, outranked = {}, nil -- of named sources; nil = all sources are equal
if ranked ~= '' then
  local fields, limits, rank = {}, {}, {}
  for name, limit in ranked:gmatch('(%S+) (%d+)') do
    local n = #names + 1
    names[n], fields[n], limits[n], rank[name] = name, 'h:' .. name, tonumber(limit) * 1000, n
  end
  if #names == 0 or #names > MAX_SOURCES then return bad('named sources') end

  -- Judges the rank of a source; returns an answer, nil if the quote may be accepted. A source
  -- that has been silent for longer than its limit does not count; one that was heard in
  -- the future was heard by another clock.
  function outranked(s, source)
    if not s.heard then
      s.heard = call('HMGET', s.counter, unpack(fields)) -- by rank
      for i = 1, #names do s.heard[i] = tonumber(s.heard[i] or '') or false end
    end
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
end

-- Functions that few quotes need. They are made when the first quote of a call needs one:
-- to make them costs more than to accept a quote. Each local of the script that they use
-- costs something at each call, so they take match and the like from the library.
local made
local function rare()
  if made then return made end
  local r = {}

  -- The text of an error of Redis, which names no key and no command.
  local KINDS = {'string', 'hash', 'stream'}
  function r.refused(s, reply)
    if may and not may('XADD', s.history, '*', 'q', '') then return 'NOPERM the publish script may not XADD ' .. s.history end
    for i, key in ipairs({s.last, s.counter, s.history}) do
      local kind = redis.pcall('TYPE', key).ok
      if kind and kind ~= 'none' and kind ~= KINDS[i] then
        return 'WRONGTYPE ' .. key .. ' is a ' .. kind .. ', it must be a ' .. KINDS[i]
      end
    end
    return reply.err
  end

  -- When an epoch began, in ms; 0 if that is not known. The first nine characters of an
  -- epoch of 13 are that time in base 36; those of version 0.1 have eight and begin with
  -- no digit below 2. Base 36 is read by hand: tonumber may have 32 bits.
  local function born(epoch)
    if #epoch ~= 13 or not string.find(epoch, '^[01][%d%l]+$') then return 0 end
    local ms = 0
    for i = 1, 9 do
      local c = string.byte(epoch, i)
      ms = ms * 36 + (c < 58 and c - 48 or c - 87)
    end
    return ms
  end

  -- Whether an epoch, which is not the one seen, is not newer than it. With two masters in a
  -- split, the one that was replaced would otherwise go on with an epoch that clients have left.
  function r.over(epoch, seen)
    local ms = born(seen)
    return ms > 0 and born(epoch) <= ms
  end

  -- The epoch to begin after these two. It is newer than both, even if the clock of the
  -- caller is behind.
  function r.begin(stored, seen)
    local least, ms = math.max(born(stored), born(seen)), born(candidate)
    if ms == 0 or ms > least then return candidate end
    local digits, n = {}, least + 1
    for i = 9, 1, -1 do
      local d = n % 36
      digits[i] = string.char(d < 10 and d + 48 or d + 87)
      n = (n - d) / 36
    end
    return table.concat(digits) .. candidate:sub(10)
  end

  -- Reads the rest of the counter, about sources that these quotes are not from: when the
  -- first outlier comes, or when there may be too many sources.
  local function everything(s)
    if s.whole then return end
    s.whole, s.others, s.outliers = redis.call('HGETALL', s.counter), {}, s.outliers or {}
    for i = 1, #s.whole, 2 do
      local kind, name = string.match(s.whole[i], '^([so]):(.*)$')
      if kind == 'o' and not s.sources[name] then
        s.outliers[name] = outlier(s.whole[i + 1])
      elseif kind == 's' and not s.sources[name] then
        s.others[name] = {times = s.whole[i + 1]}
      end
    end
  end

  -- When the last quote of a source was accepted; nil = none was. Version 0.1 did not write it.
  local function taken(source)
    if source.taken then return at end
    local time_at, last = string.match(source.times or '', '^%d+ (%d+) ?(%d*)$')
    return tonumber(last or '') or tonumber(time_at or '')
  end

  -- Whether a source that is none of these two had a quote accepted lately.
  local function another(s, one, two)
    for _, sources in ipairs({s.sources, s.others}) do
      for name, source in pairs(sources) do
        local last = name ~= one and name ~= two and taken(source)
        if last and math.abs(at - last) <= stale then return true end
      end
    end
    return false
  end

  local PLACE = '^(%d+)%-(%d+)%-(%d+)$'
  -- Whether one place in a stream is after another. Their numbers may have 20 digits.
  local function after(one, other)
    local mine, its = {string.match(one, PLACE)}, {string.match(other, PLACE)}
    for i = 1, 3 do
      local x, y = mine[i], its[i]
      if x ~= y then return #x > #y or #x == #y and x > y end
    end
    return false
  end

  -- Settles the entry of a stream; returns an answer if its quote may not be judged. A repeated
  -- one is written again, so that WAIT covers it.
  function r.entry(s, entry)
    local generation, place, before = string.match(entry, '^(%w+):([%d-]+):([%d-]*)$')
    if s.generation ~= generation then
      local settled, of = string.match(redis.call('HGET', s.counter, 'entry') or '', '^(%d+%-%d+%-%d+) (%w+)$')
      s.place = of == generation and settled or '0-0-0'
    end
    if before ~= '' and after(before, s.place) then
      return {'failed', 'FXSTREAM Redis has forgotten ' .. before .. ', after which comes ' .. place}
    end
    local new = after(place, s.place)
    if new then s.place = place end
    s.generation, s.changed = generation, s.changed or {}
    return not new and {'repeated', s.place} or nil
  end

  gap, confirm, stale = tonumber(gap), tonumber(confirm), tonumber(stale)

  -- Judges a quote whose mid is further from that of ref, the reference, than the limit:
  -- returns true if it confirms a gap, else its answer. What would confirm it: 'more' of
  -- this source, 'second' source, 'third' source that must be silent, or 'reference' that
  -- must be forgotten.
  function r.gap_or_outlier(s, name, one, ref)
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
        if second ~= name and math.abs(at - other.at) <= stale and not further(one, other, s.jump) then
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

  -- Forgets the least recent of too many sources; ages has when each was last used.
  local function make_room(forget, kind, ages)
    local list = {}
    for source, used in pairs(ages) do list[#list + 1] = {source = source, used = used} end
    table.sort(list, function(a, b) return a.used < b.used or a.used == b.used and a.source < b.source end)
    for i = 1, #list - MAX_SOURCES do forget[#forget + 1] = kind .. list[i].source end
  end

  -- Adds what few quotes change in the counter: the settled entry, named sources that were
  -- heard, outliers (a gap cleared those of all sources).
  function r.changes(s, set, forget)
    if s.generation then set[#set + 1], set[#set + 2] = 'entry', s.place .. ' ' .. s.generation end
    for i, name in ipairs(s.touched and names or {}) do
      if s.heard[i] == at then set[#set + 1], set[#set + 2] = 'h:' .. name, accepted end
    end
    for i = 1, s.cleared and #s.whole or 0, 2 do
      local name = string.match(s.whole[i], '^o:(.*)$')
      if name and not s.changed[name] then forget[#forget + 1] = s.whole[i] end
    end
    local ages
    for name in pairs(s.changed or {}) do
      local o = s.outliers[name]
      if o then
        set[#set + 1], set[#set + 2] = 'o:' .. name, o.n .. ' ' .. o.sum .. ' ' .. o.digits .. ' ' .. accepted
        ages = {}
      elseif s.sources[name].outlier then
        forget[#forget + 1] = 'o:' .. name
      end
    end
    if ages then
      for name, o in pairs(s.outliers) do ages[name] = o.at end
      make_room(forget, 'o:', ages)
    end
  end

  -- Makes room for new sources.
  function r.remember(s, new, forget)
    if redis.call('HLEN', s.counter) + new <= OWN + MAX_SOURCES then return end
    everything(s)
    local ages = {}
    for _, sources in ipairs({s.sources, s.others}) do
      for name, source in pairs(sources) do ages[name] = taken(source) end
    end
    make_room(forget, 's:', ages)
  end

  made = r
  return r
end

-- Adds what is known of a source: its field s:, of which only the time is read here; and its
-- last outlier. If one of these quotes is accepted, taken becomes true, and timed the
-- text of its time.
local function learn(s, name, times, last)
  s.sources[name] = {time = times and tonumber(match(times, '^(%d+) %d') or ''), times = times, outlier = last, timed = false, taken = false}
  if last and not s.cleared then
    s.outliers = s.outliers or {}
    s.outliers[name] = outlier(last)
  end
  if s.others then s.others[name] = nil end
end

-- Reads the state of a symbol, of sources only the one with this name. Returns the text of
-- the error that forbids to write, or nil and the reference as text.
local function read(s, name, seen_epoch, seen)
  local length = try('STRLEN', s.last) -- of the three only SET would not mind another kind of key
  if type(length) == 'table' then return rare().refused(s, length) end
  local stored = try('HMGET', s.counter, 'epoch', 'seq', 'run', 'ref', 's:' .. name, 'o:' .. name)
  if stored.err then return rare().refused(s, stored) end
  local epoch, seq = stored[1] or '', whole(stored[2] or '', 0, MAX_COUNT - s.quotes)
  local continues = seq and stored[3] == run
  if continues and epoch == seen_epoch then
    continues = seen <= seq
  elseif continues then
    continues = #epoch <= 32 and find(epoch, '^[%w_-]+$') and (seen_epoch == '-' or not rare().over(epoch, seen_epoch))
  end
  if not continues then
    epoch, seq, s.begun = rare().begin(epoch, seen_epoch), 0, true
  end
  s.epoch, s.seq = epoch, seq
  learn(s, name, stored[5], stored[6])
  return nil, stored[4]
end

-- The reference of the gate: sum, mid, digits, how many quotes were accepted since there was
-- none, when the last of them was, the newest time of any and its text. It is forgotten some
-- days after its last quote. A time in the future is that of a server whose clock was ahead:
-- it counts as now, or quotes would be refused as old for as long.
local function reference(text)
  local sum, digits, n, when, latest = match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not sum or #sum > 72 or #digits > 2 or at - tonumber(when) > known then return end
  local time = tonumber(latest)
  if time > at then time, latest = at, accepted end
  return sum, large(sum), digits, tonumber(n), tonumber(when), time, latest
end

-- The text of an error if the user may not run all that write runs of a symbol after its first
-- write. Before 7.0 a script cannot ask: there a user with part of these rights can leave an
-- acceptance half done.
local function forbidden(s)
  local command, key
  if (s.begun or #s.forget > 0) and not may('HDEL', s.counter, 's:') then -- soon needed, if not now
    command, key = 'HDEL', s.counter
  elseif #s.texts == 0 then
    return
  elseif not may('HSET', s.counter, 'seq', '') then
    command, key = 'HSET', s.counter
  elseif not may('SET', s.last, '') then
    command, key = 'SET', s.last
  elseif s.expires and not may('PEXPIRE', s.history, '1') then
    command, key = 'PEXPIRE', s.history
  elseif not may(publish, s.channel, '') then
    command, key = publish, s.channel
  end
  return command and 'NOPERM the publish script may not ' .. command .. ' ' .. key
end

-- Writes what was judged of a symbol; returns its reply.
local function write(s)
  if s.refusal then return s.refusal end
  local answers, texts, set, forget = s.answers, s.texts, s.set, s.forget
  local last = #texts
  if last == 0 then
    if #set > 0 then
      local reply = try('HSET', s.counter, unpack(set))
      if type(reply) == 'table' and reply.err then return rare().refused(s, reply) end
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
      if n == 1 then return rare().refused(s, reply) end
      -- Not even the identifiers of a stream are endless: what has its entry is accepted,
      -- the rest is not, nor is anything remembered of the sources and the price.
      last, set, forget = n - 1, {'epoch', s.epoch, 'seq', count(s.seq + n - 1), 'run', run}, {}
      for i = 2, #answers do
        if type(answers[i]) == 'number' and abs(answers[i]) > s.seq + last then answers[i] = {'failed', reply.err} end
      end
      break
    end
  end
  if #forget > 0 then call('HDEL', s.counter, unpack(forget)) end
  call('HSET', s.counter, unpack(set))
  call('SET', s.last, texts[last], 'PX', ARGV[1])
  if s.expires then call('PEXPIRE', s.history, format('%.0f', max((known + refresh) / 1000, 1))) end
  for n = 1, last do call(publish, s.channel, texts[n]) end
  return answers
end

-- First the quotes of all symbols are judged, which writes nothing. This is no function of its
-- own, nor are more of its parts, since making a function costs up to half a microsecond.
local judged, argument = {}, FIRST
for k = 1, #keys, 3 do
  local symbol, jump, seen_epoch, seen, quotes, channel = match(ARGV[argument] or '', SYMBOL)
  if not symbol or #symbol > 21 or #seen_epoch > 32 then return bad('symbol') end
  jump, seen, quotes = tonumber(jump), whole(seen, 0, MAX_COUNT), tonumber(quotes)
  if not seen then return bad('highest number seen') end
  if quotes == 0 or argument + quotes > size then return bad('number of quotes') end
  local sources, texts, answers = {}, {}, {false}
  local s = {
    last = keys[k], counter = keys[k + 1], history = keys[k + 2], channel = channel, jump = jump, quotes = quotes,
    epoch = false, seq = false, sources = sources, outliers = false, -- set by read
    texts = texts, answers = answers, set = false, forget = false, -- for write
  }
  local n, number = 0, nil -- of the accepted quotes; of the last of them
  local sum, mid, digits, firm, before, latest, latest_text -- the reference
  for i = 1, quotes do
    local bid, ask, extra, text, time, name, own_sum, own_digits = match(ARGV[argument + i], QUOTE)
    if not own_digits then return bad('quote') end
    if #bid > 64 or byte(bid, -1) == POINT then return bad('bid') end
    if #ask > 64 or byte(ask, -1) == POINT then return bad('ask') end
    local entry
    if extra == '-' then
      extra = ''
    else
      if byte(extra) == COLON then
        entry, extra = match(extra, '^:(%w+:%d+%-%d+%-%d+:%d*%-?%d*%-?%d*):([^:].*)$')
        if not entry or #entry > 160 then return bad('entry') end
        if extra == '-' then extra = '' end
      end
      if #extra > 512 or extra ~= '' and not find(extra, '^","[%l_]+":"[^-]+$') then return bad('extra') end
    end
    if text ~= '-' and (#text ~= 27 or byte(text, 11) ~= T or byte(text, -1) ~= Z) then return bad('time') end
    local micros = #time <= 16 and time + 0 -- faster than tonumber
    if not micros or micros > MAX_COUNT then return bad('time in microseconds') end
    if #own_sum > 73 or #own_digits > 2 then return bad('sum') end
    if #name > 32 then return bad('source') end

    if i == 1 then
      local refusal, ref = read(s, name, seen_epoch, seen)
      if refusal then
        s.refusal = refusal
        break -- its other quotes are not looked at
      end
      answers[1] = s.epoch
      if ref then sum, mid, digits, firm, before, latest, latest_text = reference(ref) end
    elseif not sources[name] then
      s.several = (s.several or 1) + 1
      if s.several > MAX_SOURCES then return bad('number of sources') end
      learn(s, name, unpack(call('HMGET', s.counter, 's:' .. name, 'o:' .. name)))
    end

    local source, own, moment, answer, confirmed = sources[name], large(own_sum), text ~= '-' and micros, nil, nil
    if entry then answer = rare().entry(s, entry) end
    if moment and not answer then
      if moment > at + MAX_AHEAD then
        answer = {'future', accepted}
      elseif source.time and moment < source.time and (source.timed or abs(at - match(source.times, ' (%d+)')) <= ttl * 1000) then
        answer = {'old', count(source.time)}
      elseif latest and lag > 0 and moment < latest - lag then
        answer = {'late', latest_text}
      end
    end
    if outranked and not answer then answer = outranked(s, name) end
    if not answer and own < 0 then answer = {'wide', ''} end
    if not answer and mid and jump > 0 and (own_digits ~= digits or abs(own - mid) * 1000000 > mid * jump) then
      local one = {sum = own_sum, mid = own, digits = own_digits, n = 1, at = at}
      local ref = {sum = sum, mid = mid, digits = digits, n = firm}
      if further(one, ref, jump) then confirmed, answer = rare().gap_or_outlier(s, name, one, ref) end
    end
    if not answer then
      if moment then
        source.time, source.timed = moment, time
      else
        today = today or now()
        text = today
      end
      source.taken = true
      if s.outliers and s.outliers[name] then
        s.changed = s.changed or {}
        s.outliers[name], s.changed[name] = nil, true
      end
      if not moment or moment > at then moment, time = at, accepted end
      if not latest or moment > latest then latest, latest_text = moment, time end
      n = n + 1
      number, sum, mid, digits, firm = count(s.seq + n), own_sum, own, own_digits, (firm or 0) + 1
      texts[n] = '{"symbol":"' .. symbol .. '","bid":"' .. bid .. '","ask":"' .. ask .. extra .. '","ts":"' .. text .. '","seq":' .. number
        .. (confirmed and ',"gap":true' or '') .. ',"epoch":"' .. s.epoch .. '","at":' .. accepted .. ',"source":"' .. name .. '"}'
      answer = confirmed and -s.seq - n or s.seq + n
    end
    answers[i + 1] = answer
  end

  local set, forget = {}, {}
  if n > 0 then
    local ref = sum .. ' ' .. digits .. ' ' .. (firm < FIRM and count(firm) or FIRM_TEXT) .. ' ' .. accepted .. ' ' .. latest_text
    set = {'seq', number, 'ref', ref, nil, nil} -- with room for one source
    local filled, new = 4, 0
    if s.begun then set[5], set[6], set[7], set[8], filled = 'epoch', s.epoch, 'run', run, 8 end
    for name, source in pairs(sources) do
      if source.taken then
        local times = source.timed and source.timed .. ' ' .. accepted or match(source.times or '', '^%d+ %d+') or '0 0'
        set[filled + 1], set[filled + 2], filled = 's:' .. name, times .. ' ' .. accepted, filled + 2
        if not source.times then new = new + 1 end
      end
    end
    if new > 0 then rare().remember(s, new, forget) end
    s.expires = not before or before < refreshed
  end
  if s.changed or s.touched then rare().changes(s, set, forget) end
  s.set, s.forget = set, forget
  s.refusal = s.refusal or may and forbidden(s)
  if judged[s.counter] then return bad('symbol: twice') end -- it would give its numbers twice
  judged[#judged + 1], judged[s.counter], argument = s, true, argument + quotes + 1
end
if argument ~= size + 1 then return bad('number of arguments') end

-- Then all that was accepted is written, and the reply of each symbol is its answers.
local replies = {at}
for n = 1, #judged do replies[n + 1] = write(judged[n]) end
return replies
