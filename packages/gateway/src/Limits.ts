/**
 * Every bound of a gateway: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | intake | sockets of that partition are not read until the log has caught up |
 * | client: unanswered events | the connection is not read until enough of them are answered, or for `unanswered_hold_ms` |
 * | events per second | the socket is read more slowly; nothing is refused |
 * | frames of the gateway: per second, per turn, slice | further reads wait; each connection gets a fair share |
 * | socket buffer | the session counts as full: nothing is delivered until the socket drains |
 * | answers | the peer is not read until they are written: pongs, refusals, acks and notices |
 * | answers cut | the connection is closed with TOO_SLOW, or as its transport does this |
 * | write deadline | the same, if nothing was written for that time to a peer that is not read, or of an HTTP response |
 * | pipelined requests | the connection is not read until they are answered |
 * | frame | the connection is closed with MESSAGE_TOO_BIG |
 * | unfinished | the connection or call with the most bytes of it is closed with BUSY |
 * | idle | the connection is closed with IDLE |
 * | left clients | another owner is refused until the entry is forgotten |
 * | first frame, failed renewals | the connection is closed with UNAUTHENTICATED |
 * | body | 413, and the connection is closed |
 * | bodies | 503 to the request with the most bytes, and its connection is closed |
 * | request | 408, and the connection is closed |
 * | handshake | the connection is closed |
 * | certificate check | new files count after it |
 * | keep-alive | the idle connection is closed |
 * | drain | the gateway shuts down; clients send again what was not accepted |
 * | close | the socket is destroyed |
 * | read turn | other work of the process comes before the next page |
 * | address: connections, openings, failures | 429, or RESOURCE_EXHAUSTED by gRPC, with the time to wait |
 * | address: addresses | those with the oldest last request are forgotten |
 * | subject: connections, rooms, new ids | refused, with the time to wait; there is an `error` before a close |
 * | subject: mail | what it sends to that client is refused, with the time to wait |
 * | subject: frames, bytes | its connections are read more slowly, and are told; beyond `credit_ms` a frame is refused |
 * | subject: subjects, ids, mail pairs | those that have asked least lately are forgotten |
 * | openings in a row | the next one waits for its turn, which a newer one takes over |
 * | openings per turn | the next ones wait for the next turn of the event loop |
 * | barriers again | the others wait for the next tick |
 * | chat: message, messages per second, waiting messages | the message is refused, and its sender is sent the reason |
 * | chat: frame | the connection is closed |
 * | chat: unjoined | the oldest connection that has not joined is closed |
 * | chat: history, scan | a socket that requests history does not receive older messages |
 * | chat: catch-ups | the next socket waits for its turn |
 * | chat: recent | older records are read from the log |
 * | chat: repeats | a message that is sent again counts as another message |
 * | chat: tell | sockets of the open chat are sent their offset |
 * | chat: socket cut | the socket is disconnected, and reconnects with its offset |
 * | direct: recent | older results are read from the log again, once for all clients that need them |
 * | direct: passes, pages | the next one waits for its turn |
 * | calls per turn | the next ones wait for the next turn of the event loop |
 * | requests per turn | the next ones wait for the next turn of the event loop |
 * | calls per connection | by HTTP/2 the client waits, or opens another connection |
 * | admin: clients scanned | the others are neither counted nor found, and the response says that there are more |
 * | admin: mail looked for | clients beyond it keep their place in the list, whether records wait for them or not |
 * | admin: rows, records looked at | the response says that there are more, or older records are not found |
 * | admin: republished | the response says where to continue |
 * | reads: at once, waiting, wait, time | the request is refused (`READS_BUSY`), and may be repeated |
 * | reads: bytes | older records are not found, and the response says so where it can |
 * | admin: login failures | 429 with the time to wait, whether the token is right or not |
 * | admin: watchers | the next one is refused, with the reason |
 * | admin: watch share | snapshots have the last known values |
 * | journeys per second | further events are not sampled, unless their sender requests it |
 * | late steps | further journey steps are dropped and counted |
 */
