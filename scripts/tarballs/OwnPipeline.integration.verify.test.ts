/**
 * A cluster as an application has it that installed the tarballs: a pipeline of its own, with a handler and a task, in a
 * TypeScript program outside of this workspace, and a gateway, on real services.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, inject, it } from "@effect/vitest"
import { topicsOf } from "../services/Topics.ts"
import { freePorts, until } from "../services/Tools.ts"
import { environment, makeProject, type Project, root, run } from "./Project.ts"

const { kafka, redis } = inject("services")

const pipeline = `
import { Handlers } from "@nimbus/domain"
import * as Pipeline from "@nimbus/server/pipeline"
import { Effect, Schema, Stream } from "effect"

const order = Handlers.make("order", {
  input: Schema.String,
  output: Schema.String,
  handler: (item) => Effect.succeed(\`a receipt for \${item}\`),
})

const tell = Handlers.task("tell", {
  input: Schema.String,
  part: Schema.String,
  handler: (hero) => Stream.make("once upon a time ", hero),
})

Pipeline.main([order, tell])
`

/** Prints the result of an event, and the parts of a task up to its end. */
const client = (port: number | undefined) => `
import { connect } from "@nimbus/client"
const client = await connect({ url: "ws://127.0.0.1:${port}", clientId: "own", onResult: () => {} })
const { data } = await client.request("order", "tea")
const parts = []
for await (const part of client.stream("tell", "Ada")) parts.push(part)
console.log(JSON.stringify([data, ...parts]))
await client.close()
`

/** What the processes of a cluster ask for. */
const libraries = (): ReadonlyArray<string> => {
  const { peerDependencies }: { readonly peerDependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(root, "packages/adapters/package.json"), "utf8"),
  )
  const isOfCluster = (name: string) => /kafkajs|ioredis|crc32|lz4|snappy|redis-streams/.test(name)
  return Object.entries(peerDependencies).flatMap(([name, range]) => (isOfCluster(name) ? [`${name}@${range}`] : []))
}

describe.skipIf(kafka === undefined || redis === undefined)("a pipeline of one's own from the tarballs", () => {
  const name = `tarballs-${process.pid}`
  const settings = {
    NIMBUS_KAFKA_BROKERS: kafka?.brokers ?? "",
    NIMBUS_REDIS_ADDRESS: redis?.address ?? "",
    NIMBUS_REDIS_PREFIX: name,
    NIMBUS_PARTITIONS: "3",
    ...topicsOf(name),
  }
  const children: Array<ChildProcess> = []
  let project: Project

  /** A process of the cluster, once it is ready. */
  const start = async (port: number | undefined, env: Readonly<Record<string, string>>, ...args: Array<string>) => {
    const { directory: cwd } = project
    const child = spawn(process.execPath, args, { cwd, env: environment(process.execPath, { ...settings, ...env }) })
    children.push(child)
    let printed = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (some: Buffer) => (printed += some.toString()))
    const isReady = () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    const ready = await until(async () => child.exitCode !== null || (await isReady()), 90_000)
    assert.isTrue(ready && child.exitCode === null, printed)
    return child
  }

  beforeAll(async () => {
    await run({ cwd: root }, process.execPath, join(root, "scripts/pack/main.ts"))
    project = makeProject()
    const tarballs = join(root, "dist/tarballs")
    await project.install(...readdirSync(tarballs).map((file) => join(tarballs, file)), ...libraries())
    project.write("pipeline.ts", pipeline)
  }, 300_000)

  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL")
    project?.remove()
  })

  it("runs its handler and its task for a client of the gateway, and leaves when it is told to", async () => {
    const [port, grpc, health] = await freePorts(3)
    const own = await start(health, { NIMBUS_PIPELINE_HTTP_PORT: `${health}` }, "pipeline.ts")
    const gateway = "node_modules/@nimbus/server/dist/cluster/gateway.js"
    await start(port, { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: `${grpc}` }, gateway)
    project.write("client.mjs", client(port))
    const said = await run({ cwd: project.directory }, process.execPath, "client.mjs")
    assert.deepStrictEqual(JSON.parse(said), ["a receipt for tea", "once upon a time ", "Ada"])
    const ended = new Promise((resolve) => own.once("close", resolve))
    own.kill("SIGTERM")
    assert.strictEqual(await ended, 0)
  })
})
