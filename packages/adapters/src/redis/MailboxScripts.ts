/**
 * The scripts that change and read mailboxes in Redis. Each is one step of Redis, on the keys of one partition, which
 * share a slot:
 *
 * ```
 *   {<prefix>:p<n>}:offset       hash   offset, hole, highest, forgotten, incarnation, partitions
 *   {<prefix>:p<n>}:ages         zset   client id ─▶ the lowest timestamp in its first block; only mailboxes with blocks
 *   {<prefix>:p<n>}:losses       zset   client id ─▶ the time of its last change; only mailboxes without blocks, with a loss
 *                                       that is not acknowledged
 *   {<prefix>:p<n>}:box:<client> hash   row ─▶ see `ROW`;  <number> ─▶ a block, see MailboxBlock.ts;
 *                                       unknown ─▶ the value of `forgotten` when the box was created, if not 0
 * ```
 *
 * Blocks are numbered from `head` up to `next` without a gap, in order of seq. Appending, trimming and binary search
 * therefore need no index.
 *
 * The rules are those of `MailboxRules.ts` in domain, which says which function corresponds to which script. Invariants
 * at the end of each script:
 *
 * 1. No block is completely at or below `acked` or `floor`, so only the first may have such records. `results` and
 *    `bytes` count whole blocks.
 * 2. `last` is the highest seq that was ever put. The record is there unless it is at or below `acked` or `floor`.
 * 3. `floor` is at least the last record that a limit removed.
 * 4. `highest` is at least every seq that was put or acknowledged in the partition.
 * 5. A box without blocks expires `keep` ms after its last change, by EXPIRE of Redis. A box with blocks does not
 *    expire. A box in `losses` does not expire either: `forgetScript` removes it, and raises `forgotten` to its
 *    `floor`.
 *
 * Usually the new seqs are at the end. A put then writes one block and one row for each client, and reads only the row.
 * A small last block is joined with the next one, so that a client with one record in each chunk does not get one block
 * for each record. Only for a seq at or below `last` does a put read the block to which it belongs.
 */
import { script } from "./Script.ts"

/**
 * `ROW`: acked, floor, last, results, bytes, head, next, and the size of the last block, 0 if there is none. It has 64
 * bytes: with a longer value Redis uses twice as much memory for a hash.
 */
const lua = `
local ROW, BLOCK, RECORD = '<dddddddd', '<ddI4I4', '<ddI4I4'
local BLOCK_HEAD, RECORD_HEAD = 24, 24

local function digits(n) return string.format('%.0f', n) end

local function open(key)
  local box = { key = key }
  local row = redis.call('HGET', key, 'row')
  if row then
    box.acked, box.floor, box.last, box.results, box.bytes, box.head, box.next, box.tail = struct.unpack(ROW, row)
  else
    box.acked, box.floor, box.last, box.results, box.bytes, box.head, box.next, box.tail = -1, -1, -1, 0, 0, 0, 0, 0
    box.isNew = true
  end
  box.unknown = redis.call('HGET', key, 'unknown')
  box.wasEmpty = box.head == box.next
  box.wasLost = box.wasEmpty and box.floor > box.acked
  return box
end

local function cursor(box) return math.max(box.acked, box.floor) end

-- The last block may be on its way: see store.
local function read(box, n)
  if n == box.waiting_n then return box.waiting end
  return redis.call('HGET', box.key, n)
end

local function first(block) return (struct.unpack('<d', block, BLOCK_HEAD + 1)) end

-- Calls visit(seq, timestamp, bytes, from, to) for each record, from and to in the block, until it answers true.
local function each(block, visit)
  local at = BLOCK_HEAD + 1
  while at <= #block do
    local seq, timestamp, bytes, headers = struct.unpack(RECORD, block, at)
    local to = at + RECORD_HEAD + bytes + headers
    if visit(seq, timestamp, bytes, at, to - 1) then return end
    at = to
  end
end

-- The number of the last block that begins at or below seq, or else of the first.
local function find(box, seq)
  local low, high = box.head, box.next - 1
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if first(read(box, middle)) <= seq then low = middle else high = middle - 1 end
  end
  return low
end
`

/**
 * Keys: offset, ages, losses, and the box of each client. The first argument is how long an empty box is kept, in ms;
 * 0: without end.
 */
