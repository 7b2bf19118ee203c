/**
 * The production code as the simulator runs it, unchanged: the consumers and the status manager, the gateways' delivery
 * core behind a simulated transport, and the SDK's client on a simulated socket with a memory that survives.
 */
import * as ClientCode from "@nimbus/client"
import type { ClientId } from "@nimbus/domain/protocol"
import {
  abnormal,
  type Client,
  type End,
  type GatewayOptions,
  type Production,
  type Role,
  type Services,
  type SimulatedLimits,
} from "../simulation/index.ts"
import * as GatewayCode from "@nimbus/gateway"
import * as PipelineCode from "@nimbus/pipeline"
import { Cause, Effect, FiberSet, Layer, Queue } from "effect"
import { connectRequestOf, SimulatedTransport } from "./Transport.ts"

/** The packages, as they are or with a bug put in. */
export interface Code {
  readonly pipeline: typeof PipelineCode
  readonly gateway: typeof GatewayCode
  readonly client: typeof ClientCode
}

export const code: Code = { pipeline: PipelineCode, gateway: GatewayCode, client: ClientCode }

export const productionOf = ({ client, gateway, pipeline }: Code): Production => ({
  role: (role, process, limits) =>
    roleOf(pipeline, role, limits).pipe(Layer.provide(Layer.succeed(pipeline.Instance, process))),
  gateway: (options) => gatewayOf(gateway, options),
  client: () => clientOf(client),
})

export const production: Production = productionOf(code)

const consumer_ms = { backoff_max_ms: 1_000 }
const chunk_bytes = 1_000_000

const roleOf = (
  pipeline: Code["pipeline"],
  role: Role,
  limits: SimulatedLimits,
): Layer.Layer<never, unknown, Services> => {
  const chunk = { chunk_records: limits.chunk_records, chunk_bytes }
  switch (role) {
    case "event-consumer": {
      const { order, repeats, tasks, unknown_event_wait_ms } = limits
      const bounds = { order, repeats, tasks, unknown_event_wait_ms }
      return pipeline.EventConsumer.layerWith({ ...consumer_ms, ...bounds, chunk })
    }
    case "result-consumer": {
      const { late_steps, outstanding_records, router, shelf_records, unhurried_results } = limits
      const bounds = { router, shelf_records, outstanding_records, unhurried_results, late_steps }
      return pipeline.ResultConsumer.layerWith({ ...consumer_ms, ...bounds, chunk })
    }
    case "replay-consumer":
      return pipeline.ReplayConsumer.layerWith({ ...consumer_ms, rebuild_records_per_second: 200 })
    case "task-worker": {
      const { taskQueue: queue, taskWorker } = limits
      return pipeline.TaskWorker.layerWith({ ...consumer_ms, ...taskWorker, queue, chunk })
    }
    case "status-manager":
      return Layer.effectDiscard(Layer.build(pipeline.StatusManager.layerWith({ refresh_every_ms: 2_000 })))
  }
}

const gatewayOf = (gateway: Code["gateway"], { limits, listen, pod, watch }: GatewayOptions) => {
  const direct = { ...gateway.gatewayLimits.direct, recent_bytes: limits.direct_recent_bytes, look_every_ms: 2_000 }
  const all = { ...gateway.gatewayLimits, ...limits, sweep_after_loss_ms: 1_000, journeys_per_second: 4, direct }
  const transport = Effect.gen(function* () {
    const delivery = yield* gateway.Delivery
    const run = yield* FiberSet.makeRuntime<never>()
    const transports = new Set<SimulatedTransport>()
    const greet = (end: End, url: string): void => {
      const { isDirect, ...request } = connectRequestOf(url)
      const transport = new SimulatedTransport(end, request.clientId, all, watch(request.clientId, isDirect))
      transports.add(transport)
      run(
        Effect.match((isDirect ? delivery.openDirect : delivery.open)({ ...request, transport }), {
          onSuccess: (handle) => transport.attach(handle),
          onFailure: (error) => transport.close(gateway.refusalOf(error)),
        }).pipe(Effect.tapCause((cause) => Effect.logError("a session could not be opened", cause))),
      )
    }
    const stop = listen(greet)
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        stop()
        for (const transport of transports) transport.pause()
        return delivery.drained
      }),
    )
  })
  return Layer.effectDiscard(transport).pipe(
    Layer.provide(
      gateway.Delivery.layer.pipe(Layer.provide(gateway.Subjects.layer), Layer.provide(gateway.Access.layer)),
    ),
    Layer.provide(Layer.succeed(gateway.Pod, { id: pod })),
    Layer.provide(gateway.Limits.layerWith(all)),
    Layer.fresh,
    Layer.build,
    Effect.andThen(Effect.never),
  )
}

