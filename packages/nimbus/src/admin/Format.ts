/** What `nimbus` prints for people: each answer of the admin API in words and tables. */
import type {
  Cancelled,
  ClientRow,
  ClientView,
  Drained,
  Forgotten,
  JourneyHop,
  JourneyView,
  Kicked,
  MailboxView,
  PodView,
  QuarantinedRow,
  QuarantinedView,
  Republished,
  StatusView,
  TaskRow,
  TasksView,
  TopicView,
} from "@nimbus/domain/admin"
import type { ReachedStatus } from "./ClusterStatus.ts"
import { list, table } from "./Table.ts"

/** The whole of it, or what could be reached. */
export const status = (view: StatusView | ReachedStatus): string => {
  const { clients, incarnation, lag, partitions, pods: gateways = [], quarantined } = view
  const more = view.clientsMore === true ? ", and more" : ""
  const facts = list([
    ["log", incarnation && `${incarnation}, ${partitions} partitions`],
    ["clients", clients && `${clients.LIVE} LIVE, ${clients.REPLAYING} REPLAYING, ${clients.OFFLINE} OFFLINE${more}`],
    ["lag", lag && `events ${lag.events}, results ${lag.results}, dlq ${lag.dlq}`],
    ["quarantined", quarantined],
    ...("unreached" in view
      ? view.unreached.map(({ part, reason }) => ["not reached", `${part}: ${reason}`] as const)
      : []),
  ])
  return gateways.length === 0 ? facts : `${facts}\n\n${pods(gateways)}`
}

export const pods = (views: ReadonlyArray<PodView>): string =>
  table(
    ["pod", "role", "host", "address", "clients", "lease"],
    views.map(({ address, clients, host, isLive, pod, role }) => {
      const hasClients = role === undefined || role.startsWith("gateway")
      return [
        pod,
        role,
        host,
        address,
        ...(hasClients ? [clients, isLive ? "held" : "run out"] : [undefined, undefined]),
      ]
    }),
  )

export const clients = ({ clients, more }: { readonly clients: ReadonlyArray<ClientRow>; readonly more: boolean }) =>
  withMore(
    table(
      ["client", "status", "waiting", "pod", "epoch"],
      clients.map(({ clientId, epoch, pod, status, waiting }) => [clientId, status, waiting, pod, epoch]),
    ),
    more,
  )

export const client = ({ clientId, lastEvents, mailbox, partition, registry, session }: ClientView): string => {
  const facts = list([
    ["client", clientId],
    ["status", registry?.status ?? "unknown to the registry"],
    ["epoch", registry?.epoch],
    ["pod", registry?.pod],
    ["partition", partition],
    ["waiting", `${mailbox.results} results, ${mailbox.bytes} bytes`],
    ["acknowledged", seqText(mailbox.acked)],
    ["removed by limits", mailbox.floor === -1 ? "nothing" : `up to seq ${mailbox.floor}`],
    ["session", session && `${session.door}, sent up to ${session.upTo}, acknowledged ${session.acknowledged}`],
  ])
  const events = table(
    ["seq", "time", "type", "id", "name"],
    lastEvents.map(({ id, name, seq, time, type }) => [seq, timeText(time), type, id, name]),
  )
  return lastEvents.length === 0 ? facts : `${facts}\n\n${events}`
}

export const mailbox = ({ acked, bytes, floor, more, records, results }: MailboxView): string => {
  const facts = list([
    ["results", results],
    ["bytes", bytes],
    ["acknowledged", seqText(acked)],
    ["removed by limits", floor === -1 ? "nothing" : `up to seq ${floor}`],
  ])
  const rows = table(
    ["seq", "record"],
    records.map(({ seq, value }) => [seq, oneLine(value)]),
  )
  return records.length === 0 ? facts : withMore(`${facts}\n\n${rows}`, more)
}

export const journey = (view: JourneyView): string => {
  const { clientId, event, hops, isFollowed, place, result, sent, seq, traceId } = view
  const facts = list([
    ["event", event === undefined ? `seq ${seq}, no longer retained` : `${event.id}, ${event.type} ${event.name}`],
    ["of", `${clientId}, seq ${seq}`],
    ["place", placeText[place]],
    ...(sent === undefined ? [] : [["sent", oneLine(sent.text)] as const]),
    ...(result === undefined ? [] : [["result", oneLine(result.text)] as const]),
    ...(traceId === undefined ? [] : [["trace", traceId] as const]),
    ...(isFollowed ? [] : [["steps", "not sampled: only what the log has is shown"] as const]),
  ])
  return hops.length === 0
    ? facts
    : `${facts}\n\n${table(["step", "after ms", "time", "by", "why"], hops.map(hopCells))}`
}

const placeText: Readonly<Record<JourneyView["place"], string>> = {
  events: "in the events topic, not yet handled",
  tasks: "with the task workers, or ended: its parts and its end have seqs of their own",
  results: "in the results topic",
  mailbox: "in the mailbox",
  acknowledged: "the client has it",
  unknown: "not known",
}

