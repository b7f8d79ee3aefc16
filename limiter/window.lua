-- Decides all tiers together and charges all of them or none: see window.go, which has the same arithmetic.
-- All times are microseconds by this server's clock.
-- KEYS[i] one window. ARGV[1] '1' to charge, '0' to look only; then for each key: cost, limit, window.
-- Returns {1 allowed | 0, now, keys found unreadable, keys whose clock went back,
-- then for each key: remaining, reset, retry (0 = fits, -1 = never)}.
--
-- A window is a string: 1 byte format, 7 time of the newest charge, `tw` how long before that its mark was opened,
-- `width` total, then marks, oldest first: `tw` time modulo 256^tw, `width` count. Numbers are big-endian.
-- Times of marks matter only relative to the newest mark, so the clock is put back by changing the 7 bytes.
local byte, char, sub, floor = string.byte, string.char, string.sub, math.floor

local function number(s, at, width)
  if width == 1 then return byte(s, at) end
  if width == 2 then
    local a, b = byte(s, at, at + 1)
    return a * 256 + b
  end
  if width == 4 then
    local a, b, c, d = byte(s, at, at + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
  end
  local n = 0
  for i = at, at + width - 1 do n = n * 256 + byte(s, i) end
  return n
end

local function bytes(n, width)
  if width == 1 then return char(n) end
  if width == 2 then return char(floor(n / 256), n % 256) end
  if width == 4 then return char(floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256, n % 256) end
  local s = ''
  for _ = 1, width do
    s = char(n % 256) .. s
    n = floor(n / 256)
  end
  return s
end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local values = redis.call('MGET', unpack(KEYS)) -- false for a key that is missing or no string
local reply = {1, now, 0, 0}
local windows, missing = {}, nil

for i, key in ipairs(KEYS) do
  local cost, limit, window = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local tw, modulus = 4, 4294967296
  while window >= modulus do tw, modulus = tw + 1, modulus * 256 end
  local width, top = 1, 256
  while limit >= top do width, top = width + 1, top * 256 end
  local w = {cost = cost, limit = limit, window = window, tw = tw, modulus = modulus, width = width,
    group = floor(window / 60), total = 0, count = 0, newest = 0, delta = 0, span = 0}
  windows[i] = w

  local oldest, retry = 0, 0 -- age of the oldest mark
  local v = values[i]
  if not v then
    missing = missing or {}
    missing[#missing + 1] = key
  else
    local head, size = 8 + tw + width, tw + width
    local count = (#v - head) / size
    local format, a, b, c, d, e, f, g = byte(v, 1, 8)
    if format ~= 1 or count < 1 or count > 61 or count ~= floor(count) then
      reply[3] = reply[3] + 1
    else
      local last = (((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g
      local delta = now - last
      if delta < 0 then
        delta, w.back = 0, true
        reply[4] = reply[4] + 1
      end
      if delta < window then
        local total, newest, at = number(v, 9 + tw, width), number(v, #v - size + 1, tw), head + 1
        local age = delta + (newest - number(v, at, tw)) % modulus
        while age >= window do -- ends at the newest mark, whose age is delta
          total, at, count = total - number(v, at + tw, width), at + size, count - 1
          age = delta + (newest - number(v, at, tw)) % modulus
        end
        if total < 1 or total > limit then
          reply[3], w.back = reply[3] + 1, nil
        else
          w.v, w.at, w.size, w.count, w.total = v, at, size, count, total
          w.newest, w.delta, w.span, oldest = newest, delta, number(v, 9, tw), age
          if cost > limit then
            retry = -1
          elseif total + cost > limit then
            local need = total + cost - limit
            while need > 0 and at <= #v do
              age = delta + (newest - number(v, at, tw)) % modulus
              need, at = need - number(v, at + tw, width), at + size
            end
            retry = math.max(1, window - age)
          end
        end
      end
    end
  end
  if cost > limit then retry = -1 end
  if retry ~= 0 then reply[1] = 0 end
  reply[3 * i + 2] = limit - w.total
  reply[3 * i + 3] = w.count > 0 and window - oldest or 0
  reply[3 * i + 4] = retry
end

-- MGET does not tell a key of another type from one that is missing.
if missing then reply[3] = reply[3] + redis.call('EXISTS', unpack(missing)) end

local charge = reply[1] == 1 and ARGV[1] == '1'
for i, key in ipairs(KEYS) do
  local w = windows[i]
  local value
  if charge then
    local total = w.total + w.cost
    local width = w.width
    local body
    if w.count > 0 and (w.delta + w.span <= w.group or w.count >= 61) then
      w.span = w.delta + w.span
      local n = math.min(number(w.v, #w.v - width + 1, width) + w.cost, total) -- equal unless the key was damaged
      body = sub(w.v, w.at, -w.size - 1) .. bytes((w.newest + w.delta) % w.modulus, w.tw) .. bytes(n, width)
      if w.count == 1 then reply[3 * i + 3] = w.window end
    else
      w.span = 0
      body = bytes((w.newest + w.delta) % w.modulus, w.tw) .. bytes(w.cost, width)
      if w.count > 0 then
        body = sub(w.v, w.at) .. body
      else
        reply[3 * i + 3] = w.window
      end
    end
    value = char(1) .. bytes(now, 7) .. bytes(w.span, w.tw) .. bytes(total, width) .. body
    reply[3 * i + 2] = w.limit - total
  elseif w.back then
    value = char(1) .. bytes(now, 7) .. sub(w.v, 9) -- or the window would stand still until the clock catches up
  end
  if value then redis.call('SET', key, value, 'PX', w.window / 1000 + 1000) end
end
return reply
