/**
 * The open chat: one conversation of all sockets that are in no room, in a topic of its own. It is one room of that topic, so
 * all its messages are in one partition, and in one order for everyone.
 */
import { Incarnation, RoomId } from "./Ids.ts"

/** The key of its records. */
export const openRoom: RoomId = RoomId.make("open")

/** Its topic counts offsets of its own. So it has a life of its own in the archive, beside that of the rooms. */
export const openLife = (incarnation: Incarnation): Incarnation => Incarnation.make(`${incarnation}:open`)
