/**
 * The answers of one HTTP connection, one after the other. A request that came before the answer to the one before is
 * taken (pipelining) waits for its turn, so that a peer that asks and does not read has one answer waiting here and no
 * more.
 *
 * | what the peer does | what follows |
 * | --- | --- |
 * | takes nothing of an answer for `write_deadline_ms` | the connection ends |
 * | asks while `pipelined_requests` wait | it is read no more until fewer do; what was read is one slice more |
 *
 * Node itself stops reading such a connection too, but what it had read by then may be a thousand requests, each of which
 * costs an error with a stack as the connection ends.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Reading } from "../sockets/FairReading.ts"
import type { GatewayLimits } from "../Limits.ts"

export type TurnLimits = Pick<GatewayLimits, "write_deadline_ms" | "pipelined_requests">

export class Turns {
  private readonly limits: TurnLimits
  private readonly reading: Pick<Reading, "hold" | "letGo">
  private readonly onTooSlow: () => void
  /** Requests that wait, of connections with one under way. */
  private readonly waiting = new WeakMap<Socket, Array<() => void>>()

  constructor(limits: TurnLimits, reading: Pick<Reading, "hold" | "letGo">, onTooSlow: () => void) {
    this.limits = limits
    this.reading = reading
    this.onTooSlow = onTooSlow
  }

  /** Calls `answer` once it is the request's turn. */
  take({ socket }: IncomingMessage, response: ServerResponse, answer: () => void): void {
    const turn = (): void => this.answer(socket, response, answer)
    const others = this.waiting.get(socket)
    if (others === undefined) return this.begin(socket, [turn])
    others.push(turn)
    if (others.length >= this.limits.pipelined_requests) this.reading.hold(socket)
  }

  private begin(socket: Socket, turns: Array<() => void>): void {
    const turn = turns.shift()
    if (turns.length < this.limits.pipelined_requests) this.reading.letGo(socket)
    if (turn === undefined || socket.destroyed) this.waiting.delete(socket)
    else {
      this.waiting.set(socket, turns)
      turn()
    }
  }

  private answer(socket: Socket, response: ServerResponse, answer: () => void): void {
    response.once("close", () => this.begin(socket, this.waiting.get(socket) ?? []))
    // Nothing is late while the answer is still being made: then nothing waits for the peer.
    response.setTimeout(this.limits.write_deadline_ms, () => {
      if (response.writableLength > 0) this.end(socket)
    })
    answer()
  }

  private end(socket: Socket): void {
    if (socket.destroyed) return
    this.onTooSlow()
    socket.destroy()
  }
}
