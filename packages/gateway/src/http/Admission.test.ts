import { assert, describe, it } from "@effect/vitest"
import { type AdmissionRules, admit, type Asked } from "./Admission.ts"

const page = "https://page.example"
const onLoopback: AdmissionRules = { origins: [], hosts: [] }
const anywhere: AdmissionRules = { origins: [], hosts: undefined }
const named: AdmissionRules = { origins: [page, "capacitor://localhost"], hosts: ["nimbus.example", "fd00::1"] }
const all: AdmissionRules = { origins: ["*"], hosts: undefined }

const of = (rules: AdmissionRules, asked: Partial<Asked>): string => {
  const request = { method: "GET", path: "/v1/stream", host: "127.0.0.1:3000", hasBody: false, asksFirst: false }
  const nothing = { origin: undefined, site: undefined, contentType: undefined }
  const admission = admit({ ...request, ...nothing, ...asked }, rules)
  if (admission._tag === "Refused") return `${admission.status} ${admission.code}`
  return admission.readableBy === undefined ? admission._tag : `${admission._tag} ${admission.readableBy}`
}

const host = "403 HOST_NOT_ALLOWED"
const origin = "403 ORIGIN_NOT_ALLOWED"
const type = "415 UNSUPPORTED_MEDIA_TYPE"

const stream = { path: "/v1/stream" }
const poll = { path: "/socket.io/" }
const message = { method: "POST", path: "/v1/clients/c1/messages", hasBody: true, contentType: "application/json" }
const kick = { method: "POST", path: "/v1/admin/clients/c1/kick" }
const status = { path: "/v1/admin/status" }
const evil = { origin: "http://evil.example" }
const here = { origin: "http://127.0.0.1:3000" }

