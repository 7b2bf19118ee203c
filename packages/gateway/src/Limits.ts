/**
 * Every bound of a gateway: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | intake | sockets of that partition are not read until the log has caught up |
 * | events per second | the socket is read more slowly; nothing is refused |
 * | frames of the gateway: per second, per turn, slice | what is read next waits; each connection gets a fair share |
 * | socket buffer | the session counts as full: nothing is delivered until the socket drains |
 * | answers | the peer is not read until it has taken them: pongs, refusals, acks and notices that wait for it |
 * | answers cut | the connection is closed with TOO_SLOW, or as its transport has it |
 * | write deadline | the same, where a peer that is not read, or an HTTP answer, has had nothing taken for so long |
 * | pipelined requests | the connection is read no more until they are answered |
 * | frame | the connection is closed with MESSAGE_TOO_BIG |
 * | unfinished | the connection or call that has brought the most of it is closed with BUSY |
 * | idle | the connection is closed with IDLE |
 * | body | 413, and the connection is closed |
 * | bodies | 503 to the request that has brought the most, and its connection is closed |
 * | request | 408, and the connection is closed |
 * | keep-alive | the connection is closed, on which nothing was asked |
 * | drain | the gateway leaves; clients send again what was not accepted |
 * | close | the socket is destroyed |
 * | read turn | whatever else this process has to do comes first, then the next page |
 * | address: connections, openings, failures | 429, or gRPC's RESOURCE_EXHAUSTED, with the time after which to come back |
 * | address: addresses | those that asked least lately are forgotten |
 * | openings in a row | the next one waits for its turn; of those that wait the newest gets it |
 * | openings per turn | the next ones wait for the next turn of the event loop |
 * | barriers again | the others wait for the next tick |
 * | chat: message, messages per second, waiting messages | the message is refused, and its sender is sent the reason |
 * | chat: frame | the connection is closed |
 * | chat: unjoined | the oldest connection that has not joined is closed |
 * | chat: history, scan | older messages are not given to a socket that asks for history |
 * | chat: catch-ups | the next socket waits for its turn |
 * | chat: recent | older records are read from the log |
 * | chat: repeats | a message that is sent again is another one |
 * | chat: tell | sockets of the open chat are sent their place |
 * | chat: socket cut | the socket is cut off, and comes back with its offset |
 * | direct: recent | older results are read from the log again, for all who need them at once |
 * | direct: passes, pages | the next one waits for its turn |
 * | calls per turn | the next ones wait for the next turn of the event loop |
 * | requests per turn | the next ones wait for the next turn of the event loop |
 * | calls per connection | HTTP/2 makes the client wait, or it opens another connection |
 * | admin: clients scanned | the others are neither counted nor found, and the answer says that there are more |
 * | admin: mail looked for | clients beyond it keep their place in the list, whether they have mail or not |
 * | admin: rows, records looked at | the answer says that there are more, or what lies further back is not found |
 * | admin: republished | the answer says where to go on |
 * | reads: at once, waiting, wait, time | the request is refused (`READS_BUSY`), and may be made again |
 * | reads: bytes | what lies further back is not found, and the answer says so where it can |
 * | admin: watchers | the next one is refused, with the reason |
 * | admin: watch share | snapshots show what was seen last |
 * | journeys per second | further events are not sampled, unless they ask for it |
 * | late steps | further journey steps are dropped and counted |
 */
import { Config, Context, Duration, Layer, Schema } from "effect"
import {
  type AutoAckLimits,
  autoAckLimits,
  journeyLimits,
  type SessionLimits,
  sessionLimits,
} from "@nimbus/domain/limits"