import { Config, Context, Duration, Layer, Schema } from "effect"
import {
  type AutoAckLimits,
  autoAckLimits,
  journeyLimits,
  repeatLimits,
  type SessionLimits,
  sessionLimits,
} from "@nimbus/domain/limits"
import { Dedupe } from "@nimbus/domain/services"

/** Every bound of a gateway. */
export interface GatewayLimits {
  /** The largest frame a client may send. */
  readonly frame_bytes: number
  /** Frames a connection may send per second, averaged over a second. */
  readonly events_per_second: number
  /** Frames that this gateway reads per second from all connections together, averaged over a second. */
  readonly gateway_frames_per_second: number
  /** Frames that are read from all connections in one turn. At most one slice more is read. */
  readonly frames_per_turn: number
  /** How long such a turn may take, and at most one slice longer. */
  readonly frames_turn_ms: number
  /** Turns of the event loop until the next such turn, for the other work of the process. */
  readonly frames_pause_turns: number
  /** How long those turns of the event loop may take. Beyond: the next one is the last. */
  readonly frames_pause_ms: number
  /** Frames that are read from one connection before the others have their turn, if their sizes are similar. */
  readonly read_slice_frames: number
  /** The same in bytes. */
  readonly read_slice_bytes: number
  /** Bytes that cost as much as a frame, in addition to the frames in them. */
  readonly bytes_per_frame: number
  /** Incomplete messages of all connections. */
  readonly unfinished_bytes: number
  /** The bytes that each piece of an incomplete message counts for, in addition to its own. */
  readonly piece_cost_bytes: number
  /** WebSocket: frames of one message. Each takes much more memory than its bytes. */
  readonly message_fragments: number
  /** What clients are told of how far back an id is recognised: `RepeatLimits`. */
  readonly dedupe_records: number
  /** A connection that sends nothing for this long, not even a pong, is closed. A ping is sent after half of it. */
  readonly idle_timeout_ms: number
  /**
   * WebSocket, with locks: how long a client that has shown nothing may take to send the `auth` frame; in the chat, to join.
   * Beyond: it is closed.
   */
  readonly first_frame_ms: number
  /** With locks: clients that have left, and of which the registry could not be told. Beyond: others are refused for longer. */
  readonly left_clients: number
  /** Tokens in a row that a session did not go on with. Beyond: it is closed. */
  readonly failed_renewals: number
  /** HTTP: the body of a request. */
  readonly body_bytes: number
  /** HTTP: pieces of less than `piece_cost_bytes` in one body. */
  readonly body_small_pieces: number
  /** HTTP: the bodies of all open requests, as far as they have arrived. */
  readonly bodies_bytes: number
  /** HTTP: how long a request may take to arrive, with its body. It is checked once a second. */
  readonly request_ms: number
  /** TLS: how long a handshake may take. Beyond: the connection is closed. */
  readonly handshake_ms: number
  /** TLS: how often the files of the certificate are looked at. */
  readonly certificate_check_ms: number
  /** HTTP: how long an idle connection stays open. */
  readonly keep_alive_ms: number
  /** How long a gateway that shuts down waits until the log has stored what it accepted. Beyond: clients send it again. */
  readonly drain_ms: number
  /** How long a peer may take to answer a close, and an HTTP request to end when the gateway shuts down. */
  readonly close_ms: number
  /** Events that were read from sockets and are not in the log yet, per partition. */
  readonly intake_bytes: number
  /**
   * Events and cancels of one connection behind which it has been sent nothing. Beyond: it is not read, but while its
   * session waits for its acks or its socket. Chat messages do not count.
   */
  readonly client_unanswered_events: number
  /** The longest time that a connection is not read for that reason. Then it is read up to the next event. */
  readonly unanswered_hold_ms: number
  /** Bytes that one socket has and the kernel has not taken. */
  readonly socket_buffer_bytes: number
  /** Responses that wait to be written to one peer, in addition to results. Beyond: the peer is not read. */
  readonly answers_bytes: number
  /** gRPC: the same for all calls of one connection, in equal shares. Beyond: the call is not read. */
  readonly connection_answers_bytes: number
  /** WebSocket: the same, for frames that were already read. Beyond: the connection is closed. */
  readonly answers_cut_bytes: number
  /** The bytes that each waiting response counts for, in addition to its own. It takes about that much memory. */
  readonly answer_cost_bytes: number
  /** How long nothing may be written to a peer that is therefore not read, or of an HTTP response. */
  readonly write_deadline_ms: number
  /** HTTP: requests of one connection that wait for the response to the one before, and at most one slice more. */
  readonly pipelined_requests: number
  /** The tick of the gateway, for its sessions and for slices of the sweep. */
  readonly tick_ms: number
  /** How often each session is written to the registry, and its mailbox read. */
  readonly sweep_ms: number
  /** The same after the registry has lost the pod's lease, and the sessions with it. */
  readonly sweep_after_loss_ms: number
  /** How long an ack may wait before it trims the mailbox. */
  readonly trim_ms: number
  /** The lease of the pod. */
  readonly lease_ms: number
  /** How often the lease is checked and renewed. A wipe of the registry is detected within this time. */
  readonly lease_check_ms: number
  /** How long pages of mailboxes are read and delivered before other work has its turn. */
  readonly read_turn_ms: number
  /** Sessions that one client may open in a row at this gateway. */
  readonly openings_in_a_row: number
  /** The time between two sessions of a client after that. */
  readonly opening_every_ms: number
  /** Sessions of all clients that start to open in one turn of the event loop. */
  readonly openings_per_turn: number
  /** HTTP: requests of all connections that are started in one turn of the event loop. */
  readonly requests_per_turn: number
  /** Barriers published again per tick. */
  readonly barriers_again_per_tick: number
  /** Events that are sampled per second, in addition to those whose sender requests it. The same for messages. 0: none. */
  readonly journeys_per_second: number
  /** Journey steps that wait for the journey topic. Beyond: dropped. */
  readonly late_steps: number
  /** gRPC: calls open at once on one connection. */
  readonly calls_per_connection: number
  /**
   * gRPC: calls of one connection that its peer may reset per second, averaged over a second. Beyond: the connection is
   * closed. A proxy that has more clients on one connection, and loses all of them at once, opens another.
   */
  readonly resets_per_second: number
  /** gRPC: calls of all connections that begin in one turn of the event loop. */
  readonly calls_per_turn: number
  /** How long a drain takes to disconnect all clients. */
  readonly send_away_ms: number
  /** Disconnected clients reconnect after a random part of this time. */
  readonly retry_jitter_ms: number
  readonly session: SessionLimits
  readonly auto_ack: AutoAckLimits
  readonly chat: ChatLimits
  readonly direct: DirectLimits
  readonly address: AddressLimits
  readonly subject: SubjectLimits
  readonly reads: ReadLimits
}

