/** A client made from the contract as it was before Nimbus, by Connect: it knows nothing of seqs, acks or notices. */
import { create } from "@bufbuild/protobuf"
import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { Effect } from "effect"
import { EventRequestSchema, type EventResponse, NimbusService } from "./gen/before/nimbus_pb.js"

export type { EventResponse }

/** Sends `sq` for each number, says that this was all, and returns what came until the call ended with OK. */
export const square = (
  port: number,
  clientId: string,
  numbers: ReadonlyArray<number>,
): Effect.Effect<ReadonlyArray<EventResponse>> =>
  Effect.promise(async (signal) => {
    const client = createClient(NimbusService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }))
    const answers: Array<EventResponse> = []
    const call = client.processEvent(events(numbers), { headers: { client_id: clientId }, signal })
    for await (const answer of call) answers.push(answer)
    return answers
  })

/** Sends nothing, and takes what comes for as long as the call goes on, as NimbusGRPC's own client does. */
export const listen = (
  port: number,
  clientId: string,
  headers: Readonly<Record<string, string>> = {},
): AsyncIterable<EventResponse> =>
  createClient(NimbusService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` })).processEvent(nothing(), {
    headers: { client_id: clientId, ...headers },
  })

// oxlint-disable-next-line require-yield
async function* nothing(): AsyncGenerator<never> {
  await new Promise(() => {})
}

async function* events(numbers: ReadonlyArray<number>) {
  for (const number of numbers) yield create(EventRequestSchema, { eventName: "sq", number })
}
