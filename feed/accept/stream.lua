-- Takes a step through the stream of producers: stores up to which entry all are settled, and
-- returns the entries that follow. It only reads the stream.
--
-- KEYS stream, position (hash: id, generation, added); both share a slot
-- ARGV 1, 2 the id and the generation that the caller takes to be stored, '' = it does not know
--      3 the generation of a stream of which nothing is stored
--      4 the id to store, '' = none  5 how many entries were ever added up to it, -1 = unknown
--      6 the id after which to read, '' = the stored one
--      7 the number of entries to return at most  8 bytes after which no more are returned
--      9 the size of an entry beyond which only its beginning is returned
--
-- Returns {id, generation, added} as they are stored. Unless these differ from 1 and 2, when nothing
-- was stored, there follow: the clock in microseconds, how many entries were ever added (-1 =
-- unknown), how many there are, the id of the first of them ('' = none), the last id ever, and the
-- entries. An entry is {id, its fields and values}, or if it is too large {id, its size, the
-- beginning of its largest value}.
--
-- A stream that was deleted, or whose last id is before the stored one, is another stream: it is
-- read from its beginning, and a new generation makes its ids differ from equal ones before.

local stream, position = KEYS[1], KEYS[2]
local FIRST = '0-0'
local SHOWN = 256 -- bytes of a large entry
local MOST, SMALL = 16, 4096 -- entries of one XRANGE; bytes of an entry up to which their number grows

-- Whether an id is after another. Their numbers may have 20 digits.
local function after(one, other)
  local mine, its = {string.match(one, '^(%d+)%-(%d+)$')}, {string.match(other, '^(%d+)%-(%d+)$')}
  for i = 1, 2 do
    local x, y = mine[i], its[i]
    if x ~= y then return #x > #y or #x == #y and x > y end
  end
  return false
end

local stored = redis.call('HMGET', position, 'id', 'generation', 'added')
local id, generation, added = stored[1] or FIRST, stored[2] or ARGV[3], tonumber(stored[3] or '-1')

local total, length, first, last = 0, 0, '', FIRST
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  total = -1 -- before 7.0 it is not counted
  for i = 1, #info, 2 do
    local name, value = info[i], info[i + 1]
    if name == 'length' then
      length = value
    elseif name == 'last-generated-id' then
      last = value
    elseif name == 'entries-added' then
      total = value
    end
  end
  local some = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
  if some[1] then first = some[1][1] end
  if last == '' then last = FIRST end
end
if after(id, last) then
  local name, count = string.match(generation, '^(.*g)(%d+)$')
  id, generation, added = FIRST, name .. string.format('%d', tonumber(count) + 1), 0
  redis.call('HSET', position, 'id', id, 'generation', generation, 'added', 0)
end
if ARGV[1] ~= '' and (ARGV[1] ~= id or ARGV[2] ~= generation) then
  return {id, generation, added}
end
if ARGV[4] ~= '' then
  id, added = ARGV[4], tonumber(ARGV[5])
  redis.call('HSET', position, 'id', id, 'generation', generation, 'added', ARGV[5])
end

local most, room, largest = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local entries, bytes, ask = {}, 0, 1
local from = '(' .. (ARGV[6] ~= '' and ARGV[6] or id)
while #entries < most and bytes < room do
  local some = redis.call('XRANGE', stream, from, '+', 'COUNT', math.min(ask, most - #entries))
  local big = false
  for _, entry in ipairs(some) do
    local size, longest = 0, ''
    for _, text in ipairs(entry[2]) do
      size = size + #text
      if #text > #longest then longest = text end
    end
    if size > largest then entry = {entry[1], size, string.sub(longest, 1, SHOWN)} end
    entries[#entries + 1] = entry
    bytes, big = bytes + math.min(size, largest), big or size > SMALL
  end
  if #some < ask then break end
  from = '(' .. some[#some][1]
  ask = big and 1 or math.min(2 * ask, MOST)
end
local clock = redis.call('TIME')
return {id, generation, added, clock[1] * 1000000 + clock[2], total, length, first, last, entries}
