import { assert, describe, it } from "@effect/vitest"
import { sessionLimits } from "../Limits.ts"
import * as DirectSession from "./DirectSession.ts"
import { ClientId, Epoch, EventId, PodId, Seq, start } from "./Ids.ts"
import { encodeResult } from "./Records.ts"

const clientId = ClientId.make("c")

const item = (seq: number) => ({
  seq: Seq.make(seq),
  offset: seq,
  value: encodeResult({ seq: Seq.make(seq), id: EventId.make("e"), name: "n", data: null }),
})

/** From offset 0 of the log on, or from the mailbox, with a window of eight results. */
const after = (from: "log" | "mailbox", inputs: ReadonlyArray<DirectSession.Input>) => {
  const session = DirectSession.make({
    clientId,
    epoch: Epoch.make(7),
    pod: PodId.make("p"),
    after: start,
    limits: { ...sessionLimits, window_results: 8 },
    acked: start,
    stored: from === "log" ? { offset: 0, seq: start } : undefined,
  })
  for (const input of [{ _tag: "Open" } as const, ...inputs]) DirectSession.step(session, input)
  return session
}

const logged = (count: number): DirectSession.Input => ({
  _tag: "Records",
  clientId,
  records: Array.from({ length: count }, (_, seq) => item(seq)),
  next: count,
})
const page = (count: number): DirectSession.Input => ({
  _tag: "Page",
  page: {
    records: Array.from({ length: count }, (_, seq) => item(seq)),
    short: true,
    acked: start,
    floor: start,
    hole: start,
  },
})
const ack = (seq: number): DirectSession.Input => ({ _tag: "Ack", seq: Seq.make(seq) })

describe("DirectSession", () => {
  describe("waits for its client", () => {
    const waits = (...all: Parameters<typeof after>) => DirectSession.waitsForClient(after(...all))

    it("while its socket is behind", () => {
      assert.isTrue(waits("log", [{ _tag: "Stalled" }]))
      assert.isFalse(waits("log", [{ _tag: "Stalled" }, { _tag: "Drained" }]))
    })
    it("once the window is full, and until a quarter of it is free again", () => {
      assert.isFalse(waits("log", [logged(7)]), "it has not left the log")
      assert.isTrue(waits("log", [logged(9)]))
      assert.isTrue(waits("log", [logged(9), ack(0)]))
      assert.isFalse(waits("log", [logged(9), ack(1)]))
    })
    it("while the mailbox is read, once there is too little room to read on", () => {
      assert.isFalse(waits("mailbox", [page(6)]))
      assert.isTrue(waits("mailbox", [page(7)]))
      assert.isFalse(waits("mailbox", [page(7), ack(1)]))
    })
  })
})