/** Every bound of a gateway. */
export interface GatewayLimits {
  /** The largest frame a client may send. */
  readonly frame_bytes: number
  /** Frames a connection may send per second, averaged over a second. */
  readonly events_per_second: number
  /** Frames that this gateway reads per second, averaged over a second, of all connections together. */
  readonly gateway_frames_per_second: number
  /** Frames that are read of all connections together in one go, and at most one slice more. */
  readonly frames_per_turn: number
  /** How long that may take, and at most one slice longer. */
  readonly frames_turn_ms: number
  /** Turns of the event loop from there to the next such go: so many steps may what else is done take meanwhile. */
  readonly frames_pause_turns: number
  /** How long those turns may take. Beyond: the next one is the last. */
  readonly frames_pause_ms: number
  /** Frames that are read of one connection before others get their turn, as far as they are as large as those before. */
  readonly read_slice_frames: number
  /** The same in bytes. */
  readonly read_slice_bytes: number
  /** So many bytes cost as much as a frame, beside the frames that are in them. */
  readonly bytes_per_frame: number
  /** What all connections have brought of messages that are not whole. */
  readonly unfinished_bytes: number
  /** What a piece that is read counts for beside its own bytes, while it is part of a message that is not whole. */
  readonly piece_cost_bytes: number
  /** WebSocket: frames in which a peer may send one message. Each takes up much more than its bytes. */
  readonly message_fragments: number
  /** A connection that sends nothing, not even a pong, for this long is dead. Pings go out at half of it. */
  readonly idle_timeout_ms: number
  /** HTTP: the body of a request. */
  readonly body_bytes: number
  /** HTTP: pieces of less than `piece_cost_bytes` in which a body may come. */
  readonly body_small_pieces: number
  /** HTTP: what all requests under way have brought of their bodies. */
  readonly bodies_bytes: number
  /** HTTP: how long a request may take to come in, with its body. Looked at once a second. */
  readonly request_ms: number
  /** HTTP: how long a connection stays open on which nothing is asked. */
  readonly keep_alive_ms: number
  /** How long a gateway that leaves waits for the log to take what came in. Beyond: clients send it again. */
  readonly drain_ms: number
  /** How long a peer has to answer a close, and an HTTP request to end when the gateway leaves. */
  readonly close_ms: number
  /** Events accepted from sockets and not yet in the log, per partition. */
  readonly intake_bytes: number
  /** Bytes handed to one socket and not yet taken by the kernel. */
  readonly socket_buffer_bytes: number
  /** What may wait to be written to one peer in answer to what it sends, beside results. Beyond: it is not read. */
  readonly answers_bytes: number
  /** gRPC: the same for all calls of one connection, each of which has its share. Beyond: the call is not read. */
  readonly connection_answers_bytes: number
  /** WebSocket: the same where a peer has sent more that was read already. Beyond: its connection ends. */
  readonly answers_cut_bytes: number
  /** What an answer that waits counts for beside its own bytes, for it takes up about as much. */
  readonly answer_cost_bytes: number
  /** How long a peer may take nothing of what waits for it, while it is not read for that, or of an HTTP answer. */
  readonly write_deadline_ms: number
  /** HTTP: requests of one connection that wait for the answer to the one before, and at most one slice more. */
  readonly pipelined_requests: number
  /** The gateway's clock: sessions' ticks, and slices of the sweep. */
  readonly tick_ms: number
  /** Each session is written to the registry and its mailbox looked into once in this time. */
  readonly sweep_ms: number
  /** The same after the registry has lost the pod's lease, and the sessions with it. */
  readonly sweep_after_loss_ms: number
  /** How long an ack may wait before it trims the mailbox. */
  readonly trim_ms: number
  /** The lease of the pod. */
  readonly lease_ms: number
  /** How often the lease is looked at and renewed: so soon a registry that was wiped is noticed. */
  readonly lease_check_ms: number
  /** How long pages of mailboxes are read and handed over in one go, before others get their turn. */
  readonly read_turn_ms: number
  /** Sessions that one client may open at this gateway at once. */
  readonly openings_in_a_row: number
  /** Between two sessions of a client after that. */
  readonly opening_every_ms: number
  /** Sessions of all clients whose opening begins in one turn of the event loop. */
  readonly openings_per_turn: number
  /** HTTP: requests of all connections whose answer begins in one turn of the event loop. */
  readonly requests_per_turn: number
  /** Barriers published again per tick. */
  readonly barriers_again_per_tick: number
  /** Events that are sampled per second beside those that ask for it; and messages by HTTP likewise. 0: none. */
  readonly journeys_per_second: number
  /** Journey steps that wait for the journey topic. Beyond: dropped. */
  readonly late_steps: number
  /** gRPC: calls open at once on one connection. */
  readonly calls_per_connection: number
  /**
   * gRPC: calls of one connection that its peer may reset per second, averaged over a second. Beyond: the connection ends. A
   * proxy that carries more clients on one, and loses all of them at once, opens another.
   */
  readonly resets_per_second: number
  /** gRPC: calls of all connections that begin in one turn of the event loop. */
  readonly calls_per_turn: number
  /** How long a drain takes to send everyone away. */
  readonly send_away_ms: number
  /** Clients that are sent away are asked to come back within this, each after a random part of it. */
  readonly retry_jitter_ms: number
  readonly session: SessionLimits
  readonly auto_ack: AutoAckLimits
  readonly chat: ChatLimits
  readonly direct: DirectLimits
  readonly address: AddressLimits
  readonly reads: ReadLimits
}