/** What one remote address may do: an IPv4 address, or a /64 of IPv6. Addresses of this machine are not limited. */
export interface AddressLimits {
  /** Open connections of all transports together. Through a trusted proxy: WebSockets and calls of gRPC. */
  readonly connections: number
  /** The time to wait, in the refusal of a connection. */
  readonly connections_retry_ms: number
  /** Connections, and calls of gRPC, opened in a row. */
  readonly openings_in_a_row: number
  /** The same per second, after that. */
  readonly openings_per_second: number
  /** Requests in a row that failed by the fault of the client: 4xx of HTTP, refused upgrades and calls. */
  readonly failures_in_a_row: number
  /** The same per second, after that. Beyond: all requests are refused. */
  readonly failures_per_second: number
  /** Addresses whose openings or failures are counted. Beyond: those with the oldest last request are forgotten. */
  readonly addresses: number
}

/**
 * High enough for the NAT of a carrier: carriers give each subscriber some hundred of the 64,512 ports of an address, so one
 * address has some hundred clients, rarely some thousand, and all of them may reconnect at once when a gateway stops. Low
 * enough that one address can't use up what a gateway has.
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

/** What one subject may have of a gateway, where there are locks: see docs/security.md. */
export interface SubjectLimits {
  /** Open connections of all transports together. */
  readonly connections: number
  /** The time to wait, in the refusal of a connection or a room. */
  readonly connections_retry_ms: number
  /** Frames of all its connections per second, and messages that it sends by HTTP, averaged over a second. */
  readonly frames_per_second: number
  /** The same in bytes. */
  readonly bytes_per_second: number
  /** What it may have taken on credit: frames that came before its connections were read no further. */
  readonly credit_ms: number
  /** The time between two notices to a connection that it is slowed down. */
  readonly told_every_ms: number
  /** Rooms of the chat in which its sockets are at once. */
  readonly rooms: number
  /** Client ids, in a row and then per day, that it connects as or sends to and has not used for a day. Its own is none. */
  readonly new_ids_per_day: number
  /** Tickets that were issued to it, in a row and then per minute. */
  readonly tickets_per_minute: number
  /** Subjects without a connection that are remembered. Beyond: those that have asked least lately are forgotten. */
  readonly subjects: number
  /** What it has sent by HTTP to one client, and may wait in its mailbox. Beyond: it is refused, with the time to wait. */
  readonly mail_bytes: number
  /** The same in messages. */
  readonly mail_messages: number
  /** How long what was sent counts as waiting although the mailbox does not have it. */
  readonly mail_settle_ms: number
  /** Pairs of a subject and a client. Beyond: those are forgotten to which least lately was sent. */
  readonly mail_pairs: number
  /** Ids that subjects have used within a day. Beyond: those that were used least lately count as new. */
  readonly ids: number
}

