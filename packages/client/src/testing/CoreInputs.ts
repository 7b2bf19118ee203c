/** Inputs of the core, and what its outputs say, in the words of its tests. */
import { Cursor, EventId, type Frames, Incarnation, Seq } from "@nimbus/domain/protocol"
import * as Core from "../Core.ts"
import { type ClientLimits, clientLimits } from "../Limits.ts"
import { empty, type Outgoing } from "../Memory.ts"

export const log = Incarnation.make("log-0")
export const event = (id: string): Outgoing => ({
  id: EventId.make(id),
  frame: `{"type":"event","id":"${id}","name":"sq"}`,
})
export const item = (seq: number, id: string): Frames.ResultItem => ({
  seq: Seq.make(seq),
  id: EventId.make(id),
  name: "sq",
})
export const repeat = (seq: number, id: string, first: number): Frames.ResultItem => ({
  ...item(seq, id),
  data: null,
  repeated: Seq.make(first),
})
export const results = (...items: ReadonlyArray<Frames.ResultItem>): Core.Input => ({
  _tag: "Heard",
  frame: { type: "results", items },
})
export const accepted = (...ids: ReadonlyArray<string>): Core.Input => ({
  _tag: "Heard",
  frame: { type: "accepted", ids: ids.map((id) => EventId.make(id)) },
})
export const welcome = (after = -1, incarnation = log): Core.Input => ({
  _tag: "Heard",
  frame: {
    type: "welcome",
    clientId: "c1",
    epoch: 1 as never,
    status: "REPLAYING",
    log: incarnation,
    after: Cursor.make(after),
    limits: { frame_bytes: 200, window_results: 4, events_per_second: 1_000, idle_timeout_ms: 1_000 },
  },
})
export const send = (named: boolean, ...ids: ReadonlyArray<string>): Core.Input => ({
  _tag: "Send",
  events: ids.map(event),
  named,
})
/** Sends the event of a task, to be streamed. */
export const stream = (id: string, named = false): Core.Input => ({
  _tag: "Send",
  events: [event(id)],
  named,
  stream: "ask",
})
/** A part, or with `end` the end, of the task `t0` unless `task` says otherwise. */
export const part = (
  seq: number,
  of: string,
  number: number,
  more: Partial<Frames.ResultItem> & { readonly task?: number } = {},
): Frames.ResultItem => {
  const { attempt = 1, task = 0, ...rest } = more
  const id = EventId.make(rest.end === undefined ? `t${task}.${attempt}.${number}` : `t${task}.end`)
  const data = rest.error === undefined ? { data: rest.end === undefined ? `${attempt}.${number}` : null } : {}
  return { seq: Seq.make(seq), id, name: "ask", of: EventId.make(of), attempt, part: number, ...data, ...rest }
}
/** A reader of a task has read the parts before `next`. */
export const read = (id: string, next: number, began = 1, reader = 0): Core.Input => ({
  _tag: "Read",
  id: EventId.make(id),
  reader,
  began,
  next,
})
export const left = (id: string, reader = 0): Core.Input => ({ _tag: "Left", id: EventId.make(id), reader })
export const cancel = (id: string): Core.Input => ({ _tag: "Cancel", id: EventId.make(id) })
export const lost = (after: number, upTo: number): Core.Input => ({
  _tag: "Heard",
  frame: { type: "lost", after: Cursor.make(after), upTo: Seq.make(upTo) },
})
export const doneWith = (seq: number, items: number, of = log): Core.Input => ({
  _tag: "Done",
  log: of,
  seq: Cursor.make(seq),
  items,
})
export const disconnected: Core.Input = { _tag: "Disconnected" }

/** A core after these inputs. */
export const given = (...inputs: ReadonlyArray<Core.Input>) => givenWith({}, ...inputs)

export const givenWith = (limits: Partial<ClientLimits>, ...inputs: ReadonlyArray<Core.Input>) => {
  const core = Core.make(empty, { ...clientLimits, ...limits })
  for (const input of inputs) Core.step(core, input)
  return {
    core,
    when: (input: Core.Input) => Core.step(core, input),
  }
}
export const remembered = (outputs: ReadonlyArray<Core.Output>) =>
  outputs.flatMap((output) => (output._tag === "Remember" ? [output.change] : []))
export const tags = (outputs: ReadonlyArray<Core.Output>) => outputs.map((output) => output._tag)
export const acks = (outputs: ReadonlyArray<Core.Output>): ReadonlyArray<number> =>
  outputs.flatMap((output) => (output._tag === "Ack" ? [output.seq] : []))
export const delivered = (outputs: ReadonlyArray<Core.Output>) =>
  outputs.flatMap((output) =>
    output._tag === "Deliver"
      ? output.items.map((delivery): string | number => (Core.isLost(delivery) ? delivery.reason : delivery.seq))
      : [],
  )
export const written = (outputs: ReadonlyArray<Core.Output>) =>
  outputs.flatMap((output) => (output._tag === "Write" ? output.events.map(({ id }) => String(id)) : []))
