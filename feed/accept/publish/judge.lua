-- Judges the quotes of one symbol after the other, which writes nothing. This is no function of its
-- own, nor are more of its parts, since making a function costs up to half a microsecond.

replies[1] = at
local replies, texts, set = replies, {}, {} -- used again by each symbol: those quotes that are accepted, what HSET sets
local line = place
for _ = 1, skipped do line = (find(lines, '\n', line, true) or #lines) + 1 end
for k = following, #keys, 3 do
  local symbol, jump, seen_epoch, seen, quotes, first = match(lines, SYMBOL, line)
  following, place, skipped = k + 3, first or #lines + 1, 0
  if not symbol or #symbol > 21 or #jump > 15 or #seen_epoch > 32 then bad('symbol') end
  jump, seen, quotes, line = jump + 0, #seen <= 16 and seen + 0, #quotes < 10 and quotes + 0, first
  if not quotes or quotes == 0 then bad('number of quotes') end
  skipped = quotes
  if not seen or seen > MAX_COUNT then bad('highest number seen') end

  local counter, sources = keys[k + 1], {}
  if sub(counter, -4) ~= ':seq' then bad('key') end
  local s = {
    last = keys[k], counter = counter, history = keys[k + 2], jump = jump, sources = sources,
    seq = false, outliers = false, changed = false,
  }
  local answers = {false, nil, nil, nil} -- with room for three
  local epoch, seq, begun
  local source, several, newest = nil, 0, nil -- the one of this quote, how many there are, the one met last
  local n, number = 0, nil -- of the accepted quotes; of the last of them
  local sum, mid, digits, firm, before, latest, latest_text -- the reference, see below
  local running, stored_seq, start, high, low, ask_high, ask_low, rest -- the minute
  local high_n, low_n, ask_high_n, ask_low_n, last_bid, last_ask
  for i = 1, quotes do
    local bid, ask, extra, text, time, name, own_sum, own_digits, next_line = match(lines, QUOTE, line)
    if not bid then bad('quote') end
    line = next_line
    if #bid > 64 or byte(bid, -1) == POINT then bad('bid') end
    if #ask > 64 or byte(ask, -1) == POINT then bad('ask') end
    local entry
    if extra == '-' then
      extra = ''
    else
      if byte(extra) == COLON then
        entry, extra = match(extra, '^:(%w+:%d+%-%d+%-%d+:%d*%-?%d*%-?%d*):([^:].*)$')
        if not entry or #entry > 160 then bad('entry') end
        if extra == '-' then extra = '' end
      end
      if #extra > 512 or extra ~= '' and not find(extra, '^","[%l_]+":"[^-]+$') then bad('extra') end
    end
    local moment = #time <= 16 and time + 0
    if not moment or moment > MAX_COUNT then bad('time in microseconds') end
    if moment == 0 then moment = nil elseif #text ~= 27 then bad('time') end
    if #own_sum > 73 or #own_digits > 2 then bad('sum') end
    if #name > 32 then bad('source') end

    if not source or source.name ~= name then source = sources[name] end
    if not source then
      -- The first quote of a source reads what is known of it, and that of the symbol its state.
      local times, last
      if i == 1 then
        local length = try('STRLEN', s.last) -- of the three only SET would not mind another kind of key
        if type(length) == 'table' then rare().refuse(s, length) end
        local stored = try('HMGET', counter, 'epoch', 'seq', 'run', 'ref', 's:' .. name, 'o:' .. name, '1m')
        if stored.err then rare().refuse(s, stored) end
        epoch, stored_seq, running, times, last = stored[1] or '', stored[2], stored[7], stored[5], stored[6]
        seq = whole(stored_seq or '', 0, MAX_COUNT - quotes)
        local continues = seq and stored[3] == run
        if continues and epoch == seen_epoch then
          continues = seen <= seq
        elseif continues then
          continues = #epoch <= 32 and find(epoch, '^[%w_-]+$') and (seen_epoch == '-' or not rare().over(epoch, seen_epoch))
        end
        if not continues then
          epoch, seq, begun = rare().begin(epoch, seen_epoch), 0, true
        end
        s.seq, answers[1] = seq, epoch
        -- The reference of the gate: sum, mid, digits, how many quotes were accepted since there
        -- was none, when the last of them was, the newest time of any and its text. It is forgotten
        -- some days after its last quote. A time in the future is that of a server whose clock was
        -- ahead: it counts as now, or quotes would be refused as old for as long.
        sum, digits, firm, before, latest_text = match(stored[4] or '', REFERENCE)
        if sum and #sum <= 72 and #digits <= 2 and at - before <= known then
          mid, firm, before, latest = #sum < 16 and sum + 0 or large(sum), firm + 0, before + 0, latest_text + 0
          if latest > at then latest, latest_text = at, accepted end
        else
          sum, digits, firm, before, latest_text = nil, nil, 0, nil, nil
        end
      else
        local more = call('HMGET', counter, 's:' .. name, 'o:' .. name)
        times, last = more[1], more[2]
      end
      several = several + 1
      if several > MAX_SOURCES then bad('number of sources') end
      -- Its field s:, of which only the time is read here, and its last outlier. If one of these
      -- quotes is accepted, taken becomes true, and timed the text of its time.
      source = {name = name, time = times and tonumber(match(times, '^(%d+) %d')), times = times, outlier = last, timed = false, taken = false, older = newest}
      sources[name], newest = source, source
      if last then rare().learn(s, name, last) end
      if s.others then s.others[name] = nil end
    end

    local own, answer, confirmed = #own_sum < 16 and own_sum + 0 or large(own_sum), nil, nil
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
        local of, last, begin, ask_begin
        if running then
          of, last, start, high, low, ask_high, ask_low, rest = match(running, RUNNING)
        end
        local follows = not begun and of == epoch and last == stored_seq
        if follows and start == minute_text and #high + #low + #ask_high + #ask_low < 64 then
          high_n, low_n, ask_high_n, ask_low_n = tonumber(high), tonumber(low), tonumber(ask_high), tonumber(ask_low)
        end
        if not (high_n and low_n and ask_high_n and ask_low_n) then
          start, high, low, ask_high, ask_low, rest, begin, ask_begin = candle().turn(s, symbol, running, follows)
          if not high then high, low, ask_high, ask_low, begin, ask_begin = bid, bid, ask, ask, bid, ask end
          rest = rest .. ' ' .. begin .. ' ' .. ask_begin
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
      number, sum, mid, digits, firm = count(seq + n), own_sum, own, own_digits, firm + 1
      texts[n] = '{"symbol":"' .. symbol .. '","bid":"' .. bid .. '","ask":"' .. ask .. extra .. '","ts":"' .. text .. '","seq":' .. number
        .. (confirmed and ',"gap":true' or '') .. ',"epoch":"' .. epoch .. '","at":' .. accepted .. ',"source":"' .. name .. '"}'
      answer = confirmed and -seq - n or seq + n
    end
    answers[i + 1] = answer
  end