/**
 * High enough for a fleet of devices under one subject, or for a service that sends for many. Low enough that some subjects
 * can't use up what a gateway has.
 */
export const subjectLimits: SubjectLimits = {
  connections: 1_024,
  connections_retry_ms: 5_000,
  frames_per_second: 50_000,
  bytes_per_second: 32 * 1024 * 1024,
  credit_ms: 1_000,
  told_every_ms: 1_000,
  rooms: 256,
  new_ids_per_day: 2_048,
  tickets_per_minute: 1_024,
  subjects: 100_000,
  mail_bytes: 16 * 1024 * 1024,
  mail_messages: 50_000,
  mail_settle_ms: 10_000,
  mail_pairs: 50_000,
  ids: 200_000,
}

/** Reads of logs and stores for requests over HTTP, all of them together. */
export interface ReadLimits {
  /** Requests that read concurrently. */
  readonly reads_at_once: number
  /** Requests that wait for their turn. */
  readonly reads_waiting: number
  /** How long a request waits. */
  readonly reads_wait_ms: number
  /** How long a request reads. */
  readonly reads_ms: number
  /** Records of the log that a request reads. */
  readonly reads_bytes: number
  /** After a read its place stays empty for this many times its duration. */
  readonly reads_rest: number
  /** The longest such time, because most of a long read is waiting for a store. */
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
  /** Concurrent reads of older results, at most one per partition. */
  readonly passes: number
  /** How long such a read waits for a chunk, and for a connection that can take more. */
  readonly pass_patience_ms: number
  /** Pages of mailboxes that are read concurrently. */
  readonly pages: number
  /** The time between two checks whether the mailboxes have what the log has. */
  readonly settle_every_ms: number
  /** How long an offset may wait before it is saved. */
  readonly save_ms: number
  /** The time between two checks whether the log still has what is read next. */
  readonly look_every_ms: number
  /** The time until a retry after a failure. */
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
  /** A decoded name in the path of a URL. Beyond: 404. */
  name_chars: 1_024,
  /** Records of a page. Beyond: the page is shorter. It always has one record. */
  page_bytes: 1024 * 1024,
}

/**
 * The chat transport. At most `socket_buffer_bytes` wait for a socket that does not read; it then reads the log later.
 */