/** What one remote address may do: an IPv4 address, or an IPv6 network of 64 bits. This machine may do anything. */
export interface AddressLimits {
  /** Open at once, of all transports together. Through a trusted proxy: WebSockets and calls of gRPC. */
  readonly connections: number
  /** How long a refused one is asked to wait. */
  readonly connections_retry_ms: number
  /** Connections, and calls of gRPC, opened in a row. */
  readonly openings_in_a_row: number
  /** After that. */
  readonly openings_per_second: number
  /** Requests that were answered with a failure of the client's, in a row: HTTP's 4xx, refused upgrades and calls. */
  readonly failures_in_a_row: number
  /** After that. Beyond: nothing is answered but that it is too much. */
  readonly failures_per_second: number
  /** Addresses whose openings or failures are remembered. Of more the ones that asked least lately are forgotten. */
  readonly addresses: number
}

/**
 * Wide enough for a carrier's NAT: carriers give each subscriber some hundred ports of the 64,512 that an address has, so
 * that one address stands for some hundred clients, and rarely for some thousand; and all of them may come back at once
 * when a gateway has gone. They are so narrow that one address can't take all that a gateway has.
 */
export const addressLimits: AddressLimits = {
  connections: 4_096,
  connections_retry_ms: 5_000,
  openings_in_a_row: 4_096,
  openings_per_second: 200,
  failures_in_a_row: 1_000,
  failures_per_second: 50,
  addresses: 100_000,
}

/** Reads of logs and stores for those who ask over HTTP, all of them together. */
export interface ReadLimits {
  /** Requests that read. */
  readonly reads_at_once: number
  /** Requests that wait for that. */
  readonly reads_waiting: number
  /** How long one waits. */
  readonly reads_wait_ms: number
  /** How long one reads. */
  readonly reads_ms: number
  /** What one looks through, of records in the log. */
  readonly reads_bytes: number
  /** How many times as long as a read took nobody reads in its place. */
  readonly reads_rest: number
  /** The longest such time: most of a long read was waiting for a store. */
  readonly reads_rest_ms: number
}

export const readLimits: ReadLimits = {
  reads_at_once: 4,
  reads_waiting: 64,
  reads_wait_ms: 5_000,
  reads_ms: 20_000,
  reads_bytes: 64 * 1024 * 1024,
  reads_rest: 8,
  reads_rest_ms: 1_000,
}

/** Direct delivery. */
export interface DirectLimits {
  /** The newest results of a partition, kept in memory for connections that were behind for a moment. */
  readonly recent_bytes: number
  /** Readings of older results under way; one for each partition at most. */
  readonly passes: number
  /** How long such a reading waits for a chunk, and for a connection that can take more. */
  readonly pass_patience_ms: number
  /** Pages of mailboxes being read. */
  readonly pages: number
  /** Between two looks whether the mailboxes have what the log has. */
  readonly settle_every_ms: number
  /** How long an offset may wait before it is saved. */
  readonly save_ms: number
  /** Between two looks whether the log still has what is read next. */
  readonly look_every_ms: number
  /** After a failure. */
  readonly retry_ms: number
}

