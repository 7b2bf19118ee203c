import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, Epoch, EventId, PodId, Seq } from "@nimbus/domain/protocol"
import * as Format from "./Format.ts"

const ada = ClientId.make("ada")
const pod = PodId.make("p1")
const seq = (n: number) => Seq.make(n)
const cursor = (n: number) => Cursor.make(n)

describe("Words", () => {
  it("show a journey hop by hop, with what is missing in brackets", () => {
    const text = Format.journey({
      clientId: ada,
      seq: seq(12),
      event: { type: "event", id: EventId.make("e1"), name: "sq" },
      sent: { text: `{"n":\n7}`, bytes: 7 },
      result: { text: "49", bytes: 2 },
      isFollowed: true,
      traceId: "abc",
      place: "mailbox",
      hops: [
        {
          _tag: "Seen",
          step: { time: 0, service: "gateway", instance: "p1", step: "accepted", details: { rule: "why" } },
          since_ms: 0,
          repeats: 0,
        },
        {
          _tag: "Seen",
          step: { time: 1_500, service: "event-consumer", instance: "e", step: "handled" },
          since_ms: 1_500.4,
          repeats: 2,
        },
        { _tag: "Missing", step: "shelved", or: "diverted" },
        { _tag: "Missing", step: "put" },
      ],
    })
    assert.strictEqual(
      text,
      `event   e1, event sq
of      ada, seq 12
place   in the mailbox
sent    {"n": 7}
result  49
trace   abc

step                   after ms  time                      by                why
accepted                      0  1970-01-01T00:00:00.000Z  gateway p1        rule=why
handled (and 2 more)       1500  1970-01-01T00:00:01.500Z  event-consumer e
(shelved or diverted)         -  -                         missing
(put)                         -  -                         missing`,
    )
  })

  it("say of an event that is gone, and that was not sampled, what is known", () => {
    const text = Format.journey({ clientId: ada, seq: seq(3), isFollowed: false, place: "unknown", hops: [] })
    assert.match(text, /^event +seq 3, no longer retained\nof +ada, seq 3\nplace +not known\nsteps +not sampled/)
  })

  it("say that there is more", () => {
    const row = { clientId: ada, status: "LIVE", epoch: Epoch.make(5), pod, waiting: 0 } as const
    assert.match(Format.clients({ clients: [row], more: true }), /\nada +LIVE +0 +p1 +5\n… and more$/)
    assert.notInclude(Format.clients({ clients: [row], more: false }), "more")
    const found = { clientId: ada, results: 9, bytes: 9, acked: cursor(-1), floor: cursor(4) }
    const mail = Format.mailbox({ ...found, records: [{ seq: seq(5), value: `{"a":\n1}` }], more: true })
    assert.match(mail, /acknowledged +nothing\nremoved by limits +up to seq 4\n/)
    assert.match(mail, /\n +5 +\{"a": 1\}\n… and more$/)
  })

  it("say of what was published anew that its seqs are new, and how to go on", () => {
    const events = [{ oldSeq: seq(1), newSeq: seq(8), newId: EventId.make("n1") }]
    const next = { from: seq(2), upTo: seq(7) }
    const text = Format.republished({ published: 5, events, next })
    assert.match(text, /^published 5 anew: new events with new seqs and ids/)
    assert.match(text, /\n +1 +8 +n1\n… and more\nthere may be more: go on with --from 2 --up-to 7$/)
    assert.strictEqual(Format.republished({ published: 0, events: [] }), "nothing to publish")
  })

  it("say when nobody was reached", () => {
    assert.strictEqual(Format.kicked({ clientId: ada, pod, received: false }), "ada is not connected")
    assert.strictEqual(Format.drained({ pod, received: false }), "p1 does not listen")
    assert.strictEqual(Format.forgotten({ forgotten: [ada], connected: [] }), "ada is forgotten")
    assert.strictEqual(Format.forgotten({ forgotten: [], connected: [ada] }), "ada is connected, and stays")
  })

  it("show a client that the registry does not know, and the session of one that is here", () => {
    const mailbox = { results: 0, bytes: 0, acked: cursor(-1), floor: cursor(-1) }
    const text = Format.client({
      clientId: ada,
      partition: 2,
      mailbox,
      session: { door: "grpc", upTo: cursor(7), acknowledged: cursor(3) },
      lastEvents: [],
    })
    assert.match(text, /status +unknown to the registry\n/)
    assert.match(text, /removed by limits +nothing\nsession +grpc, sent up to 7, acknowledged 3$/)
  })

  it("show the tasks that run and those that wait, and how much was not read", () => {
    const task = { clientId: ada, seq: seq(7), id: EventId.make("e7"), name: "ask", since: 0 }
    const run = { worker: "w1", attempt: 2, since: 1_500 }
    const view = { tasks: [{ ...task, run }, task], running: 1, waiting: 5, more: true, unread: 3 }
    assert.strictEqual(
      Format.tasks(view),
      `1 running, 5 waiting

client  id  name  attempt  since                     worker  seq
ada     e7  ask         2  1970-01-01T00:00:01.500Z  w1        7
ada     e7  ask         -  1970-01-01T00:00:00.000Z  -         7
… and more
3 records were not read: ask again for what they say`,
    )
    const none = { tasks: [], running: 0, waiting: 0, more: false, unread: 0 }
    assert.strictEqual(Format.tasks(none), "0 running, 0 waiting")
    const told = Format.cancelled({ clientId: ada, id: EventId.make("e7") })
    assert.strictEqual(told, "the task e7 of ada is cancelled, unless it has ended")
  })

  it("show a pod whose lease has run out, and a quarantined record that somebody else has put there", () => {
    assert.match(Format.pods([{ pod, clients: 3, isLive: false }]), /p1 +- +- +- +3 +run out$/)
    const at = { host: "box", address: "box:3001", role: "status-manager" }
    assert.match(Format.pods([{ pod, clients: 0, isLive: true, ...at }]), /p1 +status-manager +box +box:3001 +- +-$/)
    const row = { partition: 1, offset: 2, key: "k", reason: "", time: 0, bytes: 3 }
    assert.match(Format.quarantine({ records: [row], more: false }), / k +- +3$/)
    assert.match(Format.quarantined({ ...row, text: "{x" }), /from +-\n[^]*\n\n\{x$/)
  })
})
