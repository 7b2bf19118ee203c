import { assert, describe, it } from "@effect/vitest"
import { RegistryUnavailable } from "@nimbus/domain/errors"
import { ClientId, Epoch, Owner, PodId, type Status } from "@nimbus/domain/protocol"
import { type Presence, Registry, RegistryMemory } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { Counts } from "../Metrics.ts"
import { makePresences } from "./Presences.ts"

const pod = PodId.make("p")
const [ada, bob] = [ClientId.make("ada"), ClientId.make("bob")]
const said = (clientId: ClientId, epoch: number, status: Status.StatusName, owner?: Owner): Presence => ({
  clientId,
  epoch: Epoch.make(epoch),
  pod,
  status,
  owner,
})
const owner = Owner.make("x")

/** A registry that can be away, and what a gateway writes to it. */
const stage = Effect.gen(function* () {
  const { registry } = RegistryMemory.makeMemory()
  const state = { isAway: true, failed: 0 }
  const write: typeof registry.write = (presences) =>
    Effect.suspend(() => {
      if (!state.isAway) return registry.write(presences)
      state.failed++
      return Effect.fail(new RegistryUnavailable({ operation: "write", cause: "away" }))
    })
  const service = Registry.of({ ...registry, write })
  const presences = yield* makePresences(() => {}, new Counts(), 1).pipe(Effect.provideService(Registry, service))
  const hasFailed = (times: number) =>
    eventually(
      `${times} have failed`,
      Effect.sync(() => state.failed >= times),
    )
  return { registry, state, presences, hasFailed }
})

describe("Presences", () => {
  it.live("tells again that an owner's session is over, which nobody else would say", () =>
    Effect.gen(function* () {
      const { hasFailed, presences, registry, state } = yield* stage
      yield* registry.connect(ada, pod, Epoch.make(5), { owner })
      presences.write(said(ada, 5, "OFFLINE", owner))
      yield* hasFailed(1)
      presences.tick()
      yield* hasFailed(2)
      state.isAway = false
      presences.tick()
      yield* eventually(
        "it is OFFLINE",
        Effect.map(registry.statuses([ada]), ([status]) => status?._tag === "OFFLINE"),
      )
    }).pipe(Effect.scoped),
  )

  it.live("does not tell again what the sweep says, what has no owner, or more than its bound", () =>
    Effect.gen(function* () {
      const { hasFailed, presences, registry, state } = yield* stage
      yield* registry.connect(ada, pod, Epoch.make(5), { owner })
      presences.write(said(ClientId.make("first"), 5, "OFFLINE", owner))
      presences.write(said(bob, 5, "OFFLINE", owner))
      presences.write(said(ada, 5, "LIVE", owner))
      presences.write(said(ClientId.make("nobodys"), 5, "OFFLINE"))
      yield* hasFailed(1)
      state.isAway = false
      presences.tick()
      const first = ClientId.make("first")
      yield* eventually(
        "the first is told",
        Effect.map(registry.statuses([first]), ([status]) => status !== undefined),
      )
      const [left, live] = yield* registry.statuses([bob, ada])
      assert.isUndefined(left)
      assert.strictEqual(live?._tag, "REPLAYING")
    }).pipe(Effect.scoped),
  )
})