describe("admit", () => {
  it.each([
    [stream, "Pass"],
    [poll, "Pass"],
    [message, "Pass"],
    [kick, "Pass"],
    [status, "Pass"],
    [{ ...stream, host: undefined }, "Pass"],
  ])("a program, which names no origin, may ask: %j", (asked, outcome) => {
    for (const rules of [onLoopback, anywhere, named, all]) assert.strictEqual(of(rules, asked), outcome)
  })

  it.each(
    [stream, poll, message, kick, status, { path: "/" }].flatMap((asked) => [
      { ...asked, ...here },
      { ...asked, ...here, site: "same-origin" },
      { ...asked, site: "same-origin" },
      { ...asked, site: "none" },
      { ...asked, host: "localhost", origin: "http://localhost" },
      { ...asked, host: "[::1]:3000", origin: "http://[::1]:3000" },
      // TLS ends at a balancer, which may name the default port.
      { ...asked, host: "localhost:443", origin: "https://localhost" },
    ]),
  )("a page of the same origin may ask, whatever the settings are: %j", (asked) => {
    for (const rules of [onLoopback, anywhere, named]) assert.strictEqual(of(rules, asked), "Pass")
  })

  it.each(
    [stream, poll, message, kick, status, { path: "/v1/clients/c1/results" }].flatMap((asked) => [
      { ...asked, ...evil },
      { ...asked, ...evil, site: "cross-site" },
      { ...asked, origin: "null" },
      { ...asked, origin: "" },
      { ...asked, origin: "http://127.0.0.1:3001", site: "same-site" },
      { ...asked, origin: "http://localhost:3000" },
      { ...asked, origin: "http://127.0.0.1:3000.evil.example" },
      { ...asked, origin: "capacitor://127.0.0.1:3000" },
      { ...asked, origin: `${here.origin}, ${evil.origin}` },
      { ...asked, ...here, host: undefined },
    ]),
  )("a page of another origin may not: %j", (asked) => {
    for (const rules of [onLoopback, anywhere, named]) assert.strictEqual(of(rules, asked), origin)
  })

  it.each([
    [{ ...stream, origin: page }, `Pass ${page}`],
    [{ ...poll, origin: page, site: "cross-site" }, `Pass ${page}`],
    [{ ...message, origin: page }, `Pass ${page}`],
    [{ ...stream, origin: "capacitor://localhost" }, "Pass capacitor://localhost"],
    [{ ...stream, origin: "https://page.example:444" }, origin],
    [{ ...stream, origin: "http://page.example" }, origin],
    [{ ...stream, origin: "https://sub.page.example" }, origin],
    [{ ...kick, origin: page }, origin],
    [{ ...status, origin: page }, origin],
  ])("of the origins that are named: %j: %s", (asked, outcome) => {
    assert.strictEqual(of(named, asked), outcome)
  })

  it.each([
    [{ ...message, ...evil }, "Pass *"],
    [{ ...stream, origin: "null" }, "Pass *"],
    [{ ...poll, site: "cross-site" }, "Pass"],
    [{ ...message, ...here }, "Pass"],
    [{ ...kick, ...evil }, origin],
    [{ ...status, origin: "null" }, origin],
  ])("a star stands for all of them, but not in the admin API: %j: %s", (asked, outcome) => {
    assert.strictEqual(of(all, asked), outcome)
  })

  it.each(
    ["cross-site", "same-site"].flatMap(
      (site) =>
        [
          [{ path: "/", site }, "Pass"],
          [{ path: "/socket.io/socket.io.js", site }, "Pass"],
          [{ ...poll, site }, origin],
          [{ ...message, site }, origin],
          [{ ...status, site }, origin],
          [{ ...kick, site }, origin],
        ] as const,
    ),
  )(
    "what a browser says of a page without its origin counts where the request does something: %j: %s",
    (asked, outcome) => {
      for (const rules of [onLoopback, anywhere, named]) assert.strictEqual(of(rules, asked), outcome)
    },
  )

  it.each([
    "/v1/admin",
    "/v1/admin/",
    "//v1//admin/status",
    "/V1/Admin/status",
    "/v1/%61dmin/status",
    "/v1/admin%2fstatus",
    "/v1/admin/clients/%ff%61",
    "/v1/admin;x/status",
  ])("the admin API is found however it is spelled: %s", (path) => {
    assert.strictEqual(of(all, { path, ...evil }), origin)
    assert.strictEqual(of(all, { path: "/v1/administrators", ...evil }), "Pass *")
  })

  it.each([
    ["127.0.0.1:3000", "Pass"],
    ["127.8.9.10", "Pass"],
    ["localhost:80", "Pass"],
    ["LOCALHOST.", "Pass"],
    ["page.localhost:3000", "Pass"],
    ["[::1]:3000", "Pass"],
    ["evil.example:3000", host],
    ["evil.example", host],
    ["127.0.0.1.evil.example", host],
    ["localhost.evil.example", host],
    ["notlocalhost", host],
    ["192.0.2.1:3000", host],
    ["0.0.0.0:3000", host],
    ["localhost@evil.example", host],
    ["evil.example#localhost", host],
    ["", host],
  ] as const)("at a loopback address the Host %j comes to %s", (name, outcome) => {
    // A page that was made to lead here is of the same origin.
    for (const asked of [stream, poll, message, kick, { path: "/" }]) {
      assert.strictEqual(of(onLoopback, { ...asked, host: name, origin: undefined }), outcome)
      assert.strictEqual(of(anywhere, { ...asked, host: name }), "Pass")
    }
  })

  it.each([
    ["nimbus.example", "Pass"],
    ["NIMBUS.example.:8080", "Pass"],
    ["[fd00:0::1]:3000", "Pass"],
    ["localhost:3000", "Pass"],
    ["sub.nimbus.example", host],
    ["evil.example", host],
  ] as const)("where names are set the Host %j comes to %s", (name, outcome) => {
    assert.strictEqual(of(named, { ...stream, host: name }), outcome)
    assert.strictEqual(of(named, { ...status, host: name, origin: `http://${name.toLowerCase()}` }), outcome)
  })

  it.each(["/healthz", "/readyz", "/metrics"])("health and metrics are answered to whoever asks: %s", (path) => {
    assert.strictEqual(of(onLoopback, { path, host: "10.0.0.7:3000", ...evil, site: "cross-site" }), "Pass")
    assert.strictEqual(of(onLoopback, { path: `${path}/`, host: "10.0.0.7:3000" }), host)
  })

  it.each([
    ["application/json", "Pass"],
    ["Application/JSON; charset=utf-8", "Pass"],
    ["application/json;charset=utf-8", "Pass"],
    [undefined, type],
    ["", type],
    ["text/plain", type],
    ["text/plain; application/json", type],
    ["text/plain;charset=UTF-8", type],
    ["application/x-www-form-urlencoded", type],
    ["multipart/form-data; boundary=x", type],
    ["application/json-seq", type],
    ["application/json, text/plain", type],
  ] as const)("a body as %j comes to %s", (contentType, outcome) => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      assert.strictEqual(of(onLoopback, { ...message, method, contentType }), outcome)
      assert.strictEqual(of(onLoopback, { ...kick, method, contentType, hasBody: true }), outcome)
    }
    // Socket.IO's polling.
    assert.strictEqual(of(onLoopback, { ...poll, method: "POST", contentType, hasBody: true }), "Pass")
  })

  it("nothing to be sent needs no type, and an empty form is a form", () => {
    assert.strictEqual(of(onLoopback, kick), "Pass")
    assert.strictEqual(of(onLoopback, { ...kick, contentType: "application/x-www-form-urlencoded" }), type)
    assert.strictEqual(of(onLoopback, { ...stream, contentType: "text/plain" }), "Pass")
  })

  it.each([
    [{ ...message, origin: page }, `Preflight ${page}`],
    [{ ...poll, origin: page }, `Preflight ${page}`],
    [{ ...message, origin: page, asksFirst: false }, `Pass ${page}`],
    [{ ...message, ...evil }, origin],
    [{ ...kick, origin: page }, origin],
    [{ ...message, ...here }, "Pass"],
  ])("a browser that asks whether it may: %j: %s", (asked, outcome) => {
    assert.strictEqual(of(named, { asksFirst: true, ...asked, method: "OPTIONS" }), outcome)
  })
})
