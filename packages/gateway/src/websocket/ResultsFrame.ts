/**
 * The bytes of results: the records' own bytes, copied once, in one `results` frame with commas between. Nothing is
 * parsed or encoded again, but for the journey of a sampled record on a connection that asked for it.
 */
import { Frames, type Item, Journey } from "@nimbus/domain/protocol"

const { resultsPrefix, resultsSuffix } = Frames
const comma = 44
const journeyKey = Buffer.from(`,"journey":`)

export const encodeResults = (items: ReadonlyArray<Item>, withJourney: boolean): Buffer =>
  join(items.map(valueOf(withJourney)))

const valueOf =
  (withJourney: boolean) =>
  (item: Item): Uint8Array =>
    withJourney && Journey.isSampled(item.headers) ? withSteps(item) : item.value

const join = (values: ReadonlyArray<Uint8Array>): Buffer => {
  let length = resultsPrefix.length + resultsSuffix.length + values.length - 1
  for (const value of values) length += value.length
  const frame = Buffer.allocUnsafe(length)
  frame.set(resultsPrefix, 0)
  let at = resultsPrefix.length
  for (let i = 0; i < values.length; i++) {
    if (i > 0) frame[at++] = comma
    frame.set(values[i]!, at)
    at += values[i]!.length
  }
  frame.set(resultsSuffix, at)
  return frame
}

/** The item with one more key at its end: `{…,"journey":[…]}`. */
const withSteps = ({ headers, value }: Item): Uint8Array =>
  Buffer.concat([
    value.subarray(0, value.length - 1),
    journeyKey,
    Buffer.from(JSON.stringify(Journey.steps(headers))),
    value.subarray(value.length - 1),
  ])
