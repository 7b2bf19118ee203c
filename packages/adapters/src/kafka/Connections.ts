/**
 * Has kafkajs's connections end when they end, and be made anew from nothing. As they are, one that breaks at the wrong
 * moment is of no use ever again, and who waits for it waits for ever:
 *
 * | kafkajs 2.2 | here |
 * | --- | --- |
 * | The half of an answer that came before a connection broke is the beginning of the next connection's first answer. No request is answered then: they are told apart by their lengths. | What was read is forgotten with the connection. |
 * | A request that is not answered in time leaves the connection as it was. A firewall that has forgotten it never answers. | It ends, as in Kafka's own client. |
 * | Who ends one waits for the answers to its requests, and stops the clock that would have given them up. | They fail at once. |
 * | What ends is closed for writing alone: its last words come while the next one is in use. | It is destroyed. |
 * | Two requests at the same time make two connections, of which one is forgotten. | They wait for the same one. |
 * | A login during which the connection is lost is told as a wrong password, so what was to be written is refused for ever. | It is told as a lost connection. |
 * | A timer for the end of a throttling is set also where there is none, with a negative time, for which Node prints a warning: each millisecond, for ever, for every connection. | It is set only while something waits. |
 */
import { type Connection, type KafkaInternals, length_bytes, type RequestQueue } from "./KafkaInternals.ts"

/** For all connections of this process, and once. */
export const mendConnections = (internals: KafkaInternals): void => {
  const { Connection, RequestQueue, errors } = internals
  if (mended.has(Connection)) return
  mended.add(Connection)
  mend(Connection.prototype, errors)
  quietWhenIdle(RequestQueue.prototype)
}

const mended = new WeakSet<object>()

const mend = (prototype: Connection, errors: KafkaInternals["errors"]): void => {
  const { authenticate, connect, send } = prototype
  const { KafkaJSConnectionError, KafkaJSRequestTimeoutError, KafkaJSSASLAuthenticationError } = errors

  prototype.connect = function (this: Connection) {
    losses.delete(this)
    const connected = connecting.get(this) ?? connect.call(this).finally(() => connecting.delete(this))
    connecting.set(this, connected)
    return connected
  }

  prototype.disconnect = async function (this: Connection) {
    end(this, new KafkaJSConnectionError("Closed connection"))
    return true
  }

  prototype.authenticate = async function (this: Connection) {
    try {
      return await authenticate.call(this)
    } catch (error) {
      throw orLoss(this, error)
    }
  }

  // Logs in first where that is not done yet, and the requests of a login come through here, too.
  prototype.send = async function (this: Connection, request: unknown) {
    const { socket } = this
    try {
      return await send.call(this, request)
    } catch (error) {
      const isLate = error instanceof KafkaJSRequestTimeoutError
      if (isLate || error instanceof KafkaJSConnectionError) losses.set(this, error)
      if (isLate) socket?.destroy(error)
      throw orLoss(this, error)
    }
  }

  /** kafkajs leaves of a login's error nothing but its words. */
  const orLoss = (connection: Connection, error: unknown): unknown =>
    error instanceof KafkaJSSASLAuthenticationError ? (losses.get(connection) ?? error) : error
}

/** Those that are being made. */
const connecting = new WeakMap<Connection, Promise<boolean>>()

/** Why a request was not answered; of the connection that is in use. */
const losses = new WeakMap<Connection, Error>()

const end = (connection: Connection, closed: Error): void => {
  connection.connectionStatus = "disconnected"
  connection.authenticatedAt = null
  // Without an error, who waits for it to be made would do so for all of the time that this may take.
  connection.socket?.destroy(connecting.has(connection) ? closed : undefined)
  connection.chunks = []
  connection.bytesBuffered = 0
  connection.bytesNeeded = length_bytes
  connection.requestQueue.rejectAll(closed)
  connection.requestQueue.destroy()
}

const quietWhenIdle = (prototype: RequestQueue): void => {
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this)
  }
}