export const directLimits: DirectLimits = {
  recent_bytes: 4 * 1024 * 1024,
  passes: 4,
  pass_patience_ms: 500,
  pages: 16,
  settle_every_ms: 50,
  save_ms: 100,
  look_every_ms: 10_000,
  retry_ms: 500,
}

/** Pages of the archive over HTTP. */
export const queryLimits = {
  /** Of a name in the path of a URL, once it is decoded. Beyond: 404. */
  name_chars: 1_024,
  /** Of records in a page. Beyond: the page is shorter; one record is always given. */
  page_bytes: 1024 * 1024,
}

/**
 * The chat transport. A socket that takes nothing may have `socket_buffer_bytes` waiting, and then reads the log later.
 */
export interface ChatLimits {
  /** The JSON of one message. */
  readonly message_bytes: number
  /** What a socket may send at once, and four times `message_bytes` if that is more. Beyond: its connection is closed. */
  readonly frame_bytes: number
  /** Connections of Engine.IO that have not joined the chat. */
  readonly unjoined: number
  /** Messages and broadcasts of one socket, averaged over a second. */
  readonly messages_per_second: number
  /** Messages of one socket that were taken and not yet acknowledged. */
  readonly waiting_messages: number
  /** Messages given to a socket that asks for history. */
  readonly history_messages: number
  /** Records of a partition that are looked through for them. */
  readonly scan_records: number
  /** Sockets that read the log at once for what they missed. */
  readonly catch_ups: number
  /** The newest records of a partition, kept in memory for sockets that come back. */
  readonly recent_bytes: number
  /** A socket that is further behind than this asks the archive first, which knows rooms apart. */
  readonly archive_after_records: number
  /** Records handed over, or looked through, before others get their turn. */
  readonly turn_records: number
  /** Messages of the open chat after which sockets are sent their place: so many may come again. */
  readonly tell_records: number
  /** How many records apart two of one author and id are one message, and are reported as one: `scan_records` are more. */
  readonly repeat_records: number
  /** How long apart, by the log's time. */
  readonly repeat_ms: number
  /** How long the place of a client that names itself may wait before it is saved. */
  readonly save_ms: number
  /** Bytes that wait for one socket, broadcasts included. */
  readonly socket_cut_bytes: number
  /** How often a socket is sent its offset, if no message has had it. */
  readonly offset_every_ms: number
}

export const chatLimits: ChatLimits = {
  message_bytes: 64 * 1024,
  frame_bytes: 4 * 1024 * 1024,
  unjoined: 1_000,
  messages_per_second: 100,
  waiting_messages: 256,
  history_messages: 50,
  scan_records: 10_000,
  catch_ups: 8,
  recent_bytes: 4 * 1024 * 1024,
  archive_after_records: 100_000,
  turn_records: 256,
  tell_records: 16,
  repeat_records: 4_096,
  repeat_ms: 120_000,
  save_ms: 100,
  socket_cut_bytes: 4 * 1024 * 1024,
  offset_every_ms: 1_000,
}