const hopCells = (hop: JourneyHop): ReadonlyArray<string | number | undefined> => {
  if (hop._tag === "Missing") {
    return [`(${hop.or === undefined ? hop.step : `${hop.step} or ${hop.or}`})`, undefined, undefined, "missing", ""]
  }
  const { details = {}, instance, service, step, time } = hop.step
  const again = hop.repeats === 0 ? "" : ` (and ${hop.repeats} more)`
  const why = Object.entries(details).map(([name, value]) => `${name}=${value}`)
  return [`${step}${again}`, Math.round(hop.since_ms), timeText(time), `${service} ${instance}`, why.join(" ")]
}

export const tasks = ({ more, running, tasks, unread, waiting }: TasksView): string => {
  const rows = table(["client", "id", "name", "attempt", "since", "worker", "seq"], tasks.map(taskCells))
  const counts = `${running} running, ${waiting} waiting`
  const note = unread === 0 ? "" : `\n${unread} records were not read: ask again for what they say`
  return (tasks.length === 0 ? counts : withMore(`${counts}\n\n${rows}`, more)) + note
}

/** One that waits has no attempt and no worker. */
const taskCells = ({ clientId, id, name, run, seq, since }: TaskRow): ReadonlyArray<string | number | undefined> => [
  clientId,
  id,
  name,
  run?.attempt,
  timeText(run?.since ?? since),
  run?.worker,
  seq,
]

export const cancelled = ({ clientId, id }: Cancelled): string =>
  `the task ${id} of ${clientId} is cancelled, unless it has ended`

export const topics = (views: ReadonlyArray<TopicView>): string =>
  table(
    ["topic", "kind", "partitions", "retained", "lag", "group"],
    views.map(({ group, kind, lag, partitions, retained, topic }) => [
      topic,
      kind,
      partitions.length,
      retained,
      group === undefined ? undefined : lag,
      group,
    ]),
  )

/** By partition, of the topics that a consumer of the pipeline reads. */
export const lag = (views: ReadonlyArray<TopicView>): string =>
  table(
    ["kind", "partition", "earliest", "committed", "end", "lag", "held back by"],
    views
      .filter(({ group }) => group !== undefined)
      .flatMap(({ kind, partitions }) =>
        partitions.map(({ committed, earliest, end, held, lag, partition }) => [
          kind,
          partition,
          earliest,
          committed,
          end,
          lag,
          held === undefined ? undefined : `${held.clientId}: ${held.name}, since ${timeText(held.since_ms)}`,
        ]),
      ),
  )

export const quarantine = ({
  more,
  records,
}: {
  readonly records: ReadonlyArray<QuarantinedRow>
  readonly more: boolean
}): string =>
  withMore(
    table(
      ["partition", "offset", "time", "client", "from", "bytes", "reason"],
      records.map(({ bytes, from, key, offset, partition, reason, time }) => [
        partition,
        offset,
        timeText(time),
        key,
        from === undefined ? "-" : `${from.topic}/${from.partition}@${from.offset}`,
        bytes,
        oneLine(reason),
      ]),
    ),
    more,
  )

export const quarantined = (view: QuarantinedView): string =>
  `${list([
    ["place", `partition ${view.partition}, offset ${view.offset}`],
    ["from", view.from && `${view.from.topic}, partition ${view.from.partition}, offset ${view.from.offset}`],
    ["time", timeText(view.time)],
    ["client", view.key],
    ["reason", view.reason],
    ["bytes", view.bytes],
  ])}\n\n${view.text}`

export const republished = ({ events, next, published }: Republished): string => {
  if (published === 0) return `nothing to publish${goOn(next)}`
  const said = `published ${published} anew: new events with new seqs and ids, which clients get as any other. The old seqs would be dropped as repeats.`
  const rows = table(
    ["old seq", "new seq", "new id"],
    events.map(({ newId, newSeq, oldSeq }) => [oldSeq, newSeq, newId]),
  )
  return withMore(`${said}\n\n${rows}`, events.length < published) + goOn(next)
}

const goOn = (next: Republished["next"]): string =>
  next === undefined ? "" : `\nthere may be more: go on with --from ${next.from} --up-to ${next.upTo}`

export const kicked = ({ clientId, pod, received }: Kicked): string =>
  received ? `${pod} was asked to close the connection of ${clientId}` : `${clientId} is not connected`

export const forgotten = ({ connected, forgotten }: Forgotten): string =>
  [
    ...forgotten.map((clientId) => `${clientId} is forgotten`),
    ...connected.map((clientId) => `${clientId} is connected, and stays`),
  ].join("\n")

export const drained = ({ pod, received }: Drained): string =>
  received
    ? `${pod} sends its clients away and takes no new ones; stop it when it has none left`
    : `${pod} does not listen`

const withMore = (text: string, more: boolean): string => (more ? `${text}\n… and more` : text)

const seqText = (cursor: number): string => (cursor === -1 ? "nothing" : `up to seq ${cursor}`)

const timeText = (time: number): string => new Date(time).toISOString()

const line_chars = 200

const oneLine = (text: string): string => {
  const line = text.replaceAll(/\s+/g, " ")
  return line.length > line_chars ? `${line.slice(0, line_chars)}…` : line
}
