/** What a client says: an event for the log, an ack, or both. */
import { fromBinary } from "@bufbuild/protobuf"
import { EventId, isNestedTooDeeply, nestingMessage } from "@nimbus/domain"
import { Result } from "effect"
import { type EventRequest, EventRequestSchema } from "./gen/nimbus_pb.js"

export type { EventRequest }

/** The failure is a sentence for the client. */
export const parseRequest = (message: Uint8Array): Result.Result<EventRequest, string> => {
  try {
    return Result.succeed(fromBinary(EventRequestSchema, message))
  } catch (error) {
    return Result.fail(`not an EventRequest: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** A message that says nothing but an ack. */
export const isAckOnly = ({ ack, dataJson, eventId, eventName }: EventRequest): boolean =>
  ack !== undefined && eventName === "" && eventId === "" && dataJson === ""

const name_chars = 128

/** The event as the log has it; the failure is a sentence for the client. `id`: if it brings none. */
export const eventOf = (
  { dataJson, eventId, eventName, number }: EventRequest,
  newId: () => string,
): Result.Result<{ readonly id: EventId; readonly value: Uint8Array }, string> => {
  if (eventName === "" || eventName.length > name_chars) return Result.fail("event_name has 1 to 128 characters")
  if (eventId.length > name_chars) return Result.fail("event_id has at most 128 characters")
  let data = `{"number":${number}}`
  if (dataJson !== "") {
    try {
      const parsed: unknown = JSON.parse(dataJson)
      if (isNestedTooDeeply(parsed, dataJson.length)) return Result.fail(`data_json: ${nestingMessage}`)
      data = JSON.stringify(parsed)
    } catch (error) {
      return Result.fail(`data_json: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const id = EventId.make(eventId === "" ? newId() : eventId)
  const text = `{"type":"event","id":${JSON.stringify(id)},"name":${JSON.stringify(eventName)},"data":${data}}`
  return Result.succeed({ id, value: Buffer.from(text) })
}
