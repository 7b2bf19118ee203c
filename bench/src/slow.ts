/**
 * `npm run bench:slow`: what slow handlers of some clients cost the others. The server of `handlers.ts` in a process of its
 * own, on LMDB; `npm run bench:slow -- kafka`: its log on a Kafka broker of its own.
 *
 * | row | what is measured |
 * | --- | --- |
 * | quick alone | the time of an event whose handler answers at once, while nothing else happens |
 * | beside 3 s | the same of the other clients while one client's handler sleeps 3 s |
 * | beside 1,000 × 50 ms | the same while one client has 1,000 events of 50 ms in the log |
 * | connect beside 3 s | from connecting to LIVE and the first result, of new clients, while one handler sleeps 3 s; and alone |
 * | io | handlers of 5 to 50 ms, 1 in 100: 1 s: events per second, beside the ideal, which is that of handlers alone; with one event under way for each client, whose way through the log counts too, and with four, of which the next one waits already |
 */
import { Client, Memory } from "@nimbus/client"
import { Effect, Fiber } from "effect"
import { startServices } from "../../scripts/services/Services.ts"
import { tellLoad } from "./Figures.ts"
import { ideal_per_second } from "./Io.ts"
import { quantile } from "./Load.ts"
import { type Running, startHandlers } from "./Processes.ts"

const port = 3910
const clients = 40
const rounds = 10
const hog_events = 1_000
const slow_ms = 3_000
const io_measure_ms = 10_000

const ms = (n: number): string => `${n.toFixed(1)} ms`

type Times = ReadonlyArray<number>

const wait_ms = (client: Client.Client, ms: number) =>
  Effect.gen(function* () {
    const from = performance.now()
    yield* client.request("wait", { ms })
    return performance.now() - from
  })

const open = Effect.fnUntraced(function* (base: string, clientId: string) {
  const client = yield* Client.make({ url: base, clientId }).pipe(Effect.provide(Memory.layerMemory))
  yield* Effect.forkScoped(client.run(() => Effect.void))
  return client
})

/** Each of them, some times, one event under way for each. */
const quick = (some: ReadonlyArray<Client.Client>) =>
  Effect.map(
    Effect.forEach(some, (client) => Effect.forEach(Array.from({ length: rounds }), () => wait_ms(client, 0)), {
      concurrency: "unbounded",
    }),
    (all): Times => all.flat(),
  )

/** Events per second, of all of them together; each has `under_way` events on their way. */
const io = Effect.fnUntraced(function* (some: ReadonlyArray<Client.Client>, under_way: number) {
  let finished = 0
  const until = performance.now() + io_measure_ms
  const send = Effect.fnUntraced(function* (client: Client.Client, i: number) {
    for (let number = i * 997; performance.now() < until; number++) {
      yield* client.request("io", { number })
      if (performance.now() < until) finished++
    }
  })
  const senders = some.flatMap((client, i) =>
    Array.from({ length: under_way }, (_, n) => send(client, i * under_way + n)),
  )
  yield* Effect.all(senders, { concurrency: "unbounded", discard: true })
  return (finished * 1000) / io_measure_ms
})

const connecting = (base: string, prefix: string) =>
  Effect.forEach(
    Array.from({ length: clients }, (_, i) => `${prefix}-${i}`),
    (clientId) =>
      Effect.scoped(
        Effect.gen(function* () {
          const from = performance.now()
          yield* wait_ms(yield* open(base, clientId), 0)
          return performance.now() - from
        }),
      ),
    { concurrency: 4 },
  )

const measure = Effect.fnUntraced(function* ({ base }: Running) {
  const rows: Array<Readonly<Record<string, string>>> = []
  const tell = (what: string, times: Times) => {
    const [p50, p99, max] = [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)].map(ms)
    rows.push({ what, p50: p50 ?? "", p99: p99 ?? "", max: max ?? "" })
    console.error(JSON.stringify(rows.at(-1)))
  }
  const all = yield* Effect.forEach(
    Array.from({ length: clients }, (_, i) => `c${i}`),
    (id) => open(base, id),
  )
  const [hog, ...others] = all
  if (hog === undefined) return rows
  yield* quick(all)
  tell("quick alone", yield* quick(others))

  const whileOneSleeps = (measured: Effect.Effect<Times, unknown>) =>
    Effect.gen(function* () {
      const sleeping = yield* Effect.forkChild(wait_ms(hog, slow_ms), { startImmediately: true })
      yield* Effect.sleep(50)
      const times = yield* measured
      if (sleeping.pollUnsafe() !== undefined) console.error("it slept no longer than was measured")
      yield* Fiber.join(sleeping)
      return times
    })
  tell("beside 3 s", yield* whileOneSleeps(quick(others)))
  tell("connect alone", yield* connecting(base, "a"))
  tell("connect beside 3 s", yield* whileOneSleeps(connecting(base, "b")))
  const ideal = ideal_per_second(clients)
  for (const under_way of [1, 4]) {
    const per_s = yield* io(all, under_way)
    const share = (per_s / ideal).toFixed(3)
    console.error(`io, ${under_way} under way: ${per_s.toFixed(0)}/s, ${share} of the ideal ${ideal.toFixed(0)}/s`)
  }
  yield* hog.sendAll(Array.from({ length: hog_events }, () => ({ name: "wait", data: { ms: 50 } })))
  tell("beside 1,000 × 50 ms", yield* quick(others))
  return rows
}, Effect.scoped)

const [where] = process.argv.slice(2)
const services = where === "kafka" ? await startServices(["kafka"]) : undefined
tellLoad("before")
const running = await startHandlers(port, { ...services?.environment, NIMBUS_STORAGE: "none" })
try {
  console.table(await Effect.runPromise(measure(running)))
} finally {
  await running.stop()
  await services?.stop()
}
process.exit(0)
