-- Keeps candles and the figures of the day. An interval is closed by the first quote that is
-- accepted after it: only then does its candle go to its list. Until then the counter has the
-- running minute, which each accepted quote changes, and of each longer interval what came
-- before that minute. Since a candle is written together with the quote that closed it, each
-- accepted quote is in one candle, whoever is killed. All times here are Unix minutes.
--
-- The running minute is the field 1m: 'epoch seq', the position of its last quote, then bid and
-- ask of that, 'start', high and low of the bid, the same of the ask, 'base complete' and the
-- first bid and ask. Its quotes are seq - base. It is complete, 1, if no quote is known to be
-- missing: that shows by the position, which is then the one before the next quote.
--
-- A longer interval is the field of its name: 'start end before quotes complete', then, unless
-- quotes is 0, open, high, low and close of the bid and of the ask. Before is the last bid of
-- the interval before it, '-' = unknown.
--
-- The lists are named by the counter's key, which is on the same server, and need not be among
-- KEYS: while their slot is on its way, a server refuses KEYS of which one does not exist yet.

local RUNNING = '^(%S+) (%d+) %S+ %S+ (%d+) (%S+) (%S+) (%S+) (%S+) (.+)$'

local made_candle
-- Functions that few quotes need, like those of rare.
local function candle()
  if made_candle then return made_candle end
  local c, intervals, longer = {}, {}, {}
  for name, length, keep, life in string.gmatch(candles, '(%w+):(%d+):(%d+):(%d+)') do
    intervals[#intervals + 1] = {name = name, length = tonumber(length), keep = tonumber(keep), life = life}
    if #intervals > 1 then longer[#longer + 1] = name end
  end

  -- A price as the nearest number.
  local function number(text)
    return tonumber(string.find(text, '.', 1, true) and text or text .. '.0')
  end
  c.number = number

  -- Whether one price is above another, to the last digit: two prices can have the same
  -- nearest number.
  local function above(x, y)
    local a, b = number(x), number(y)
    if a ~= b or x == y then return a > b end
    local x_whole, x_part = string.match(x, '^0*(%d*)%.?(%d*)$')
    local y_whole, y_part = string.match(y, '^0*(%d*)%.?(%d*)$')
    if #x_whole ~= #y_whole then return #x_whole > #y_whole end
    if x_whole ~= y_whole then return x_whole > y_whole end
    return string.match(x_part, '^(.-)0*$') > string.match(y_part, '^(.-)0*$')
  end
  c.above = above

  -- Start and end of an interval around a minute. Days come from the caller, as four bounds with
  -- now between the middle two. If its clock is days from that of Redis, they are continued.
  local function around(one, symbol, when)
    if one.length > 0 then
      local start = when - when % one.length
      return start, start + one.length
    end
    local BOUNDS = ' (%d+) (%d+) (%d+) (%d+)'
    local b = {string.match(days, ' ' .. symbol .. BOUNDS)} -- not of a symbol whose name ends so
    if #b == 0 then b = {string.match(days, '%*' .. BOUNDS)} end
    for i = 1, 4 do b[i] = tonumber(b[i]) end
    for i = 1, 3 do
      if b[i] <= when and when < b[i + 1] then return b[i], b[i + 1] end
    end
    local start = b[2] + math.floor((when - b[2]) / 1440) * 1440
    return start, start + 1440
  end

  -- Adds the minute to a longer interval.
  local function fold(x, m)
    if x.quotes == 0 then
      x.prices = {unpack(m.prices)}
    else
      for i = 0, 4, 4 do
        local mine, its = x.prices, m.prices
        if above(its[i + 2], mine[i + 2]) then mine[i + 2] = its[i + 2] end
        if above(mine[i + 3], its[i + 3]) then mine[i + 3] = its[i + 3] end
        mine[i + 4] = its[i + 4]
      end
    end
    x.quotes, x.complete = x.quotes + m.quotes, x.complete and m.complete
  end

  local function valid(prices)
    for i = 1, 8 do
      if not string.find(prices[i] or '', '^%d+%.?%d*$') then return false end
    end
    return #prices == 8
  end

  local function longer_of(text)
    local start, stop, before, quotes, complete, rest = string.match(text or '', '^(%d+) (%d+) (%S+) (%d+) ([01]) ?(.*)$')
    if not start then return end
    local x = {start = tonumber(start), stop = tonumber(stop), before = before, quotes = tonumber(quotes), complete = complete == '1', prices = {}}
    for price in string.gmatch(rest, '%S+') do x.prices[#x.prices + 1] = price end
    return (x.quotes == 0 or valid(x.prices)) and x or nil
  end

  local function text_of(x)
    local head = count(x.start) .. ' ' .. count(x.stop) .. ' ' .. x.before .. ' ' .. count(x.quotes) .. (x.complete and ' 1' or ' 0')
    return x.quotes == 0 and head or head .. ' ' .. table.concat(x.prices, ' ')
  end

  -- A whole number as bytes of 7 bits, the lowest first, all but the last with a high bit.
  local function bytes(out, n)
    while n >= 128 do
      local low = n % 128
      out[#out + 1], n = string.char(low + 128), (n - low) / 128
    end
    out[#out + 1] = string.char(n)
  end

  -- The differences of eight prices in units of the last digit of any, and how many digits each
  -- has after the point; nil if that is not exact.
  local function differences(prices)
    local places, most, v = {}, 0, {}
    for i = 1, 8 do
      local part = string.match(prices[i], '%.(%d*)$') or ''
      places[i], most = #part, math.max(most, #part)
    end
    for i = 1, 8 do
      local before, part = string.match(prices[i], '^(%d+)%.?(%d*)$')
      local digits = before .. part .. ('0'):rep(most - places[i])
      digits = string.match(digits, '^0*(%d+)$') -- the greedy 0* leaves one
      if #digits > 15 or most > 15 or #before > 1 and string.byte(before) == 48 then return end
      v[i] = tonumber(digits)
    end
    local d = {v[1], v[2] - v[1], v[1] - v[3], v[4] - v[3], v[5] - v[1], v[6] - v[5], v[5] - v[7], v[8] - v[7]}
    for i = 1, 8 do if d[i] < 0 then return end end
    return d, places, most
  end

  -- A candle as an element of its list: the form is described at feed.DecodeCandle.
  local function element(start, x)
    local out = {}
    bytes(out, start)
    bytes(out, x.quotes * 2 + (x.complete and 1 or 0))
    local d, places, most = differences(x.prices)
    if not d then
      bytes(out, 1)
      return table.concat(out) .. table.concat(x.prices, ' ')
    end
    local alike = math.min(unpack(places)) == most
    bytes(out, 2 * most + (alike and 0 or 1))
    for i = 1, alike and 0 or 8 do bytes(out, most - places[i]) end
    for i = 1, 8 do bytes(out, d[i]) end
    return table.concat(out)
  end

  -- When the candle of an element began.
  local function start_of(text)
    local n, power = 0, 1
    for i = 1, math.min(#text, 8) do
      local b = string.byte(text, i)
      n, power = n + b % 128 * power, power * 128
      if b < 128 then break end
    end
    return n
  end

  -- Ends the running minute if it is over, and begins the one of this moment; or goes on with it
  -- although quotes are missing. text is the field 1m. follows: the next quote of the symbol is
  -- the one after its last one. Returns the start, highs and lows of bid and ask, and 'base
  -- complete' of the minute; and its first prices, nil = it begins. What to write is left in s.
  --
  -- A clock that went back a little, over the last boundary, leaves the quotes to the running
  -- minute. If it went back further it was wrong before: later candles are dropped.
  function c.turn(s, symbol, text, follows)
    local _, seq, bid, ask, start, high, low, ask_high, ask_low, base, complete, first, ask_first =
      string.match(text or '', '^(%S+) (%d+) (%S+) (%S+) (%d+) (%S+) (%S+) (%S+) (%S+) (%-?%d+) ([01]) (%S+) (%S+)$')
    local name = string.match(s.counter, '^(.*:)seq$')
    if not name or #intervals < 2 or not string.find(days, '^%* %d+ %d+ %d+ %d+') then bad('candles') end
    local m
    if start then
      m = {start = tonumber(start), quotes = tonumber(seq) - tonumber(base), complete = complete == '1' and follows}
      m.prices = {first, high, low, bid, ask_first, ask_high, ask_low, ask}
      if m.quotes < 1 or not valid(m.prices) then m = nil end
    end
    if m then
      if m.start == minute or m.start == minute + 1 then
        return start, high, low, ask_high, ask_low, count(s.seq - m.quotes) .. (m.complete and m.start == minute and ' 1' or ' 0'), first, ask_first
      end
    end
    local back = not m or m.start > minute
    s.closed, s.dropped, s.fields = {}, {}, {}
    local function close(one, x)
      if one.keep > 0 and (minute - x.start) * 60000 < tonumber(one.life) then
        s.closed[#s.closed + 1] = {key = name .. 'candles:' .. one.name, element = element(x.start, x), keep = one.keep, life = one.life}
      end
    end
    local function drop(one, since) -- if there are any later candles
      local key, n = name .. 'candles:' .. one.name, 0
      local last = redis.pcall('LINDEX', key, '-1')
      while type(last) == 'string' and start_of(last) >= since do
        n = n + 1
        last = redis.call('LINDEX', key, -1 - n)
      end
      if n > 0 or type(last) == 'table' then s.dropped[#s.dropped + 1] = {key = key, n = n} end
    end
    if back then drop(intervals[1], minute) else close(intervals[1], m) end
    local stored = redis.call('HMGET', s.counter, unpack(longer))
    for i, field in ipairs(longer) do
      local one, x = intervals[i + 1], longer_of(stored[i])
      local from, to = around(one, symbol, minute)
      if not x or x.start > minute then x = {start = from, stop = to, before = '-', quotes = 0, complete = false} end
      if not back and x.start <= m.start and m.start < x.stop then fold(x, m) end
      if minute >= x.stop then
        if x.quotes > 0 then close(one, x) end
        x = {start = math.max(from, x.stop), stop = to, before = x.quotes > 0 and x.prices[4] or x.before, quotes = 0, complete = true}
      end
      if back then drop(one, x.start) end
      s.fields[2 * i - 1], s.fields[2 * i] = field, text_of(x)
    end
    for _, list in ipairs({s.closed, s.dropped}) do
      for _, one in ipairs(list) do
        local reply = redis.pcall('LLEN', one.key)
        if type(reply) == 'table' then
          if string.find(reply.err, 'WRONGTYPE', 1, true) then
            refuse('WRONGTYPE ' .. one.key .. ' is a ' .. redis.call('TYPE', one.key).ok .. ', it must be a list')
          elseif string.find(reply.err, 'non local key', 1, true) then
            refuse('TRYAGAIN the slot of ' .. one.key .. ' is on its way')
          end
          refuse(reply.err)
        elseif reply == 0 and #KEYS == 1 then
          refuse('TRYAGAIN the slot of ' .. one.key .. ' is on its way') -- perhaps so is the list
        end
      end
    end
    return minute_text, nil, nil, nil, nil, count(s.seq) .. (not back and follows and ' 1' or ' 0')
  end

  -- The command and the key that the user may not use of those that store runs.
  function c.forbidden(s)
    for _, one in ipairs(s.closed) do
      if not may('RPUSH', one.key, '') then return 'RPUSH', one.key end
      if not may('LTRIM', one.key, '0', '0') then return 'LTRIM', one.key end
      if not may('PEXPIRE', one.key, '1') then return 'PEXPIRE', one.key end
    end
    for _, one in ipairs(s.dropped) do
      if not may('LTRIM', one.key, '0', '0') then return 'LTRIM', one.key end
    end
  end

  -- Stores what turn has left.
  function c.store(s)
    for _, one in ipairs(s.dropped) do redis.call('LTRIM', one.key, 0, -1 - one.n) end
    for _, one in ipairs(s.closed) do
      redis.call('RPUSH', one.key, one.element)
      redis.call('LTRIM', one.key, -one.keep, -1)
      redis.call('PEXPIRE', one.key, one.life)
    end
  end

  made_candle = c
  return c
end