/** What operators may ask. */
export const adminLimits = {
  /** Entries of the registry that one question reads. */
  scan_clients: 200_000,
  /** Clients that are away, the newest first, of which a list finds out who has mail. */
  mail_clients: 1_000,
  /** Pods whose lease has run out that are still named, where clients are left behind. */
  dead_pods: 16,
  /** Rows of a list, where the question names no limit. */
  rows: 100,
  /** Records of a mailbox that are shown, where the question names no limit. */
  mailbox_records: 50,
  /** How large they may be together. One is always shown. */
  mailbox_bytes: 1024 * 1024,
  /** The newest records of a client's partition that are looked through for its last events. */
  last_scan_records: 10_000,
  /** Events of a client that are shown. */
  last_events: 10,
  /** Records of the journey topic that are looked through for one journey. */
  journey_scan_records: 50_000,
  /** Of what an event carries, and of its result, that a journey shows. */
  journey_payload_bytes: 16 * 1024,
  /** Records of the quarantine topic, over all partitions, that one list looks at. */
  quarantine_scan_records: 10_000,
  /** Records of the events topic that one replay looks through. */
  replay_scan_records: 50_000,
  /** Events that one replay publishes. */
  replay_events: 1_000,
  /** Of the events that were published anew, those that are named. */
  named_events: 20,
  /** Of those events together. One is always published. */
  replay_bytes: 8 * 1024 * 1024,
  /** Of a quarantined record that is shown. */
  shown_bytes: 64 * 1024,
  /** How long one read of the log may take, whatever it looks through. Beyond: `ADMIN_UNAVAILABLE`. */
  read_timeout_ms: 15_000,
  /** How long clients that are to be forgotten may stay connected. Beyond: they are left as they are. */
  forget_wait_ms: 5_000,
  /** Between two looks at whether they still are. */
  forget_every_ms: 100,
  /** Questions to a store at the same time, for one list. */
  at_once: 16,
  /** Between two snapshots of the live page. */
  picture_ms: 1_000,
  /** Clients on a picture. */
  picture_rows: 50,
  /** The part of the time that looking at the registry, or at the topics, may take for snapshots. */
  watch_share: 0.01,
  /** How many may watch snapshots at the same time. */
  watchers: 32,
  /** Seconds of the past that a page begins with. */
  pulses: 300,
}

export type AdminLimits = typeof adminLimits

/** The defaults. */
export const gatewayLimits: GatewayLimits = {
  frame_bytes: 256 * 1024,
  events_per_second: 50_000,
  // Reading alone takes some 10 µs of processor time for a frame, so that one process does hardly more.
  gateway_frames_per_second: 100_000,
  frames_per_turn: 1_024,
  frames_turn_ms: 5,
  frames_pause_turns: 8,
  frames_pause_ms: 100,
  read_slice_frames: 64,
  read_slice_bytes: 8 * 1024,
  bytes_per_frame: 1024,
  idle_timeout_ms: 60_000,
  body_bytes: 2 * 1024 * 1024,
  body_small_pieces: 4_096,
  bodies_bytes: 32 * 1024 * 1024,
  unfinished_bytes: 32 * 1024 * 1024,
  piece_cost_bytes: 256,
  message_fragments: 128,
  request_ms: 30_000,
  keep_alive_ms: 65_000,
  drain_ms: 2_000,
  close_ms: 2_000,
  intake_bytes: 8 * 1024 * 1024,
  socket_buffer_bytes: 1024 * 1024,
  answers_bytes: 256 * 1024,
  connection_answers_bytes: 4 * 1024 * 1024,
  answers_cut_bytes: 1024 * 1024,
  answer_cost_bytes: 256,
  write_deadline_ms: 30_000,
  pipelined_requests: 64,
  tick_ms: 250,
  sweep_ms: 30_000,
  sweep_after_loss_ms: 1_000,
  trim_ms: 50,
  lease_ms: 15_000,
  lease_check_ms: 1_000,
  read_turn_ms: 10,
  openings_in_a_row: 10,
  opening_every_ms: 1_000,
  openings_per_turn: 4,
  requests_per_turn: 4,
  barriers_again_per_tick: 500,
  ...journeyLimits,
  late_steps: 10_000,
  calls_per_connection: 1_024,
  resets_per_second: 256,
  calls_per_turn: 8,
  send_away_ms: 10_000,
  retry_jitter_ms: 2_000,
  session: sessionLimits,
  auto_ack: autoAckLimits,
  chat: chatLimits,
  direct: directLimits,
  address: addressLimits,
  reads: readLimits,
}

const positive = (name: string) => Config.schema(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), name)

/** One such message alone must not be as much as all that are not whole may be together (`unfinished_bytes`). */
const most_frame_bytes = 16 * 1024 * 1024
const frameBytes = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: most_frame_bytes }))
/** A frame of the chat may have four times as much. */
const chatBytes = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: most_frame_bytes / 4 }))

