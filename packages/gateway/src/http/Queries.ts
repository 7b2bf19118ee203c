/**
 * What the archive has, page by page:
 *
 * ```
 * GET /v1/clients/:clientId/results?after=&limit=&incarnation=  
 * {"incarnation":…,"results":[{"seq":…},…],"next":12} GET
 * /v1/rooms/:room/messages?after=&limit=&incarnation=&partition=
 * {"incarnation":…,"messages":[{"offset":…},…],"next":null} GET /v1/open/messages?after=&limit=&incarnation=&partition=
 *         the same, of the open chat
 * ```
 *
 * `partition` asks for what stands there beside the room's history (`ChatArchive`). `next` is the `after` of the page
 * that follows, null where nothing follows yet. Without an archive all answer 404.
 *
 * With locks they need the capability `archive:read`, and of a client's results that it may connect as this client, of a
 * room's messages `room:history:<room>`. Without, they are open to every client of the port.
 */
import { ClientPath, endpoints, PageQuery, problems, RoomPath } from "@nimbus/domain/http"
import { pageLimits } from "@nimbus/domain/limits"
import { type Incarnation, openLife, openRoom, type RoomId, start } from "@nimbus/domain/protocol"
import {
  Archive,
  archiveKeyOf,
  type ArchiveKind,
  type ArchivePage,
  type ArchiveShape,
  EventLog,
  fromArchived,
  Topics,
} from "@nimbus/domain/services"
import { Effect, Layer, Option, Result } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { queryLimits } from "../Limits.ts"
import { admitted, refusals } from "./Doorkeeper.ts"
import { ReadBudget } from "./ReadBudget.ts"
import { refuse } from "./Refusal.ts"

/** `items`: JSON already, of which a page is put together without reading it again. */
const respondPage = (incarnation: Incarnation, name: string, items: ReadonlyArray<string>, page: ArchivePage) => {
  const next = page.more ? page.records.at(-1)?.place : undefined
  return HttpServerResponse.text(
    `{"incarnation":${JSON.stringify(incarnation)},"${name}":[${items.join(",")}],"next":${next ?? null}}`,
    { contentType: "application/json" },
  )
}

/** Before anything is read. */
const mayRead = (capability: "connect" | "room:history", target: string) =>
  admitted((access, { from, principal }) =>
    Effect.andThen(access.check(principal, from, "archive:read"), access.checkOf(principal, from, capability, target)),
  )

type LifeOf = (log: EventLog["Service"], topics: Topics["Service"]) => Incarnation
const ofSeqs: LifeOf = ({ incarnation }) => incarnation
const ofRooms: LifeOf = (log, { chats }) => log.facts(chats).incarnation
const ofOpen: LifeOf = (log, { messages = Topics.openDefault }) => openLife(log.facts(messages).incarnation)

/** `keyOf`: where that is, by the partition that is asked for, if it is. */
const ask = Effect.fnUntraced(function* (
  archive: ArchiveShape,
  kind: ArchiveKind,
  keyOf: (partition: number | undefined) => string,
  lifeOf = ofSeqs,
) {
  const search = yield* HttpServerRequest.schemaSearchParams(PageQuery)
  const incarnation = search.incarnation ?? lifeOf(yield* EventLog, yield* Topics)
  const limit = { results: search.limit ?? pageLimits.page_default_records, bytes: queryLimits.page_bytes }
  const [key, after] = [keyOf(search.partition), search.after ?? start]
  return { incarnation, page: yield* inTurn(archive.page({ incarnation, kind, key, after, limit })) }
})

const results = Effect.fnUntraced(function* (archive: ArchiveShape) {
  const { clientId } = yield* HttpRouter.schemaPathParams(ClientPath)
  yield* mayRead("connect", clientId)
  const { incarnation, page } = yield* ask(archive, "results", () => clientId)
  return respondPage(
    incarnation,
    "results",
    page.records.map(({ value }) => value),
    page,
  )
})

const messages = Effect.fnUntraced(function* (archive: ArchiveShape) {
  const { room } = yield* HttpRouter.schemaPathParams(RoomPath)
  yield* mayRead("room:history", room)
  const { incarnation, page } = yield* ask(archive, "messages", (partition) => archiveKeyOf(room, partition), ofRooms)
  return respondMessages(room, incarnation, page)
})

const openMessages = Effect.fnUntraced(function* (archive: ArchiveShape) {
  yield* mayRead("room:history", openRoom)
  const { incarnation, page } = yield* ask(
    archive,
    "messages",
    (partition) => archiveKeyOf(openRoom, partition),
    ofOpen,
  )
  return respondMessages(openRoom, incarnation, page)
})

const respondMessages = (room: RoomId, incarnation: Incarnation, page: ArchivePage) => {
  const items = page.records.flatMap(({ place, timestamp, value }) => {
    const message = fromArchived(room, value)
    return Result.isFailure(message) ? [] : [JSON.stringify({ offset: place, timestamp, ...message.success })]
  })
  return respondPage(incarnation, "messages", items, page)
}

/** Reads in its turn, with what operators read. A question that is wrong takes none. */
const inTurn = <A, E, R>(query: Effect.Effect<A, E, R>) => Effect.flatMap(ReadBudget, ({ read }) => read(query))

type Query = typeof results | typeof messages | typeof openMessages

/** Asked of the archive of this process, if there is one. */
const route = (
  { method, path }: Pick<typeof endpoints.results, "method"> & { readonly path: `/${string}` },
  archive: Option.Option<ArchiveShape>,
  query: Query,
) =>
  HttpRouter.add(
    method,
    path,
    Option.isNone(archive)
      ? refuse(problems.noArchive, "there is no archive here: see NIMBUS_STORAGE")
      : query(archive.value).pipe(
          Effect.catchTags({
            ...refusals,
            SchemaError: ({ message }) => refuse(problems.badRequest, message),
            ReadsBusy: ({ message }) => refuse(problems.readsBusy, message, { "retry-after": "1" }),
            ArchiveUnavailable: () => refuse(problems.archiveUnavailable, "the archive is unavailable; ask again"),
          }),
        ),
  )

export const layer = Layer.unwrap(
  Effect.map(Effect.serviceOption(Archive), (archive) =>
    Layer.mergeAll(
      route(endpoints.results, archive, results),
      route(endpoints.roomMessages, archive, messages),
      route(endpoints.openMessages, archive, openMessages),
    ),
  ),
)
