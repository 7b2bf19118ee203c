import { assert, describe, it } from "@effect/vitest"
import { clientAddresses, isProxy, type Origins } from "./ClientAddress.ts"

const none: Origins = { peer: undefined, forwardedFor: undefined, forwarded: undefined }
const keyOf = (trusted: ReadonlyArray<string>, origins: Partial<Origins>) =>
  clientAddresses(trusted)({ ...none, ...origins }).client?.key

describe("ClientAddress", () => {
  it.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::FFFF:c000:207", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ])("%s is counted as %s", (peer, key) => {
    assert.strictEqual(keyOf([], { peer }), key)
  })

  it.each(["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])("%s is this machine, and not counted", (peer) => {
    assert.isUndefined(keyOf([], { peer }))
  })

  it("hears headers of nobody who is not trusted", () => {
    const headers = { forwardedFor: "192.0.2.7", forwarded: "for=192.0.2.7" }
    assert.strictEqual(keyOf([], { peer: "198.51.100.1", ...headers }), "198.51.100.1")
    assert.strictEqual(keyOf(["203.0.113.0/24"], { peer: "198.51.100.1", ...headers }), "198.51.100.1")
    assert.isUndefined(keyOf([], { peer: "127.0.0.1", ...headers }))
  })

  it.each([
    ["what the client itself wrote stands further left", "1.1.1.1, 192.0.2.7", "192.0.2.7"],
    ["proxies in a row", "1.1.1.1, 192.0.2.7, 10.1.2.3, 10.9.9.9", "192.0.2.7"],
    ["with a port", "192.0.2.7:4711", "192.0.2.7"],
    ["IPv6 with a port", "[2001:db8::1]:4711", "2001:db8:0:0::/64"],
    ["IPv6 without", "2001:db8::1", "2001:db8:0:0::/64"],
    ["a proxy that does not know", "192.0.2.7, unknown", undefined],
    ["only proxies", "10.1.2.3", undefined],
    ["nothing", "", undefined],
  ])("takes the rightmost of X-Forwarded-For that is no trusted proxy: %s", (_, forwardedFor, key) => {
    assert.strictEqual(keyOf(["10.0.0.0/8"], { peer: "10.0.0.1", forwardedFor }), key)
    assert.strictEqual(keyOf(["uniquelocal"], { peer: "::ffff:10.0.0.1", forwardedFor }), key)
  })

  it("takes Forwarded where there is no X-Forwarded-For", () => {
    const of = (forwarded: string) => keyOf(["loopback"], { peer: "127.0.0.1", forwarded })
    assert.strictEqual(of("for=1.1.1.1, proto=https;For=192.0.2.7;by=127.0.0.1"), "192.0.2.7")
    assert.strictEqual(of('for="[2001:db8:cafe::17]:4711"'), "2001:db8:cafe:0::/64")
    assert.strictEqual(of('for="192.0.2.7:80", for=127.0.0.1'), "192.0.2.7")
    assert.isUndefined(of("for=_hidden"))
  })

  it("does not count a trusted proxy itself, whatever it asks", () => {
    const { client, isProxied } = clientAddresses(["192.0.2.1"])({ ...none, peer: "192.0.2.1" })
    assert.deepStrictEqual([client, isProxied], [undefined, true])
  })

  it.each([
    ["loopback", true],
    ["10.0.0.0/8", true],
    ["192.0.2.1", true],
    ["2001:db8::/32", true],
    ["10.0.0.0/33", false],
    ["10.0.0/8", false],
    ["10.0.0.0/8/8", false],
    ["10.0.0.0/", false],
    ["proxy.example", false],
    ["", false],
  ])("knows whether %s names proxies", (text, is) => {
    assert.strictEqual(isProxy(text), is)
  })
})
