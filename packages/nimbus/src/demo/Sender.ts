/**
 * Sends messages to a client over HTTP, and keeps a journal of them.
 *
 * What was posted before a crash is not posted again: the log may have it, and a message posted twice comes twice. So it
 * counts as accepted only with its receipt, or when it has come.
 */
import { EventId } from "@nimbus/domain/protocol"
import { Clock, Effect, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import type { Books } from "./Actor.ts"
import { messageName } from "./Report.ts"

const Receipts = Schema.Struct({ receipts: Schema.Array(Schema.Struct({ id: EventId })) })

export type Sender = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fn("Sender.make")(function* ({ account, record }: Books, http: string) {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const run_ms = yield* Clock.currentTimeMillis
  const post = Effect.fnUntraced(function* (to: string, count: number) {
    const messages = Array.from({ length: count }, (_, i) => account.next + i).map((number) => ({
      id: EventId.make(`message-${run_ms}-${number}`),
      number,
    }))
    yield* record({ _tag: "Posted", messages })
    const body = messages.map(({ id, number }) => ({ id, name: messageName, data: { number } }))
    const request = yield* HttpClientRequest.bodyJson(HttpClientRequest.post(`${http}/v1/clients/${to}/messages`), body)
    const { receipts } = yield* Effect.flatMap(client.execute(request), HttpClientResponse.schemaBodyJson(Receipts))
    yield* record({ _tag: "Receipted", ids: receipts.map(({ id }) => id) })
  })
  return { account, post }
})