const writing = `${lua}
local OFFSET, ages, losses, keep = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1])

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Invariant 5.
local function settle(box, id)
  local isEmpty = box.next == box.head
  local isLost = isEmpty and box.floor > box.acked
  if box.wasLost and not isLost then redis.call('ZREM', losses, id) end
  if not isEmpty or keep == 0 then
    if box.wasEmpty and not box.isNew then redis.call('PERSIST', box.key) end
  elseif isLost then
    redis.call('PERSIST', box.key)
    redis.call('ZADD', losses, digits(now()), id)
  else
    redis.call('PEXPIRE', box.key, digits(keep))
  end
end

-- Of a new box. before: all that an earlier box of this client had was below this seq.
local function begin(box, before)
  if not box.isNew then return end
  local unknown = math.min(tonumber(redis.call('HGET', OFFSET, 'forgotten') or -1), before - 1)
  if unknown >= 0 then box.unknown = digits(unknown) end
end

-- box.oldest is set where the first block is new, or got an older record.
local function save(box, id)
  local row = struct.pack(ROW, box.acked, box.floor, box.last, box.results, box.bytes, box.head, box.next, box.tail)
  if box.waiting_n and box.waiting_n >= box.head and box.waiting_n < box.next then
    redis.call('HSET', box.key, 'row', row, box.waiting_n, box.waiting)
  else
    redis.call('HSET', box.key, 'row', row)
  end
  if box.unknown and (box.isNew or box.emptied) then redis.call('HSET', box.key, 'unknown', box.unknown) end
  if box.next == box.head then
    if box.emptied then redis.call('ZREM', ages, id) end
  elseif box.oldest then
    redis.call('ZADD', ages, digits(box.oldest), id)
  end
  settle(box, id)
end

-- Removes the blocks that have nothing above seq.
local function drop(box, seq)
  if box.head == box.next then return end
  if seq >= box.last then
    redis.call('UNLINK', box.key)
    box.results, box.bytes, box.head, box.next, box.tail, box.emptied = 0, 0, 0, 0, 0, true
    return
  end
  while true do
    local last, oldest, count, bytes = struct.unpack(BLOCK, read(box, box.head))
    if last > seq then return end
    redis.call('HDEL', box.key, box.head)
    box.head, box.results, box.bytes = box.head + 1, box.results - count, box.bytes - bytes
    box.oldest = select(2, struct.unpack(BLOCK, read(box, box.head)))
  end
end

-- Removes the oldest while tooMuch(results, bytes, timestamp of the oldest) holds; answers how many went.
local function removeOldest(box, tooMuch)
  if box.head == box.next then return 0 end
  local passed, floor, removed = cursor(box), nil, 0
  local results, bytes = box.results, box.bytes
  each(read(box, box.head), function(seq, _, size)
    if seq > passed then return true end
    results, bytes = results - 1, bytes - size
  end)
  local n, enough = box.head, false
  while n < box.next and not enough do
    each(read(box, n), function(seq, timestamp, size)
      if seq <= passed then return false end
      enough = not tooMuch(results, bytes, timestamp)
      if enough then return true end
      results, bytes, removed, floor = results - 1, bytes - size, removed + 1, seq
    end)
    n = n + 1
  end
  if removed > 0 then
    box.floor = floor
    drop(box, floor)
  end
  return removed
end

local function bind(key, incarnation, partitions)
  if redis.call('HEXISTS', key, 'incarnation') == 0 then
    redis.call('HSET', key, 'incarnation', incarnation, 'partitions', partitions)
  end
end

local function raise(key, field, to)
  if to > tonumber(redis.call('HGET', key, field) or -1) then redis.call('HSET', key, field, digits(to)) end
end
`

/**
 * Binds a partition to a log if it is not bound yet. Keys: offset. Arguments: incarnation, partition count. Returns the
 * log to which it was bound, and the highest seq.
 */
export const claimScript = script(
  `${writing}
local bound = redis.call('HMGET', KEYS[1], 'incarnation', 'partitions', 'highest')
bind(KEYS[1], ARGV[1], ARGV[2])
return bound
`,
  ["allow-oom"],
)

/**
 * Puts a chunk. Arguments after `keep`: the offset expected and the next, the hole or "", the highest seq, incarnation,
 * partition count, the limits of results and bytes, of a block to merge and of any block; then for each client its id,
 * the number of its blocks, and the blocks. Returns 1, or the stored offset if it differs, or "" if there is none.
 */
