-- Decides all tiers together and charges all of them or none: see window.go, which has the same arithmetic.
-- All times are microseconds by this server's clock.
-- KEYS[i] one window. ARGV[1] '1' to charge, '0' to look only; then for each key: cost, limit, and milliseconds
-- to live, which is the window and a second.
-- Returns {1 allowed | 0, now, keys found unreadable, keys whose clock went back,
-- then for each key: remaining, reset, retry (0 = fits, -1 = never)}.
--
-- A window is a string: 1 byte format, 7 time of the newest charge, `tw` how long before that its mark was opened,
-- `width` total, then marks, oldest first: `tw` time modulo 256^tw, `width` count. Numbers are big-endian.
-- Times of marks matter only relative to the newest mark, so the clock is put back by changing the 7 bytes.
local byte, char, sub, call, pcall = string.byte, string.char, string.sub, redis.call, redis.pcall
local KEYS, ARGV = KEYS, ARGV

local function number(s, at, width)
  local a, b, c, d, e, f, g = byte(s, at, at + width - 1)
  if width == 1 then return a end
  if width == 2 then return a * 256 + b end
  if width == 3 then return (a * 256 + b) * 256 + c end
  local n = ((a * 256 + b) * 256 + c) * 256 + d
  if e then n = n * 256 + e end
  if f then n = n * 256 + f end
  if g then n = n * 256 + g end
  return n
end

local function bytes(n, width)
  local a = n % 256
  if width == 1 then return char(a) end
  n = (n - a) / 256
  local b = n % 256
  if width == 2 then return char(b, a) end
  n = (n - b) / 256
  local c = n % 256
  if width == 3 then return char(c, b, a) end
  n = (n - c) / 256
  local d = n % 256
  if width == 4 then return char(d, c, b, a) end
  n = (n - d) / 256
  local e = n % 256
  if width == 5 then return char(e, d, c, b, a) end
  n = (n - e) / 256
  local f = n % 256
  if width == 6 then return char(f, e, d, c, b, a) end
  return char((n - f) / 256, f, e, d, c, b, a)
end

local t = call('TIME')
local now = t[1] * 1000000 + t[2]
local stamp = '\1' .. bytes(now, 7)
local charge = ARGV[1] == '1'
local allowed = true
local reply = {1, now, 0, 0}
local values, rebased = {}, {} -- what is written if all allow; else if the clock went back
local remaining, reset = {}, {} -- after the charge

for i = 1, #KEYS do
  local key = KEYS[i]
  local at = 3 * i
  local cost, limit, window = ARGV[at - 1] + 0, ARGV[at] + 0, (ARGV[at + 1] - 1000) * 1000
  local tw, modulus = 4, 4294967296
  while window >= modulus do tw, modulus = tw + 1, modulus * 256 end
  local width, top = 1, 256
  while limit >= top do width, top = width + 1, top * 256 end
  local head, size = 8 + tw + width, tw + width

  local v = pcall('GET', key)
  local total, count, oldest = 0, 0, 0 -- units and marks in the window, age of the oldest mark
  local first, newest, delta, back -- where the oldest mark stands; the newest one's time, and age
  if v then
    local format, a, b, c, d, e, f, g
    if type(v) == 'string' then
      count = (#v - head) / size
      format, a, b, c, d, e, f, g = byte(v, 1, 8)
    end
    if format ~= 1 or count < 1 or count > 61 or count % 1 ~= 0 then -- another type, or no window
      if type(v) == 'table' and sub(v.err, 1, 9) ~= 'WRONGTYPE' then return v end
      reply[3], count = reply[3] + 1, 0
    else
      delta = now - ((((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g)
      if delta < 0 then delta, back = 0, true end
      if delta >= window then
        count = 0
      else
        total, newest, first = number(v, head - width + 1, width), number(v, #v - size + 1, tw), head + 1
        oldest = delta + (newest - number(v, first, tw)) % modulus
        if oldest >= window then -- now and then: does the total fit the marks?
          local sum = 0
          for mark = first, #v, size do sum = sum + number(v, mark + tw, width) end
          if sum ~= total then total, oldest = 0, 0 end
        end
        while oldest >= window do -- ends at the newest mark, whose age is delta
          total, first, count = total - number(v, first + tw, width), first + size, count - 1
          oldest = delta + (newest - number(v, first, tw)) % modulus
        end
        if total < 1 or total > limit then
          reply[3], total, count, back = reply[3] + 1, 0, 0, nil
        end
      end
      if back then
        reply[4] = reply[4] + 1
        rebased[i] = stamp .. sub(v, 9) -- or the window would stand still until the clock catches up
      end
    end
  end

  local retry = 0
  if cost > limit then
    retry = -1
  elseif total + cost > limit then
    local need, mark, age = total + cost - limit, first, oldest
    while need > 0 and mark <= #v do
      age = delta + (newest - number(v, mark, tw)) % modulus
      need, mark = need - number(v, mark + tw, width), mark + size
    end
    retry = math.max(1, window - age)
  end
  reply[at + 2] = limit - total
  reply[at + 3] = count > 0 and window - oldest or 0
  reply[at + 4] = retry
  if retry ~= 0 then allowed = false end

  if charge and allowed then
    total = total + cost
    remaining[i], reset[i] = limit - total, window - oldest
    local span = 0
    if count == 0 then
      reset[i] = window
      values[i] = stamp .. bytes(0, tw) .. bytes(total, width) .. bytes(0, tw) .. bytes(cost, width)
    else
      local time, opened = bytes((newest + delta) % modulus, tw), delta + number(v, 9, tw)
      if opened * 60 <= window or count >= 61 then -- joins the newest mark
        if count == 1 then reset[i] = window end
        local n = math.min(number(v, #v - width + 1, width) + cost, total) -- equal unless the key was damaged
        values[i] = stamp .. bytes(opened % modulus, tw) .. bytes(total, width) .. sub(v, first, -size - 1) .. time .. bytes(n, width)
      else
        values[i] = stamp .. bytes(0, tw) .. bytes(total, width) .. sub(v, first) .. time .. bytes(cost, width)
      end
    end
  end
end

if not allowed then reply[1] = 0 end
for i = 1, #KEYS do
  local value = rebased[i]
  if charge and allowed then
    value = values[i]
    reply[3 * i + 2], reply[3 * i + 3] = remaining[i], reset[i]
  end
  if value then call('SET', KEYS[i], value, 'PX', ARGV[3 * i + 1]) end
end
return reply
