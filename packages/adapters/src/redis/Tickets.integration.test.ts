import { assert, describe, layer } from "@effect/vitest"
import { Tickets } from "@nimbus/domain/services"
import { ticketsSuite } from "@nimbus/domain/testing"
import { Context, Effect, Layer, Option } from "effect"
import { inject } from "vitest"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { settingsOf } from "./Settings.ts"
import * as RedisTickets from "./Tickets.ts"

const { redis } = inject("services")
const connection = (prefix: string) => RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), prefix })

describe.skipIf(redis === undefined)("RedisTickets", () => {
  ticketsSuite("in Redis", (limits) => RedisTickets.layerWith(limits).pipe(Layer.provide(connection("tickets"))))

  layer(RedisTickets.layer.pipe(Layer.provideMerge(connection("tickets-of-two"))), { excludeTestServices: true })(
    "beyond the suite",
    (it) => {
      it.effect("another gateway redeems what one has issued, once between them", () =>
        Effect.gen(function* () {
          const other = Context.get(
            yield* Layer.build(RedisTickets.layer.pipe(Layer.provide(Layer.fresh(connection("tickets-of-two"))))),
            Tickets,
          )
          const { issue, redeem } = yield* Tickets
          const ticket = yield* issue("value")
          const found = yield* Effect.all([redeem(ticket), other.redeem(ticket)], { concurrency: 2 })
          assert.deepStrictEqual(found.filter(Option.isSome), [Option.some("value")])
        }),
      )

      it.effect("Redis has neither the ticket nor its value, and not for ever", () =>
        Effect.gen(function* () {
          const { command } = yield* RedisConnection
          const ticket = yield* (yield* Tickets).issue("a.secret.token")
          const keys = yield* command("keys", ["tickets-of-two:*"], (reply) => Reply.list(reply).map(Reply.text))
          assert.strictEqual(keys.length, 1)
          const [key = ""] = keys
          const stored = yield* command("get", [key], (reply) => Reply.bytes(reply)?.toString("latin1"))
          assert.notInclude(`${key} ${stored}`, ticket)
          assert.notInclude(`${key} ${stored}`, "secret")
          assert.isAtMost(yield* command("pttl", [key], Reply.integer), 30_000)
          assert.isAbove(yield* command("pttl", [key], Reply.integer), 0)
        }),
      )
    },
  )
})
