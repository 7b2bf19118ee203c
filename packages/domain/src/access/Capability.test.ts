import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { ClientId } from "../protocol/Ids.ts"
import { defaults, Grants } from "./Capability.ts"

const alice = ClientId.make("alice")
const grants = (...capabilities: ReadonlyArray<string>) => Result.getOrThrow(Grants.parse(capabilities, alice))

describe("Grants", () => {
  it("allow nothing where nothing is granted", () => {
    assert.isFalse(grants().may("read"))
    assert.isFalse(grants().mayOf("connect", "alice"))
    assert.isFalse(Grants.none.mayOf("send", "a"))
  })

  it("allow by default to be oneself, to read, to ack and to send any event, and nothing else", () => {
    const own = grants(...defaults)
    assert.isTrue(own.mayOf("connect", "alice"))
    assert.isTrue(own.mayOf("send", "order.created"))
    assert.isTrue(own.may("read") && own.may("ack"))
    for (const id of ["bob", "alice2", "alice::phone", "Alice"]) assert.isFalse(own.mayOf("connect", id), id)
    for (const other of ["cancel", "broadcast", "archive:read", "journey", "admin:viewer"] as const) {
      assert.isFalse(own.may(other), other)
    }
    for (const other of ["room:join", "room:publish", "room:history", "publish"] as const) {
      assert.isFalse(own.mayOf(other, "alice"), other)
    }
  })

  it("allow what begins as a target that ends with a star", () => {
    const some = grants("send:order.*", "send:ping", "room:join:*")
    for (const name of ["order.", "order.created", "ping"]) assert.isTrue(some.mayOf("send", name), name)
    for (const name of ["order", "orders", "pong", "ping2", ""]) assert.isFalse(some.mayOf("send", name), name)
    assert.isTrue(some.mayOf("room:join", "any:room"))
    assert.isFalse(some.mayOf("room:publish", "any:room"))
  })

  it("take {sub} for the subject itself, and {sub}/* for its devices", () => {
    const devices = grants("connect:{sub}/*", "room:join:{sub}", "publish:{sub}/phone")
    assert.isTrue(devices.mayOf("connect", "alice::phone"))
    for (const id of ["alice", "alice:phone", "alice2::phone", "{sub}::phone"]) {
      assert.isFalse(devices.mayOf("connect", id), id)
    }
    assert.isTrue(devices.mayOf("room:join", "alice"))
    assert.isTrue(devices.mayOf("publish", "alice::phone"))
  })

  it("take {sub} in the middle of a target for what is written there", () => {
    assert.isFalse(grants("room:join:of-{sub}").mayOf("room:join", "of-alice"))
  })

  it("let an owner do all that operators may, and no other role what is not its own", () => {
    for (const role of ["viewer", "operator", "publisher", "owner"] as const) {
      assert.isTrue(grants("admin:owner").may(`admin:${role}`), role)
    }
    assert.isFalse(grants("admin:operator").may("admin:owner"))
    assert.isFalse(grants("admin:operator").may("admin:publisher"))
    assert.isFalse(grants("admin:owner").may("read"))
  })

  it("allow everything but the admin API where there are no locks", () => {
    assert.isTrue(Grants.all.may("read"))
    assert.isTrue(Grants.all.mayOf("publish", "bob"))
    assert.isFalse(Grants.all.may("admin:viewer"))
  })

  it.each([
    "",
    "reed",
    "read:",
    "read:x",
    "connect",
    "connect:",
    "room:",
    "room:leave:x",
    "admin:root",
    "*",
    "send",
    "Send:a",
  ])("refuse %j, which is no capability, by its text", (text) => {
    assert.deepStrictEqual(Grants.parse(["read", text], alice), Result.fail(text))
  })
})
