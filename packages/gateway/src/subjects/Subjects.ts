/**
 * The fair shares of subjects at this gateway: `SubjectBook` says what each may have, and here is what the transports ask,
 * with the principal that `Access` gives them.
 *
 * ```
 *   Access.connect ──▶ Subjects.connect ──▶ Share ──▶ Throttle: reads more slowly, and tells so
 *                            │                └─────▶ `close`
 *                      SubjectRefused: nothing has happened
 * ```
 *
 * Without locks nobody has shown who it is, so there are no shares: everybody has what addresses and clients may.
 * Refusals are told to `Audit`, and named in a line of the log at most once in `line_ms`. Who refuses counts it.
 */
import { ownerOf, type Principal } from "@nimbus/domain/access"
import type { ClientId, RoomId } from "@nimbus/domain/protocol"
import { Audit, Mailbox, type Receipt } from "@nimbus/domain/services"
import { Clock, Context, Effect, Exit, FiberSet, Layer, Option } from "effect"
import { Access, type From } from "../access/Access.ts"
import { SubjectRefused } from "../Errors.ts"
import { Limits } from "../Limits.ts"
import { MailBook } from "./MailBook.ts"
import { type SubjectConnection, SubjectBook, type SubjectRefusal, type TooMuch } from "./SubjectBook.ts"

/** What one connection has of its subject's share. */
export interface Share {
  /** A frame came. Undefined: it may be taken; one that may not counts for nothing. */
  frame(bytes: number, now_ms: number): TooMuch | undefined
  /** How long its connection is not to be read, as the subject has taken too much. */
  owed(now_ms: number): TooMuch | undefined
  /** The connection is gone. More than once is as once. */
  close(): void
}

/** A connection as it is opened. */
export interface ConnectionOptions {
  /** In the chat: in this room. */
  readonly room?: RoomId
  /** The client has another one here, which ends when this one begins. */
  readonly replaces?: boolean
}

/** What somebody asks without a connection. */
export interface Bulk {
  /** To whom. */
  readonly clientId: ClientId
  readonly messages: number
  readonly bytes: number
  /** It waits in the mailbox until the client acknowledges it. Cancels do not. */
  readonly isMail: boolean
}

/** Between two lines of the log. */
const line_ms = 60_000

/** The share that each subject has of this gateway. */
export class Subjects extends Context.Service<
  Subjects,
  {
    /** It opens a connection as this client. Of what it is given, `close` must be called. */
    connect(
      principal: Principal,
      clientId: ClientId,
      from: From,
      how?: ConnectionOptions,
    ): Effect.Effect<Share, SubjectRefused>
    /** It sends messages without a connection: by `publish`, if it may. */
    send<E, R>(
      principal: Principal,
      bulk: Bulk,
      from: From,
      publish: Effect.Effect<ReadonlyArray<Receipt>, E, R>,
    ): Effect.Effect<ReadonlyArray<Receipt>, SubjectRefused | E, R>
    /** It takes a ticket, which stands for a connection to come. */
    ticket(principal: Principal, from: From): Effect.Effect<void, SubjectRefused>
  }
>()("@nimbus/gateway/Subjects") {
  static readonly layer: Layer.Layer<Subjects, never, Access | Limits | Mailbox> = Layer.effect(
    Subjects,
    Effect.suspend(() => make),
  )
}

/** Where there are no locks. */
export const unlimited: Share = {
  frame: () => undefined,
  owed: () => undefined,
  close: () => {},
}

