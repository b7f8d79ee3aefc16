-- The text of an error if the user may not run all that write runs of a symbol after its first
-- write. Before 7.0 a script cannot ask: there a user with part of these rights can leave an
-- acceptance half done.
local function forbidden(s)
  local command, key
  if (s.begun or #s.forget > 0) and not may('HDEL', s.counter, 's:') then -- soon needed, if not now
    command, key = 'HDEL', s.counter
  elseif #s.texts == 0 then
    return
  elseif not may('HSET', s.counter, 'seq', '') then
    command, key = 'HSET', s.counter
  elseif not may('SET', s.last, '') then
    command, key = 'SET', s.last
  elseif s.expires and not may('PEXPIRE', s.history, '1') then
    command, key = 'PEXPIRE', s.history
  elseif not may(publish, s.channel, '') then
    command, key = publish, s.channel
  end
  if s.closed and not command then command, key = candle().forbidden(s) end
  return command and 'NOPERM the publish script may not ' .. command .. ' ' .. key
end

-- Writes what was judged of a symbol; returns its reply.
local function write(s)
  if s.refusal then return s.refusal end
  local answers, texts, set, forget = s.answers, s.texts, s.set, s.forget
  local last = #texts
  if last == 0 then
    if #set > 0 then
      local reply = try('HSET', s.counter, unpack(set))
      if type(reply) == 'table' and reply.err then return rare().refused(s, reply) end
      if #forget > 0 then call('HDEL', s.counter, unpack(forget)) end
    end
    return answers
  end

  local cut = history < TRIM * TRIM or floor((s.seq + last) / TRIM) > floor(s.seq / TRIM)
  for n = 1, last do
    local reply
    if n == last and cut then
      reply = try('XADD', s.history, 'MAXLEN', '=', ARGV[2], '*', 'q', texts[n])
    else
      reply = try('XADD', s.history, '*', 'q', texts[n])
    end
    if type(reply) == 'table' and reply.err then
      if n == 1 then return rare().refused(s, reply) end
      -- Not even the identifiers of a stream are endless: what has its entry is accepted,
      -- the rest is not, nor is anything remembered of the sources and the price; the minute misses it.
      s.closed = nil
      last, set, forget = n - 1, {'epoch', s.epoch, 'seq', count(s.seq + n - 1), 'run', run}, {}
      for i = 2, #answers do
        if type(answers[i]) == 'number' and abs(answers[i]) > s.seq + last then answers[i] = {'failed', reply.err} end
      end
      break
    end
  end
  if #forget > 0 then call('HDEL', s.counter, unpack(forget)) end
  call('HSET', s.counter, unpack(set))
  if s.closed then candle().store(s) end
  call('SET', s.last, texts[last], 'PX', ARGV[1])
  if s.expires then call('PEXPIRE', s.history, format('%.0f', max((known + refresh) / 1000, 1))) end
  for n = 1, last do call(publish, s.channel, texts[n]) end
  return answers
end