export const putScript = script(`${writing}
local stored = redis.call('HGET', KEYS[1], 'offset') or ''
if stored ~= ARGV[2] then return stored end
local most_results, most_bytes = tonumber(ARGV[8]), tonumber(ARGV[9])
local merge_bytes, block_bytes = tonumber(ARGV[10]), tonumber(ARGV[11])

-- The last that was stored is written with the row.
local function store(box, n, block)
  if box.waiting_n and box.waiting_n ~= n then redis.call('HSET', box.key, box.waiting_n, box.waiting) end
  box.waiting_n, box.waiting = n, block
  if n == box.next - 1 then box.tail = #block end
end

-- All of the block is above box.last.
local function append(box, block)
  local last, oldest, count, bytes = struct.unpack(BLOCK, block)
  box.results, box.bytes, box.last = box.results + count, box.bytes + bytes, last
  if box.tail > 0 and box.tail < merge_bytes and box.tail + #block <= block_bytes then
    local tail = read(box, box.next - 1)
    local _, tail_oldest, tail_count, tail_bytes = struct.unpack(BLOCK, tail)
    if box.next - 1 == box.head and oldest < tail_oldest then box.oldest = oldest end
    block = struct.pack(BLOCK, last, math.min(oldest, tail_oldest), tail_count + count, tail_bytes + bytes)
      .. string.sub(tail, BLOCK_HEAD + 1) .. string.sub(block, BLOCK_HEAD + 1)
  else
    if box.next == box.head then box.oldest = oldest end
    box.next = box.next + 1
  end
  store(box, box.next - 1, block)
end

local function unpack_above(block, seq)
  local records = {}
  each(block, function(at, timestamp, bytes, from, to)
    if at > seq then
      records[#records + 1] = { seq = at, timestamp = timestamp, bytes = bytes, raw = string.sub(block, from, to) }
    end
  end)
  return records
end

local function pack(records)
  local raws, oldest, bytes = {}, math.huge, 0
  for i, record in ipairs(records) do
    raws[i], bytes, oldest = record.raw, bytes + record.bytes, math.min(oldest, record.timestamp)
  end
  return struct.pack(BLOCK, records[#records].seq, oldest, #records, bytes) .. table.concat(raws), oldest
end

-- Puts late records, from records[i] on and at or below box.last, into the one block that they belong into; answers the
-- index of the first that belongs elsewhere.
local function insert(box, records, i)
  local n = find(box, records[i].seq)
  local stop = n + 1 < box.next and first(read(box, n + 1)) or box.last + 1
  local there, merged, j, added = unpack_above(read(box, n), -1), {}, 1, 0
  while i <= #records and records[i].seq < stop do
    local late = records[i]
    while j <= #there and there[j].seq < late.seq do
      merged[#merged + 1], j = there[j], j + 1
    end
    if j > #there or there[j].seq > late.seq then
      merged[#merged + 1], added, box.bytes = late, added + 1, box.bytes + late.bytes
    end
    i = i + 1
  end
  if added > 0 then
    for k = j, #there do merged[#merged + 1] = there[k] end
    local block, oldest = pack(merged)
    store(box, n, block)
    box.results = box.results + added
    if n == box.head then box.oldest = oldest end
  end
  return i
end

local function put(box, block)
  local passed = cursor(box)
  if first(block) > math.max(box.last, passed) then return append(box, block) end
  local records = unpack_above(block, passed)
  local i, fresh = 1, {}
  while i <= #records and records[i].seq <= box.last do i = insert(box, records, i) end
  for k = i, #records do fresh[#fresh + 1] = records[k] end
  if #fresh > 0 then append(box, (pack(fresh))) end
end

local at = 12
for k = 4, #KEYS do
  local box, id, blocks = open(KEYS[k]), ARGV[at], tonumber(ARGV[at + 1])
  begin(box, first(ARGV[at + 2]))
  for i = at + 2, at + 1 + blocks do put(box, ARGV[i]) end
  at = at + 2 + blocks
  if box.results > most_results or box.bytes > most_bytes then
    removeOldest(box, function(results, bytes) return results > most_results or bytes > most_bytes end)
  end
  save(box, id)
end
bind(KEYS[1], ARGV[6], ARGV[7])
raise(KEYS[1], 'highest', tonumber(ARGV[5]))
if ARGV[4] ~= '' then raise(KEYS[1], 'hole', tonumber(ARGV[4])) end
redis.call('HSET', KEYS[1], 'offset', ARGV[3])
return 1
`)