const client_ms = { connect_timeout_ms: 3_000, heartbeat_ms: 3_000, reconnect_max_ms: 1_000, retry_jitter_ms: 500 }

const clientOf = (client: Code["client"]): Client => {
  const memory = makeMemory(client)
  return {
    disk: memory,
    live: ({ application, clientId, dial, limits, save, url }) =>
      Effect.gen(function* () {
        const sdk = yield* client.Client.make({ url, clientId, limits: { ...client_ms, ...limits.client } })
        const sending = Effect.gen(function* () {
          while (true) {
            const events = yield* application.next
            yield* sdk.sendAll(events.map(({ id, n, name }) => ({ name, data: n, id })))
            application.accepted(events)
          }
        })
        const showing = sdk.run((delivery) =>
          application.shown(
            client.isLost(delivery)
              ? { after: delivery.after, upTo: delivery.upTo }
              : { seq: delivery.seq, id: delivery.id, data: delivery.data },
          ),
        )
        const cancelling = Effect.forever(Effect.flatMap(application.nextCancel, (id) => sdk.cancel(id)))
        return yield* Effect.raceAllFirst([sending, showing, cancelling, sdk.failed])
      }).pipe(
        Effect.provideService(client.ClientMemory, memory.in(save)),
        Effect.provideService(client.Transport.Transport, transportOf(client, dial)),
      ),
  }
}

/** A memory on a simulated disk: a save is there once it is done, also if whoever saved has died meanwhile. */
const makeMemory = ({ Memory }: Code["client"]) => {
  const ledger = Memory.toLedger(Memory.empty)
  const sent = new Set<number>()
  const apply = (change: ClientCode.Memory.Change): void => {
    Memory.apply(ledger, change)
    if (change._tag !== "Sent") return
    for (const { frame } of change.events) sent.add(JSON.parse(frame).data)
  }
  return {
    get last() {
      return ledger.last
    },
    sent,
    in: (save: (change: () => void) => Effect.Effect<void>) => ({
      load: () =>
        Effect.map(
          save(() => {}),
          () => Memory.toRemembered(ledger),
        ),
      save: (_: ClientId, changes: ReadonlyArray<ClientCode.Memory.Change>) => save(() => changes.forEach(apply)),
    }),
  }
}

/** The client's end of a simulated socket. */
const transportOf = (
  { ConnectionClosed }: Code["client"],
  dial: (url: string, answer: (end: End | undefined) => void) => () => void,
): ClientCode.Transport.TransportShape => ({
  connect: Effect.fnUntraced(function* (url) {
    const closed = (close: number, reason: string) => new ConnectionClosed({ close, reason })
    const frames = yield* Queue.unbounded<string, ClientCode.ConnectionClosed>()
    let isOpen = true
    const dialled = Effect.callback<End, ClientCode.ConnectionClosed>((resume) => {
      const giveUp = dial(url, (end) =>
        resume(end === undefined ? Effect.fail(closed(abnormal, "nobody listens")) : Effect.succeed(end)),
      )
      return Effect.sync(giveUp)
    })
    const end = yield* Effect.acquireRelease(dialled, (end) => Effect.sync(() => end.close(1000, "")))
    end.listen({
      text: (text) => Queue.offerUnsafe(frames, text),
      drained: () => {},
      closed: (code, reason) => {
        isOpen = false
        Queue.failCauseUnsafe(frames, Cause.fail(closed(code, reason)))
      },
    })
    return {
      read: Queue.takeAll(frames),
      write: (texts) =>
        Effect.suspend(() => {
          if (!isOpen) return Effect.fail(closed(abnormal, "the socket is closed"))
          for (const text of texts) end.send(text)
          return Effect.void
        }),
    }
  }),
})
