  if following > #keys and line <= #lines then bad('number of lines') end

  -- The fields of the counter that change.
  local filled = 0
  local expires = n > 0 and (not before or before < refreshed)
  if n > 0 then
    set[1], set[2], set[3], set[4], filled = 'seq', number, 'ref',
      sum .. ' ' .. digits .. ' ' .. (firm < FIRM and count(firm) or FIRM_TEXT) .. ' ' .. accepted .. ' ' .. latest_text, 4
    if start then
      set[5], set[6], filled = '1m', epoch .. ' ' .. number .. ' ' .. last_bid .. ' ' .. last_ask .. ' ' .. start .. ' '
        .. high .. ' ' .. low .. ' ' .. ask_high .. ' ' .. ask_low .. ' ' .. rest, 6
      if s.fields then
        for i = 1, #s.fields do set[6 + i] = s.fields[i] end
        filled = 6 + #s.fields
      end
    end
    if begun then set[filled + 1], set[filled + 2], set[filled + 3], set[filled + 4], filled = 'epoch', epoch, 'run', run, filled + 4 end
    local new, one = 0, newest
    while one do
      if one.taken then
        local times = one.timed and one.timed .. ' ' .. accepted or match(one.times or '', '^%d+ %d+') or '0 0'
        set[filled + 1], set[filled + 2], filled = 's:' .. one.name, times .. ' ' .. accepted, filled + 2
        if not one.times then new = new + 1 end
      end
      one = one.older
    end
    if new > 0 then rare().remember(s, new) end
  end
  if s.changed or s.touched then filled = rare().changes(s, set, filled) end
  local forget = s.forget

  -- Whether the user may run all that follows the first write. Before 7.0 a script cannot ask:
  -- there a user with part of these rights can leave an acceptance half done.
  local channel = sub(counter, 1, -5) -- without ':seq'
  if may then
    local command, key
    if (begun or forget) and not may('HDEL', counter, 's:') then -- soon needed, if not now
      command, key = 'HDEL', counter
    elseif n > 0 then
      if not may('HSET', counter, 'seq', '') then
        command, key = 'HSET', counter
      elseif not may('SET', s.last, '') then
        command, key = 'SET', s.last
      elseif expires and not may('PEXPIRE', s.history, '1') then
        command, key = 'PEXPIRE', s.history
      elseif not may(publish, channel, '') then
        command, key = publish, channel
      elseif s.closed then
        command, key = candle().forbidden(s)
      end
    end
    if command then refuse('NOPERM the publish script may not ' .. command .. ' ' .. key) end
  end

  -- The writes.
  local cut = history < TRIM * TRIM or floor((seq + n) / TRIM) > floor(seq / TRIM)
  local written = n
  for i = 1, n do
    local reply
    if i == n and cut then
      reply = try('XADD', s.history, 'MAXLEN', '=', ARGV[2], '*', 'q', texts[i])
    else
      reply = try('XADD', s.history, '*', 'q', texts[i])
    end
    if type(reply) == 'table' and reply.err then
      if i == 1 then rare().refuse(s, reply) end
      -- Not even the identifiers of a stream are endless: what has its entry is accepted,
      -- the rest is not, nor is anything remembered of the sources and the price; the minute misses it.
      s.closed, forget, written = nil, nil, i - 1
      set[1], set[2], set[3], set[4], set[5], set[6], filled = 'epoch', epoch, 'seq', count(seq + written), 'run', run, 6
      for i = 2, #answers do
        if type(answers[i]) == 'number' and abs(answers[i]) > seq + written then answers[i] = {'failed', reply.err} end
      end
      break
    end
  end
  if filled > 0 then
    local reply = try('HSET', counter, unpack(set, 1, filled))
    if type(reply) == 'table' then rare().refuse(s, reply) end -- only if it is the first write
  end
  if forget then call('HDEL', counter, unpack(forget)) end
  if n > 0 then
    if s.closed then candle().store(s) end
    call('SET', s.last, texts[written], 'PX', ARGV[1])
    if expires then call('PEXPIRE', s.history, format('%.0f', max((known + refresh) / 1000, 1))) end
    for i = 1, written do call(publish, channel, texts[i]) end
  end
  replies[#replies + 1] = answers
end

end

local done, refusal = pcall(accept)
while not done do
  local text = type(refusal) == 'table' and refusal.err or tostring(refusal) -- Redis 7 makes it text
  if #replies == 0 then return redis.error_reply(text) end
  replies[#replies + 1] = text
  done, refusal = pcall(accept)
end
return replies
