-- Accepts quotes of one or more symbols. Those of one symbol are accepted together and in their
-- order: for each a number, an entry of the history and a message; for the newest of them the
-- last value. Nobody sees the state between.
--
-- One symbol follows the other, and each is accepted or refused by itself: a symbol that is
-- refused, for whatever reason, leaves the others alone. Redis does not undo what a failed script
-- wrote. So of each symbol everything that can fail is checked before its first write, with the
-- rights of the user at this moment; and that first write, XADD, is the one that a full server, a
-- replica or a wrong kind of key refuses, having changed nothing. What refuses a symbol is raised
-- as an error. It ends accept below, which then goes on with the next symbol.
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
--      8 the kept candles: '1m:1:4320:259200000 1h:60:1440:5184000000 1d:0:1825:157680000000',
--        name, minutes, how many are kept, at most, and the life of their list in ms; 1m is the
--        first, 1d the last; '' = none
--      9 when days begin, in Unix minutes: '* 29401380 29402820 29404260 29405700', the day of
--        this moment from the second to the third; then the same for symbols of other days
--     10 lines, each with its end: for each symbol 'symbol jump epoch seen quotes', which is its
--        jump limit in parts per million, 0 = none; the epoch and the highest number that the
--        caller has seen, '-' and 0 = none; how many quotes follow. Then each quote:
--        'bid ask extra text time source sum digits'. Extra is what the message has
--        between the ask and '","ts"', '-' = nothing; before it, of a quote that came in a
--        stream, ':generation:place:before:', see entry. Text is the time as text; time is
--        the same in microseconds, 0 = that of acceptance, whatever the text. Sum is
--        bid + ask in units of 10^-digits, twice the mid, with a minus where the spread is
--        wider than its limit
--
-- Returns {acceptance in microseconds, a reply for each symbol}. A reply is the text
-- of the error by which the symbol was refused, or {epoch, an answer for each quote}.
-- If the first nine arguments are bad, the call returns that error, and nothing was accepted.
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
-- stream that was settled last, and the generation of that stream), 1m and others (candles). A place is 'ms-seq-index':
-- the id of the entry, and which of its quotes. A quote of a place that is not after the
-- settled one is a repeated one. The place before it is that of the quote that precedes it in
-- the stream, '' = unknown: if that is not settled, Redis has forgotten it, and the quote
-- must wait until its reader has sent that one again.
--
-- Of a call little is spent in the commands and most in Lua: keep tables, functions and
-- conversions between numbers and text out of the usual way. One argument of many lines costs less
-- than an argument for each. Numbers that may pass 10^14
-- are printed by %.0f: tostring would round them, and %d, which costs half, may be of 32
-- bits. Long whole numbers are read with '.0' after them: the embedded Lua reads no others
-- above 2^63. Text of few digits is read by + 0, which costs less than tonumber.

local replies = {} -- empty until the arguments of all symbols were checked
local following, place, skipped = 1, 1, 0 -- key and place of the next symbol, but for so many lines
local clock -- read once a call

-- Accepts the symbols from following on, until one is refused.
local function accept()

local MAX_SOURCES = 16
local MAX_AHEAD = 5000000 -- microseconds
local MAX_COUNT = 9007199254740991 -- 2^53-1, the last number counted exactly
local OWN = 4 -- fields of the counter that belong to no source, at least
local FIRM, FIRM_TEXT = 1000, '1000' -- the gate counts accepted quotes up to this: no confirm is higher
local TRIM = 16 -- a history longer than the square of this is cut only once in so many quotes
local REFRESH = 60000000 -- microseconds: the life of the history is set again as often
local POINT, COLON = 46, 58 -- bytes
local SYMBOL = '^([%u%d]+/[%u%d]+) (%d+) ([%w_-]+) (%d+) (%d+)\n()'
local QUOTE = '^(%d+%.?%d*) (%d+%.?%d*) ([-,":%l_%d.]+) (%d+%-%d+%-%d+T%d+:%d+:%d+%.%d+Z) (%d+) ([%l%d_.-]+) (%-?%d+) (%d+)\n()'
local REFERENCE = '^(%d+) (%d+) (%d+) (%d+) (%d+)$'

local call, try, format, find, match, byte, sub = redis.call, redis.pcall, string.format, string.find, string.match, string.byte, string.sub
local abs, min, max, floor = math.abs, math.min, math.max, math.floor
local may = rawget(redis, 'acl_check_cmd')

local function refuse(text)
  error({err = text})
end
local function bad(what)
  refuse('FXARGS publish script: bad ' .. what)
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

local keys, lines = KEYS, ARGV[10]
if #KEYS == 1 then
  local name = match(KEYS[1], '^(.*:)seq$')
  if not name then bad('key') end
  keys = {name .. 'quote', KEYS[1], name .. 'ticks'}
end
if #keys == 0 or #keys % 3 ~= 0 or not lines then bad('number of arguments') end
local ttl, history = whole(ARGV[1], 1, 1e12), whole(ARGV[2], 1, 1e9)
local candidate, run, ranked, publish = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if not ttl then bad('life of the last quote') end
if not history then bad('length of the history') end
if #candidate > 32 or not find(candidate, '^[a-z0-9]+$') then bad('new epoch') end
if run == '' or #run > 64 then bad('run id') end
if publish ~= 'PUBLISH' and publish ~= 'SPUBLISH' then bad('command to publish') end
local gap, confirm, stale, lag, known = match(ARGV[7], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
if not gap then bad('gate') end
lag, known = tonumber(lag), tonumber(known)
local candles, days = ARGV[8], ARGV[9]

clock = clock or call('TIME')
local at = clock[1] * 1000000 + clock[2]
local accepted = clock[1] .. sub('00000' .. clock[2], -6)
local minute = floor(at / 60000000)
local minute_text = format('%d', minute)
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