const make = Effect.gen(function* () {
  const { isOpen } = yield* Access
  const { subject: limits } = yield* Limits
  const audit = Option.getOrUndefined(yield* Effect.serviceOption(Audit))
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const run = yield* FiberSet.makeRuntime<never>()
  const book = new SubjectBook(limits)
  const mail = new MailBook(limits)
  const mailbox = yield* Mailbox
  let lastLine_ms = Number.NEGATIVE_INFINITY

  const tell = ({ clientId, issuer, subject }: Principal, { code }: TooMuch, from: From): void => {
    audit?.record({ action: "refused", outcome: code, issuer, subject, clientId, ...from })
    if (now() - lastLine_ms < line_ms) return
    lastLine_ms = now()
    run(
      Effect.logWarning(`a subject is refused for now: ${code}; so may others be within the next minute`, { subject }),
    )
  }
  const refuse = (principal: Principal, refusal: TooMuch, from: From) => {
    tell(principal, refusal, from)
    return Effect.fail(new SubjectRefused({ ...refusal, reason: messageOf(refusal) }))
  }
  /** Room in the mailbox: asked of it where the book has none. */
  const takeMail = Effect.fnUntraced(function* (principal: Principal, bulk: Bulk, from: From) {
    const [owner, client] = [ownerOf(principal), bulk.clientId]
    const first = mail.take(owner, client, bulk, now())
    if (first !== undefined) return first
    const settled = yield* Effect.match(mailbox.stats(client), {
      onSuccess: (stats) => mail.settle(owner, client, stats, now()),
      onFailure: () => ({ retry_ms: limits.connections_retry_ms }),
    })
    const second = mail.take(owner, client, bulk, now())
    return second ?? (yield* refuse(principal, { code: "SUBJECT_MAIL", ...settled }, from))
  })
  const foreign = (principal: Principal, clientId: ClientId) => (principal.clientId === clientId ? undefined : clientId)

  return Subjects.of({
    connect: (principal, clientId, from, { replaces, room } = {}) =>
      Effect.suspend(() => {
        if (isOpen) return Effect.succeed(unlimited)
        const connection = book.connect(ownerOf(principal), foreign(principal, clientId), now(), replaces)
        if ("code" in connection) return refuse(principal, connection, from)
        const refusal = room === undefined ? undefined : connection.join(room)
        if (refusal === undefined) return Effect.succeed(shareOf(connection))
        connection.close()
        return refuse(principal, refusal, from)
      }),
    send: (principal, bulk, from, publish) => {
      if (isOpen) return publish
      const asked = { bytes: bulk.bytes, client: foreign(principal, bulk.clientId), frames: bulk.messages }
      return Effect.gen(function* () {
        const refusal = book.ask(ownerOf(principal), asked, now())
        if (refusal !== undefined) return yield* refuse(principal, refusal, from)
        if (!bulk.isMail) return yield* publish
        const taken = yield* takeMail(principal, bulk, from)
        return yield* Effect.onExit(publish, (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit)) taken.stored(Math.max(...exit.value.map(({ seq }) => seq)))
            else taken.failed()
          }),
        )
      })
    },
    ticket: (principal, from) =>
      Effect.suspend(() => {
        const refusal = isOpen ? undefined : book.ticket(ownerOf(principal), now())
        return refusal === undefined ? Effect.void : refuse(principal, refusal, from)
      }),
  })
})

const shareOf = (connection: SubjectConnection): Share => {
  let isClosed = false
  return {
    frame: (bytes, now_ms) => connection.frame(bytes, now_ms),
    owed: (now_ms) => connection.owed(now_ms),
    close: () => {
      if (isClosed) return
      isClosed = true
      connection.close()
    },
  }
}

const sentences: Readonly<Record<SubjectRefusal, string>> = {
  SUBJECT_CONNECTIONS: "this subject has as many connections as it may (NIMBUS_CONNECTIONS_PER_SUBJECT)",
  SUBJECT_FRAMES: "this subject sends more frames a second than it may (NIMBUS_FRAMES_PER_SUBJECT)",
  SUBJECT_BYTES: "this subject sends more bytes a second than it may (NIMBUS_BYTES_PER_SUBJECT)",
  SUBJECT_ROOMS: "this subject is in as many rooms as it may (NIMBUS_ROOMS_PER_SUBJECT)",
  SUBJECT_MAIL: "as much mail of this subject waits for this client as may (NIMBUS_MAIL_BYTES_PER_SENDER)",
  SUBJECT_TICKETS: "this subject takes more tickets a minute than it may",
  SUBJECT_NEW_IDS: "this subject uses more new client ids a day than it may (NIMBUS_NEW_IDS_PER_SUBJECT)",
}

/** What is told to who is refused, or slowed down. */
export const messageOf = ({ code, retry_ms }: TooMuch): string =>
  `${sentences[code]}; wait ${Math.max(1, Math.ceil(retry_ms / 1_000))} s`
