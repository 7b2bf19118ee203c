import { assert, describe, it } from "@effect/vitest"
import { auditLimits } from "../Limits.ts"
import { AuditBook, type AuditEntry } from "./AuditBook.ts"

const login = {
  action: "login",
  outcome: "OK",
  issuer: "https://issuer.test",
  subject: "alice",
  address: "192.0.2.1",
  transport: "/v1/stream",
} satisfies AuditEntry
const refused = { ...login, action: "refused", outcome: "FORBIDDEN", detail: "send:order" } satisfies AuditEntry
const { audit_join_ms } = auditLimits

describe("AuditBook", () => {
  it("gives the first of a kind at once, and its repeats as one entry with their number", () => {
    const book = new AuditBook(auditLimits)
    book.take(login, 1_000)
    assert.deepStrictEqual(book.drain().entries, [{ ...login, time: 1_000 }])
    for (let i = 1; i <= 5; i++) book.take(login, 1_000 + i)
    book.take(refused, 2_000)
    assert.deepStrictEqual(book.drain().entries, [{ ...refused, time: 2_000 }])
    book.close(1_000 + audit_join_ms - 1)
    assert.deepStrictEqual(book.drain().entries, [])
    book.close(1_000 + audit_join_ms)
    const joined = { ...login, time: 1_005, repeats: { count: 5, since: 1_001 } }
    assert.deepStrictEqual(book.drain().entries, [joined])
    // After its span the next one is a first again.
    book.take(login, 100_000)
    assert.deepStrictEqual(book.drain().entries, [{ ...login, time: 100_000 }])
  })

  it("counts each entry once, whatever comes when", () => {
    const book = new AuditBook({ ...auditLimits, audit_join_ms: 100 })
    let [taken, told] = [0, 0]
    const tell = () => {
      for (const { repeats } of book.drain().entries) told += repeats?.count ?? 1
    }
    for (let now_ms = 0; now_ms < 5_000; now_ms += 7) {
      for (const subject of ["a", "b", "c"].slice(0, now_ms % 4)) {
        book.take({ ...login, subject }, now_ms)
        taken++
      }
      if (now_ms % 3 === 0) tell()
    }
    book.close(Infinity)
    tell()
    assert.strictEqual(told, taken)
  })

  it("drops the oldest beyond its bound, counts them, and keeps no more kinds than that", () => {
    const book = new AuditBook({ ...auditLimits, audit_waiting: 100 })
    for (let i = 0; i < 1_000; i++) book.take({ ...login, subject: `s${i}` }, i)
    assert.isAtMost(book.size.waiting, 100)
    assert.isAtMost(book.size.kinds, 100)
    const { dropped, entries } = book.drain()
    assert.strictEqual(dropped + entries.length, 1_000)
    assert.strictEqual(entries.at(-1)?.subject, "s999")
    book.putBack(entries)
    book.take({ ...login, subject: "later" }, 1_000)
    assert.strictEqual(book.drain().entries.at(-1)?.subject, "later")
  })

  it("keeps no token, no control characters and no text without end", () => {
    const book = new AuditBook(auditLimits)
    const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
    book.take({ ...refused, detail: `send:${token}`, subject: "a\u001b[2J\nb\u202e", clientId: "x".repeat(10_000) }, 0)
    const [entry] = book.drain().entries
    assert.strictEqual(entry?.detail, "send:(a token)")
    assert.strictEqual(entry?.subject, "a [2J b ")
    assert.strictEqual(entry?.clientId?.length, auditLimits.audit_chars + 1)
  })
})