/** Arguments after `keep`: incarnation, partition count; for each client its id and seq. */
export const ackScript = script(
  `${writing}
local highest = -1
for k = 4, #KEYS do
  local id, seq = ARGV[2 * k - 4], tonumber(ARGV[2 * k - 3])
  local box = open(KEYS[k])
  if seq > box.acked then
    begin(box, math.huge)
    box.acked = seq
    drop(box, seq)
    save(box, id)
  end
  highest = math.max(highest, seq)
end
bind(KEYS[1], ARGV[2], ARGV[3])
raise(KEYS[1], 'highest', highest)
`,
  ["allow-oom"],
)

/**
 * Removes records that are older than a time. Arguments after `keep`: the time in ms, the client ids. Returns how many
 * records it removed.
 */
export const expireScript = script(
  `${writing}
local before, removed = tonumber(ARGV[2]), 0
for k = 4, #KEYS do
  local box, id = open(KEYS[k]), ARGV[k - 1]
  local went = removeOldest(box, function(_, _, timestamp) return timestamp < before end)
  if went > 0 then save(box, id) end
  removed = removed + went
end
return removed
`,
  ["allow-oom"],
)

/**
 * Forgets the boxes in `losses` whose time has come. Arguments after `keep`: the client ids. Returns how many were
 * forgotten.
 */
export const forgetScript = script(
  `${writing}
local before, gone = now() - keep, 0
for k = 4, #KEYS do
  local box, id = open(KEYS[k]), ARGV[k - 2]
  if not box.wasLost then
    redis.call('ZREM', losses, id)
  elseif keep > 0 and tonumber(redis.call('ZSCORE', losses, id) or math.huge) <= before then
    raise(KEYS[1], 'forgotten', box.floor)
    redis.call('UNLINK', box.key)
    redis.call('ZREM', losses, id)
    gone = gone + 1
  end
end
return gone
`,
  ["allow-oom"],
)

/**
 * Keys: offset and the client's box. Arguments: after, limits of results and bytes. Returns the hole, unknown, the
 * row, and the blocks with all records that the page can have. They may also have records before and after the page.
 */
export const pageScript = script(
  `${lua}
local known = redis.call('HMGET', KEYS[1], 'hole', 'forgotten')
local box = open(KEYS[2])
local reply = { known[1], box.isNew and known[2] or box.unknown, redis.call('HGET', KEYS[2], 'row') }
local after = math.max(tonumber(ARGV[1]), cursor(box))
if box.last <= after then return reply end
local most_results, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local n, results, bytes = find(box, after), 0, 0
while n < box.next and (#reply == 3 or (results < most_results and bytes < most_bytes)) do
  local block = read(box, n)
  local last, _, count, size = struct.unpack(BLOCK, block)
  if last > after then
    reply[#reply + 1] = block
    if first(block) > after then results, bytes = results + count, bytes + size end
  end
  n = n + 1
end
return reply
`,
  ["no-writes"],
)

/**
 * Returns the hole, and each row. Arguments after `keep`, which is 0 if the clients are not connected: the fraction
 * of that time after which the time is renewed, and the client ids.
 */
export const rowsScript = script(
  `${writing}
local reply, share = { redis.call('HGET', KEYS[1], 'hole') }, tonumber(ARGV[2])
for k = 4, #KEYS do
  local box = open(KEYS[k])
  reply[k - 2] = redis.call('HGET', box.key, 'row')
  if keep == 0 or box.isNew or not box.wasEmpty then
  elseif box.wasLost then redis.call('ZADD', losses, 'XX', digits(now()), ARGV[k - 1])
  elseif redis.call('PTTL', box.key) < keep * (1 - share) then redis.call('PEXPIRE', box.key, digits(keep)) end
end
return reply
`,
  ["allow-oom"],
)

/** Keys: the box of the client. Returns its row and its first block. */
export const firstBlockScript = script(
  `${lua}
local box = open(KEYS[1])
return { redis.call('HGET', KEYS[1], 'row'), box.head < box.next and read(box, box.head) }
`,
  ["no-writes"],
)