export interface ChatLimits {
  /** The JSON of one message. */
  readonly message_bytes: number
  /** A frame of a socket, or four times `message_bytes` if that is more. Beyond: the connection is closed. */
  readonly frame_bytes: number
  /** Connections of Engine.IO that have not joined the chat. */
  readonly unjoined: number
  /** Messages and broadcasts of one socket, averaged over a second. */
  readonly messages_per_second: number
  /** Messages of one socket that were accepted and not acknowledged. */
  readonly waiting_messages: number
  /** Messages for a socket that requests history. */
  readonly history_messages: number
  /** Records of a partition that are read for them. */
  readonly scan_records: number
  /** Sockets that concurrently read the log for what they missed. */
  readonly catch_ups: number
  /** The newest records of a partition, kept in memory for sockets that reconnect. */
  readonly recent_bytes: number
  /** A socket that is further behind reads the archive first, which is ordered by room. */
  readonly archive_after_records: number
  /** Records that are delivered, or read, before other work has its turn. */
  readonly turn_records: number
  /** Messages of the open chat after which sockets are sent their offset. At most this many may be repeated. */
  readonly tell_records: number
  /** Within how many records of a partition two with one author and id are one message. It is below `scan_records`. */
  readonly repeat_records: number
  /** How long the place of a named client may wait before it is saved. */
  readonly save_ms: number
  /** Bytes that wait for one socket, broadcasts included. */
  readonly socket_cut_bytes: number
  /** How often a socket is sent its offset, if no message had it. */
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
  save_ms: 100,
  socket_cut_bytes: 4 * 1024 * 1024,
  offset_every_ms: 1_000,
}

