import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { ClientId } from "../protocol/Ids.ts"
import * as Subject from "./Subject.ts"

const first = (name: string): Subject.Subject => ({ issuer: undefined, name })

/** Texts that are near the marks of the mapping, and any others. */
const Name = Schema.Union([
  Schema.NonEmptyString,
  Schema.TemplateLiteral([Schema.Literals(["sub.", "at.", "at.a.", "::", ":", "a::", ""]), Schema.String]),
])
const AnySubject = Schema.Struct({ issuer: Schema.UndefinedOr(Schema.Literals(["a", "a-1", "sub"])), name: Name })
const Spelled = Schema.Array(Schema.Literals(["sub", "at", ".", ":", "::", "7C", "7c", "a", "b", "E4", "A4", "_"]))

describe("Subject", () => {
  it.each([
    ["alice@example.com", undefined, "alice@example.com"],
    ["auth0|123", undefined, "sub.auth0:7C123"],
    ["sub.alice", undefined, "sub.sub.alice"],
    ["at.home", undefined, "sub.at.home"],
    ["a:b", undefined, "sub.a:3Ab"],
    ["ä", undefined, "sub.:C3:A4"],
    ["alice", "partners", "at.partners.alice"],
    ["a|b", "partners", "at.partners.a:7Cb"],
  ])("names the client of %s", (name, issuer, id) => {
    assert.deepStrictEqual(Subject.clientIdOf({ issuer, name }), Result.succeed(ClientId.make(id)))
  })

  it("has no client for what is empty, too long, or no text", () => {
    for (const name of ["", "x".repeat(129), "|".repeat(42), "\ud800"]) {
      assert.isTrue(Result.isFailure(Subject.clientIdOf(first(name))), name)
    }
    assert.isTrue(Result.isSuccess(Subject.clientIdOf(first("x".repeat(128)))))
  })

  it.prop("gives each subject back from its client id", { subject: AnySubject }, ({ subject }) => {
    const id = Subject.clientIdOf(subject)
    if (Result.isSuccess(id)) {
      assert.deepStrictEqual(Subject.subjectOf(id.success), { ...subject, device: undefined })
      assert.isFalse(id.success.includes(Subject.deviceMark))
    }
  })

  it.prop("gives no two subjects one client id", { spelled: Spelled }, ({ spelled }) => {
    const id = spelled.join("")
    if (!Schema.is(ClientId)(id)) return
    const subject = Subject.subjectOf(id)
    if (subject === undefined) return
    const own = Result.getOrThrow(Subject.clientIdOf(subject))
    assert.strictEqual(subject.device === undefined ? own : Subject.deviceIdOf(own, subject.device), id)
  })

  it("names devices of a subject, which no other subject has", () => {
    const alice = ClientId.make("alice")
    const phone = Subject.deviceIdOf(alice, "phone")
    assert.strictEqual(phone, "alice::phone")
    assert.deepStrictEqual(Subject.subjectOf(ClientId.make("alice::phone")), { ...first("alice"), device: "phone" })
    assert.notDeepEqual(Subject.clientIdOf(first("alice::phone")), Result.succeed(ClientId.make("alice::phone")))
    for (const device of ["", "a b", "x".repeat(128)]) assert.isUndefined(Subject.deviceIdOf(alice, device))
  })

  it.each([
    "sub.alice",
    "sub.a:7cb",
    "sub.a:7",
    "sub.a:C3",
    "sub.",
    "at.partners.",
    "at.PARTNERS.a",
    "a:b",
    "::",
    "a::",
  ])("finds no subject in %s", (id) => {
    assert.isUndefined(Subject.subjectOf(ClientId.make(id)))
  })
})
