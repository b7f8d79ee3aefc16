-- Gives back units that window.lua charged at a moment and that are to count as never charged.
-- KEYS[i] one window. ARGV[1] Redis's clock at the charge, then for each key: cost, limit, window (all times microseconds).
-- The mark a charge is in is the oldest one not before it. What has gone since (reset, expired) is not given back.
local function number(s, at, width)
  local n = 0
  for i = at, at + width - 1 do n = n * 256 + string.byte(s, i) end
  return n
end

local function bytes(n, width)
  local s = ''
  for _ = 1, width do
    s = string.char(n % 256) .. s
    n = math.floor(n / 256)
  end
  return s
end

local values = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
  local cost, limit, window = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local tw, modulus = 4, 4294967296
  while window >= modulus do tw, modulus = tw + 1, modulus * 256 end
  local width, top = 1, 256
  while limit >= top do width, top = width + 1, top * 256 end
  local v, head, size = values[i], 8 + tw + width, tw + width
  if v and string.byte(v, 1) == 1 and #v > head and (#v - head) % size == 0 then
    local newest, total = number(v, #v - size + 1, tw), number(v, 9 + tw, width)
    local charged = number(v, 2, 7) - tonumber(ARGV[1]) -- age at the newest mark
    local at = head + 1
    while at <= #v and (newest - number(v, at, tw)) % modulus > charged do at = at + size end
    if charged >= 0 and at <= #v then
      local n = number(v, at + tw, width)
      local back = math.min(n, cost, total)
      if total - back < 1 then
        redis.call('DEL', key)
      else
        local mark = string.sub(v, at, at + tw - 1) .. bytes(n - back, width)
        if n == back and at + size <= #v then mark = '' end -- the newest mark stays, as the header speaks of it
        redis.call('SET', key, string.sub(v, 1, 8 + tw) .. bytes(total - back, width) .. string.sub(v, head + 1, at - 1)
          .. mark .. string.sub(v, at + size), 'KEEPTTL')
      end
    end
  end
end
return 1
