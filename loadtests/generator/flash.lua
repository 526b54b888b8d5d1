-- Flash-sale orders for wrk. Arguments after "--": token file, path, body, run, threads, first, record file or "-".
-- Each thread takes its own slice of the users; every request has its own Idempotency-Key.

local threads = {}

function setup(thread)
  thread:set("slice", #threads)
  table.insert(threads, thread)
end

function init(args)
  local path, body, step, first = args[2], args[3], tonumber(args[5]), tonumber(args[6])
  run, sent, statuses, record = args[4] .. "-" .. slice .. "-", 0, {}, nil
  heads, tail = {}, "\r\n\r\n" .. body
  local shared = "POST " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
    "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\nAuthorization: Bearer "
  local number, all = 0, {}
  for line in io.lines(args[1]) do all[#all + 1] = line:match("\t(.+)$") end
  for at = slice, #all - 1, step do
    heads[#heads + 1] = shared .. all[(first + at) % #all + 1] .. "\r\nIdempotency-Key: "
  end
  if args[7] ~= "-" then
    record = io.open(args[7] .. "." .. slice, "w")
    response = note
  end
end

function request()
  local head = heads[sent % #heads + 1]
  sent = sent + 1
  return head .. run .. string.format("%08d", sent) .. tail
end

function note(status, headers, body)
  statuses[status] = (statuses[status] or 0) + 1
  if status < 300 then
    record:write(body:match('"order_id"%s*:%s*"([^"]+)"') or "", "\n")
    record:flush()
  end
end

function done(summary, latency, requests)
  local sum, sends = {}, 0
  for _, thread in ipairs(threads) do
    sends = sends + thread:get("sent")
    for status, count in pairs(thread:get("statuses")) do sum[status] = (sum[status] or 0) + count end
  end
  local parts = {}
  for status, count in pairs(sum) do parts[#parts + 1] = string.format('"%d":%d', status, count) end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"answers":%d,"refused":%d,"broken":%d,"seconds":%.6f,"sends":%d,"p50_ms":%.3f,"p90_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"statuses":{%s}}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6, sends,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3, table.concat(parts, ",")))
end
