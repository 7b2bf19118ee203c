/** Runs the handlers in Nimbus, in this process and in memory, and asks them as a client does. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import { connect } from "@nimbus/client"
import { Handlers } from "@nimbus/domain"
import { Nimbus } from "@nimbus/server"
import { Layer, ManagedRuntime } from "effect"
import { greet, tell } from "./handlers.ts"

const nimbus = ManagedRuntime.make(Nimbus.layerMemory().pipe(Layer.provide(Handlers.layer([greet, tell]))))
const client = await connect({ url: await nimbus.runPromise(Nimbus.url), clientId: "ada", onResult: () => {} })

after(async () => {
  await client.close()
  await nimbus.dispose()
})

test("greets by name", async () => {
  const { data } = await client.request("greet", { name: "Ada" })
  assert.deepEqual(data, { text: "Hello, Ada!" })
})

test("tells a story in parts", async () => {
  const parts = []
  for await (const part of client.stream("tell", { hero: "Ada" })) parts.push(part)
  assert.equal(parts.join(""), "Once upon a time Ada went out to sea, and came back with a story.")
})