/** Timers take no longer one. */
const timeout = Schema.DurationFromString.check(
  Schema.makeFilter(
    (timeout) =>
      Duration.between(timeout, { minimum: Duration.seconds(1), maximum: Duration.days(24) }) ||
      "Expected a duration between 1 second and 24 days",
  ),
)

const settings = Config.all({
  frame_bytes: Config.schema(frameBytes, "NIMBUS_FRAME_BYTES").pipe(Config.withDefault(gatewayLimits.frame_bytes)),
  events_per_second: positive("NIMBUS_EVENTS_PER_SECOND").pipe(Config.withDefault(gatewayLimits.events_per_second)),
  idle_timeout: Config.schema(timeout, "NIMBUS_IDLE_TIMEOUT").pipe(
    Config.withDefault(Duration.millis(gatewayLimits.idle_timeout_ms)),
  ),
  keep_alive: Config.schema(timeout, "NIMBUS_HTTP_KEEPALIVE").pipe(
    Config.withDefault(Duration.millis(gatewayLimits.keep_alive_ms)),
  ),
  chat_message_bytes: Config.schema(chatBytes, "NIMBUS_CHAT_MESSAGE_BYTES").pipe(
    Config.withDefault(chatLimits.message_bytes),
  ),
  chat_messages_per_second: positive("NIMBUS_CHAT_MESSAGES_PER_SECOND").pipe(
    Config.withDefault(chatLimits.messages_per_second),
  ),
  journeys_per_second: Config.schema(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
    "NIMBUS_JOURNEYS_PER_SECOND",
  ).pipe(Config.withDefault(gatewayLimits.journeys_per_second)),
  gateway_frames_per_second: positive("NIMBUS_GATEWAY_FRAMES_PER_SECOND").pipe(
    Config.withDefault(gatewayLimits.gateway_frames_per_second),
  ),
  connections_per_address: positive("NIMBUS_CONNECTIONS_PER_ADDRESS").pipe(
    Config.withDefault(addressLimits.connections),
  ),
  openings_per_address: positive("NIMBUS_OPENINGS_PER_ADDRESS").pipe(
    Config.withDefault(addressLimits.openings_per_second),
  ),
  failures_per_address: positive("NIMBUS_FAILURES_PER_ADDRESS").pipe(
    Config.withDefault(addressLimits.failures_per_second),
  ),
  window_results: positive("NIMBUS_WINDOW_RESULTS").pipe(Config.withDefault(sessionLimits.window_results)),
})

/** The bounds of this gateway. */
export class Limits extends Context.Service<Limits, GatewayLimits>()("@nimbus/gateway/Limits") {
  static readonly layerWith = (limits: Partial<GatewayLimits>) => Layer.succeed(Limits, { ...gatewayLimits, ...limits })
  /** From the environment, where operators have something to choose. */
  static readonly config: Config.Config<GatewayLimits> = Config.map(
    settings,
    ({
      chat_message_bytes,
      chat_messages_per_second,
      connections_per_address,
      failures_per_address,
      idle_timeout,
      keep_alive,
      openings_per_address,
      window_results,
      ...rest
    }) => ({
      ...gatewayLimits,
      ...rest,
      chat: { ...chatLimits, message_bytes: chat_message_bytes, messages_per_second: chat_messages_per_second },
      idle_timeout_ms: Math.round(Duration.toMillis(idle_timeout)),
      keep_alive_ms: Math.round(Duration.toMillis(keep_alive)),
      session: { ...sessionLimits, window_results },
      address: {
        ...addressLimits,
        connections: connections_per_address,
        // When a gateway has gone, all clients of an address come to another one at once.
        openings_in_a_row: Math.max(connections_per_address, openings_per_address),
        openings_per_second: openings_per_address,
        failures_in_a_row: 20 * failures_per_address,
        failures_per_second: failures_per_address,
      },
    }),
  )
  static readonly layer = Layer.effect(Limits, Limits.config)
}
