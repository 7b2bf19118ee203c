import { assert, describe, it } from "@effect/vitest"
import { seqUnsafe, start } from "@nimbus/domain/protocol"
import type { MailboxStats } from "@nimbus/domain/services"
import { subjectLimits } from "../Limits.ts"
import { MailBook } from "./MailBook.ts"

const limits = {
  ...subjectLimits,
  mail_bytes: 1_000,
  mail_messages: 50,
  mail_settle_ms: 10_000,
  mail_pairs: 10,
  connections_retry_ms: 5_000,
}

const full: MailboxStats = { acked: start, floor: start, bytes: 1_000_000, results: 1_000 }
const empty: MailboxStats = { ...full, bytes: 0, results: 0 }

/** Sends as many as it may, of 100 bytes each, with seqs from `seq` on. */
const flood = (book: MailBook, owner: string, client: string, now_ms: number, seq = 0): number => {
  for (let sent = 0; ; sent++) {
    const taken = book.take(owner, client, { messages: 1, bytes: 100 }, now_ms)
    if (taken === undefined) return sent
    taken.stored(seq + sent)
  }
}

describe("MailBook", () => {
  it("lets a sender have its share of a mailbox, and takes none from another sender or client", () => {
    const book = new MailBook(limits)
    assert.strictEqual(flood(book, "mallory", "bob", 0), 10)
    assert.strictEqual(flood(book, "alice", "bob", 0), 10)
    assert.strictEqual(flood(book, "mallory", "carol", 0), 10)
  })

  it("has room again for what the client has acknowledged, or the mailbox has let go", () => {
    const book = new MailBook(limits)
    flood(book, "mallory", "bob", 0)
    book.settle("mallory", "bob", { ...full, acked: seqUnsafe(3) }, 1)
    assert.strictEqual(flood(book, "mallory", "bob", 1, 10), 4)
    book.settle("mallory", "bob", { ...full, floor: seqUnsafe(11) }, 2)
    assert.strictEqual(flood(book, "mallory", "bob", 2, 20), 8)
  })

  it("waits until what it has sent must have come, and then believes a mailbox that does not have it", () => {
    const book = new MailBook(limits)
    flood(book, "mallory", "bob", 0)
    assert.deepStrictEqual(book.settle("mallory", "bob", empty, 4_000), { retry_ms: 6_000 })
    assert.strictEqual(flood(book, "mallory", "bob", 4_000), 0)
    assert.deepStrictEqual(book.settle("mallory", "bob", full, 10_000), { retry_ms: 5_000 })
    assert.strictEqual(flood(book, "mallory", "bob", 10_000), 0)
    book.settle("mallory", "bob", { ...full, bytes: 300 }, 10_000)
    assert.strictEqual(flood(book, "mallory", "bob", 10_000), 7)
    book.settle("mallory", "bob", empty, 20_000)
    assert.strictEqual(book.size, 0)
  })

  it("counts what is on its way, and not what has failed", () => {
    const book = new MailBook(limits)
    const taken = book.take("mallory", "bob", { messages: 1, bytes: 900 }, 0)
    assert.isUndefined(book.take("mallory", "bob", { messages: 1, bytes: 200 }, 0))
    book.settle("mallory", "bob", { ...empty, acked: seqUnsafe(1_000_000) }, 100_000)
    assert.isUndefined(book.take("mallory", "bob", { messages: 1, bytes: 200 }, 100_000))
    taken?.failed()
    assert.strictEqual(book.size, 0)
    assert.isDefined(book.take("mallory", "bob", { messages: 1, bytes: 200 }, 0))
  })

  it("takes a batch that is larger than the share where nothing waits, for it could never be sent", () => {
    const book = new MailBook(limits)
    book.take("mallory", "bob", { messages: 1, bytes: 5_000 }, 0)?.stored(1)
    assert.isUndefined(book.take("mallory", "bob", { messages: 1, bytes: 1 }, 0))
  })

  it("remembers no more pairs than its bound, and of each a few parts, however much is sent", () => {
    const book = new MailBook({ ...limits, mail_bytes: Infinity, mail_messages: Infinity })
    for (let i = 0; i < 100; i++) book.take("mallory", `c${i}`, { messages: 1, bytes: 1 }, 0)?.stored(i)
    assert.isAtMost(book.size, limits.mail_pairs)
    for (let i = 0; i < 1_000; i++) book.take("mallory", "bob", { messages: 1, bytes: 1 }, i)?.stored(i)
    book.settle("mallory", "bob", { ...full, acked: seqUnsafe(998) }, 1_000)
    const left = new MailBook({ ...limits, mail_bytes: 2, mail_messages: 2 })
    left.take("mallory", "bob", { messages: 1, bytes: 1 }, 0)?.stored(1)
    left.take("mallory", "bob", { messages: 1, bytes: 1 }, 0)?.stored(2)
    left.settle("mallory", "bob", { ...full, acked: seqUnsafe(1) }, 0)
    assert.isDefined(left.take("mallory", "bob", { messages: 1, bytes: 1 }, 0))
  })
})
