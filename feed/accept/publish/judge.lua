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
-- the error that forbids to write, or nil and as text the reference, the running minute and the last number.
local function read(s, name, seen_epoch, seen)
  local length = try('STRLEN', s.last) -- of the three only SET would not mind another kind of key
  if type(length) == 'table' then return rare().refused(s, length) end
  local stored = try('HMGET', s.counter, 'epoch', 'seq', 'run', 'ref', 's:' .. name, 'o:' .. name, '1m')
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
  return nil, stored[4], stored[7], stored[2]
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
  local running, stored, start, high, low, ask_high, ask_low, rest -- the minute
  local high_n, low_n, ask_high_n, ask_low_n, last_bid, last_ask
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
      local refusal, ref
      refusal, ref, running, stored = read(s, name, seen_epoch, seen)
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
    if not answer and candles ~= '' then
      local bid_n, ask_n = #bid < 16 and bid + 0 or candle().number(bid), #ask < 16 and ask + 0 or candle().number(ask)
      if n == 0 then
        local epoch, last, refusal, first, ask_first
        if running then
          epoch, last, start, high, low, ask_high, ask_low, rest = match(running, RUNNING)
        end
        local follows = not s.begun and epoch == s.epoch and last == stored
        if follows and start == minute_text and #high + #low + #ask_high + #ask_low < 64 then
          high_n, low_n, ask_high_n, ask_low_n = tonumber(high), tonumber(low), tonumber(ask_high), tonumber(ask_low)
        end
        if not (high_n and low_n and ask_high_n and ask_low_n) then
          s.refusal, start, high, low, ask_high, ask_low, rest, first, ask_first = candle().turn(s, symbol, running, follows)
          if s.refusal then break end
          if not high then high, low, ask_high, ask_low, first, ask_first = bid, bid, ask, ask, bid, ask end
          rest = rest .. ' ' .. first .. ' ' .. ask_first
          local number = candle().number
          high_n, low_n, ask_high_n, ask_low_n = number(high), number(low), number(ask_high), number(ask_low)
        end
      end
      -- Unless both are short, different prices can have the same nearest number.
      if bid_n > high_n or bid_n == high_n and (#bid > 15 or #high > 15) and candle().above(bid, high) then high, high_n = bid, bid_n end
      if bid_n < low_n or bid_n == low_n and (#bid > 15 or #low > 15) and candle().above(low, bid) then low, low_n = bid, bid_n end
      if ask_n > ask_high_n or ask_n == ask_high_n and (#ask > 15 or #ask_high > 15) and candle().above(ask, ask_high) then ask_high, ask_high_n = ask, ask_n end
      if ask_n < ask_low_n or ask_n == ask_low_n and (#ask > 15 or #ask_low > 15) and candle().above(ask_low, ask) then ask_low, ask_low_n = ask, ask_n end
      last_bid, last_ask = bid, ask
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
    set = {'seq', number, 'ref', ref, nil, nil, nil, nil} -- with room for a minute and one source
    local filled, new = 4, 0
    if start then
      set[5], set[6], filled = '1m', s.epoch .. ' ' .. number .. ' ' .. last_bid .. ' ' .. last_ask .. ' ' .. start .. ' '
        .. high .. ' ' .. low .. ' ' .. ask_high .. ' ' .. ask_low .. ' ' .. rest, 6
      if s.fields then
        for i = 1, #s.fields do set[6 + i] = s.fields[i] end
        filled = 6 + #s.fields
      end
    end
    if s.begun then set[filled + 1], set[filled + 2], set[filled + 3], set[filled + 4], filled = 'epoch', s.epoch, 'run', run, filled + 4 end
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
