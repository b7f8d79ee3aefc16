-- Whether x is further from y than a limit in parts per million of y. Exact
-- where both have at most nine digits and a few.
local function further(x, y, limit)
  local a, b, more = x.mid, y.mid, x.digits - y.digits
  local power = tonumber('1' .. ('0'):rep(abs(more)) .. '.0') -- of ten, exactly
  if more < 0 then a = a * power else b = b * power end
  return abs(a - b) * 1000000 > b * limit
end

local names, outranked = {}, nil -- of named sources; nil = all sources are equal
if ranked ~= '' then
  local fields, limits, rank = {}, {}, {}
  for name, limit in ranked:gmatch('(%S+) (%d+)') do
    local n = #names + 1
    names[n], fields[n], limits[n], rank[name] = name, 'h:' .. name, tonumber(limit) * 1000, n
  end
  if #names == 0 or #names > MAX_SOURCES then bad('named sources') end

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

  -- Refuses a symbol by an error of Redis, which names no key and no command.
  local KINDS = {'string', 'hash', 'stream'}
  function r.refuse(s, reply)
    if may and not may('XADD', s.history, '*', 'q', '') then refuse('NOPERM the publish script may not XADD ' .. s.history) end
    for i, key in ipairs({s.last, s.counter, s.history}) do
      local kind = redis.pcall('TYPE', key).ok
      if kind and kind ~= 'none' and kind ~= KINDS[i] then
        refuse('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', it must be a ' .. KINDS[i])
      end
    end
    refuse(reply.err)
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

  -- The last outlier of a source, and how many it had in a row.
  local function outlier(text)
    local n, sum, digits, when = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
    return n and #sum <= 72 and #digits <= 2
      and {n = tonumber(n), sum = sum, mid = large(sum), digits = digits, at = tonumber(when)} or nil
  end

  -- Adds the last outlier of a source of these quotes, unless a gap has cleared all.
  function r.learn(s, name, text)
    if s.cleared then return end
    s.outliers = s.outliers or {}
    s.outliers[name] = outlier(text)
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

  local function forget(s, field)
    s.forget = s.forget or {}
    s.forget[#s.forget + 1] = field
  end

  -- Forgets the least recent of too many sources; ages has when each was last used.
  local function make_room(s, kind, ages)
    local list = {}
    for source, used in pairs(ages) do list[#list + 1] = {source = source, used = used} end
    table.sort(list, function(a, b) return a.used < b.used or a.used == b.used and a.source < b.source end)
    for i = 1, #list - MAX_SOURCES do forget(s, kind .. list[i].source) end
  end

  -- Adds what few quotes change in the counter: the settled entry, named sources that were
  -- heard, outliers (a gap cleared those of all sources). The list set is filled up to filled;
  -- returns up to where it then is.
  function r.changes(s, set, filled)
    local function add(field, value)
      set[filled + 1], set[filled + 2], filled = field, value, filled + 2
    end
    if s.generation then add('entry', s.place .. ' ' .. s.generation) end
    for i, name in ipairs(s.touched and names or {}) do
      if s.heard[i] == at then add('h:' .. name, accepted) end
    end
    for i = 1, s.cleared and #s.whole or 0, 2 do
      local name = string.match(s.whole[i], '^o:(.*)$')
      if name and not s.changed[name] then forget(s, s.whole[i]) end
    end
    local ages
    for name in pairs(s.changed or {}) do
      local o = s.outliers[name]
      if o then
        add('o:' .. name, o.n .. ' ' .. o.sum .. ' ' .. o.digits .. ' ' .. accepted)
        ages = {}
      elseif s.sources[name].outlier then
        forget(s, 'o:' .. name)
      end
    end
    if ages then
      for name, o in pairs(s.outliers) do ages[name] = o.at end
      make_room(s, 'o:', ages)
    end
    return filled
  end

  -- Makes room for new sources.
  function r.remember(s, new)
    if redis.call('HLEN', s.counter) + new <= OWN + MAX_SOURCES then return end
    everything(s)
    local ages = {}
    for _, sources in ipairs({s.sources, s.others}) do
      for name, source in pairs(sources) do ages[name] = taken(source) end
    end
    make_room(s, 's:', ages)
  end

  made = r
  return r
end
