/** What a client says: an event for the log, an ack, a cancel, or several of them. */
import { fromBinary } from "@bufbuild/protobuf"
import { parseExactJson } from "@nimbus/domain/json"
import { EventId } from "@nimbus/domain/protocol"
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

/** Whether there is an event in a message: one that says nothing else is meant for one. */
export const hasEvent = ({ ack, auth, cancel, dataJson, eventId, eventName }: EventRequest): boolean =>
  (ack === undefined && cancel === undefined && auth === undefined) ||
  eventName !== "" ||
  eventId !== "" ||
  dataJson !== ""

const name_chars = 128

/** What is wrong with an event, for the client. */
interface BadEvent {
  readonly code: "BAD_FRAME" | "BAD_NUMBER"
  readonly message: string
}

/** The event as the log has it. `newId`: where it brings none. */
export const eventOf = (
  { dataJson, eventId, eventName, number }: EventRequest,
  newId: () => string,
): Result.Result<{ readonly id: EventId; readonly name: string; readonly value: Uint8Array }, BadEvent> => {
  if (eventName === "" || eventName.length > name_chars) return bad("event_name has 1 to 128 characters")
  if (eventId.length > name_chars) return bad("event_id has at most 128 characters")
  let data = `{"number":${number}}`
  if (dataJson !== "") {
    const parsed = parseExactJson(dataJson)
    if (Result.isFailure(parsed)) {
      const { fault, message } = parsed.failure
      return Result.fail({ code: fault === "number" ? "BAD_NUMBER" : "BAD_FRAME", message: `data_json: ${message}` })
    }
    data = JSON.stringify(parsed.success)
  }
  const id = EventId.make(eventId === "" ? newId() : eventId)
  const text = `{"type":"event","id":${JSON.stringify(id)},"name":${JSON.stringify(eventName)},"data":${data}}`
  return Result.succeed({ id, name: eventName, value: Buffer.from(text) })
}

const bad = (message: string) => Result.fail({ code: "BAD_FRAME" as const, message })