/** Requests of operators. */
export const adminLimits = {
  /** Entries of the registry that one request reads. */
  scan_clients: 200_000,
  /** Offline clients, the newest first, for which a list checks whether records wait. */
  mail_clients: 1_000,
  /** Pods with an expired lease that are listed, if they still have clients. */
  dead_pods: 16,
  /** Rows of a list, if the request has no `limit`. */
  rows: 100,
  /** Records of a mailbox that are shown, if the request has no `limit`. */
  mailbox_records: 50,
  /** The same in bytes. One record is always shown. */
  mailbox_bytes: 1024 * 1024,
  /** The newest records of a client's partition that are read for its last events. */
  last_scan_records: 10_000,
  /** Events of a client that are shown. */
  last_events: 10,
  /** Records of the journey topic that are read for one journey. */
  journey_scan_records: 50_000,
  /** The payload of an event, and of its result, in a journey. */
  journey_payload_bytes: 16 * 1024,
  /** Records of the quarantine topic, of all partitions, that one list reads. */
  quarantine_scan_records: 10_000,
  /** Records of the audit topic, of all partitions, that one list looks through, the newest first. */
  audit_scan_records: 100_000,
  /** Records of the events topic that one replay reads. */
  replay_scan_records: 50_000,
  /** Events that one replay publishes. */
  replay_events: 1_000,
  /** Published events that the response names. */
  named_events: 20,
  /** The events of one replay. One event is always published. */
  replay_bytes: 8 * 1024 * 1024,
  /** A quarantined record, as it is shown. */
  shown_bytes: 64 * 1024,
  /** Tasks that are kept for the lists of tasks, in equal shares for the partitions. Beyond: a list says that there are more. */
  tasks_kept: 20_000,
  /** Records of the tasks topic that one list reads, in equal shares. Beyond: the next one reads on. */
  tasks_scan_records: 200_000,
  /** The same in bytes, of all partitions together. */
  tasks_scan_bytes: 64 * 1024 * 1024,
  /** How long a list reads a partition. */
  tasks_read_ms: 5_000,
  /** How long what was read is kept when nobody asks for a list. */
  tasks_idle_ms: 60_000,
  /** How long one read of the log may take. Beyond: `ADMIN_UNAVAILABLE`. */
  read_timeout_ms: 15_000,
  /** How long the command `forget` waits for clients to disconnect. Beyond: they are left as they are. */
  forget_wait_ms: 5_000,
  /** The time between two checks whether they are connected. */
  forget_every_ms: 100,
  /** Concurrent requests to a store, for one list. */
  at_once: 16,
  /** The time between two snapshots of the page. */
  picture_ms: 1_000,
  /** Clients in a snapshot. */
  picture_rows: 50,
  /** Tasks in a snapshot. */
  picture_tasks: 20,
  /** The share of the time that reads of the registry, or of the topics, may take for snapshots. */
  watch_share: 0.01,
  /** Concurrent readers of snapshots. */
  watchers: 32,
  /** Seconds of history that a page begins with. */
  pulses: 300,
  /** Wrong admin tokens of one address in a row. */
  login_failures: 10,
  /** How long no token of it is looked at after the next one; for each further one twice as long. */
  login_wait_ms: 1_000,
  /** The longest such time. */
  login_longest_wait_ms: 60_000,
  /** After this time without a wrong one, an address is as any other; and a right token is news again. */
  login_forget_ms: 900_000,
  /** Addresses whose wrong tokens are counted. Beyond: those that have shown none for the longest time are forgotten. */
  login_addresses: 10_000,
  /** Right tokens that are let in from their address whatever else comes from there. The same beyond. */
  login_known: 1_000,
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
  dedupe_records: repeatLimits.dedupe_records,
  idle_timeout_ms: 60_000,
  first_frame_ms: 5_000,
  failed_renewals: 3,
  left_clients: 10_000,
  body_bytes: 2 * 1024 * 1024,
  body_small_pieces: 4_096,
  bodies_bytes: 32 * 1024 * 1024,
  unfinished_bytes: 32 * 1024 * 1024,
  piece_cost_bytes: 256,
  message_fragments: 128,
  request_ms: 30_000,
  handshake_ms: 10_000,
  certificate_check_ms: 5_000,
  keep_alive_ms: 65_000,
  drain_ms: 2_000,
  close_ms: 2_000,
  intake_bytes: 8 * 1024 * 1024,
  client_unanswered_events: 4_096,
  unanswered_hold_ms: 5_000,
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
  subject: subjectLimits,
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
  connections_per_subject: positive("NIMBUS_CONNECTIONS_PER_SUBJECT").pipe(
    Config.withDefault(subjectLimits.connections),
  ),
  frames_per_subject: positive("NIMBUS_FRAMES_PER_SUBJECT").pipe(Config.withDefault(subjectLimits.frames_per_second)),
  bytes_per_subject: positive("NIMBUS_BYTES_PER_SUBJECT").pipe(Config.withDefault(subjectLimits.bytes_per_second)),
  rooms_per_subject: positive("NIMBUS_ROOMS_PER_SUBJECT").pipe(Config.withDefault(subjectLimits.rooms)),
  mail_per_sender: positive("NIMBUS_MAIL_BYTES_PER_SENDER").pipe(Config.withDefault(subjectLimits.mail_bytes)),
  new_ids_per_subject: positive("NIMBUS_NEW_IDS_PER_SUBJECT").pipe(Config.withDefault(subjectLimits.new_ids_per_day)),
  dedupe_records: Dedupe.config,
  window_results: positive("NIMBUS_WINDOW_RESULTS").pipe(Config.withDefault(sessionLimits.window_results)),
})

/** The bounds of this gateway. */
export class Limits extends Context.Service<Limits, GatewayLimits>()("@nimbus/gateway/Limits") {
  static readonly layerWith = (limits: Partial<GatewayLimits>) => Layer.succeed(Limits, { ...gatewayLimits, ...limits })
  /** From the environment, where operators have something to choose. */
  static readonly config: Config.Config<GatewayLimits> = Config.map(
    settings,
    ({
      bytes_per_subject,
      chat_message_bytes,
      chat_messages_per_second,
      connections_per_address,
      connections_per_subject,
      failures_per_address,
      frames_per_subject,
      idle_timeout,
      keep_alive,
      mail_per_sender,
      new_ids_per_subject,
      openings_per_address,
      rooms_per_subject,
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
      subject: {
        ...subjectLimits,
        connections: connections_per_subject,
        frames_per_second: frames_per_subject,
        bytes_per_second: bytes_per_subject,
        rooms: rooms_per_subject,
        new_ids_per_day: new_ids_per_subject,
        mail_bytes: mail_per_sender,
      },
    }),
  )
  static readonly layer = Layer.effect(Limits, Limits.config)
}
