import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { inject } from "vitest"
import * as ChatAdapter from "./ChatAdapter.ts"
import { RedisConnection } from "./Connection.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
const settings = { ...settingsOf(redis?.address ?? ""), prefix: "chat-adapter" }

/** What another gateway writes for a broadcast, as far as a reader looks at it. */
const broadcast = (data: string) =>
  Effect.flatMap(RedisConnection, ({ command }) =>
    command("xadd", ["chat-adapter:broadcasts", "*", "nsp", "/", "data", data], () => {}),
  )

describe.skipIf(redis === undefined)("the chat's adapter", () => {
  it.live("hears every broadcast from the moment it is made, also before its reader is there, and none of before", () =>
    Effect.gen(function* () {
      yield* broadcast("long ago")
      const make = yield* ChatAdapter.make(settings)
      yield* broadcast("early")
      const heard: Array<string> = []
      const adapter = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const adapter = make({ name: "/", server: { encoder: {} } })
          return Object.assign(adapter, { onRawMessage: ({ data }: { readonly data: string }) => heard.push(data) })
        }),
        (adapter) => Effect.sync(() => void adapter.close()),
      )
      // It is there for others too.
      const own = { packet: "own", opts: { rooms: [], except: [], flags: {} } }
      yield* Effect.promise(async () => adapter.doPublish({ uid: "u", nsp: "/", type: 3, data: own }))
      const hears = (...expected: ReadonlyArray<string>) =>
        Effect.andThen(
          eventually(
            `it hears ${expected.join(", ")}`,
            Effect.sync(() => heard.length >= expected.length),
          ),
          Effect.sync(() => assert.deepStrictEqual(heard, expected)),
        )
      yield* hears("early", JSON.stringify(own))
      yield* broadcast("later")
      yield* hears("early", JSON.stringify(own), "later")
    }).pipe(Effect.provide(RedisConnection.layerWith(settings))),
  )
})
