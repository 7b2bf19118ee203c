/**
 * Where one attack takes place: the sockets that it has open, and what it has achieved. When its time is over, all of its
 * sockets are cut and nothing of it goes on.
 *
 * What is sent is made before, and what is read is dropped in one buffer, so that attackers leave the processor to those
 * whom they attack.
 */
import { connect, type Socket } from "node:net"
import type { Server } from "../fuzz/Server.ts"

export type Port = keyof Server["ports"]

export interface Attack {
  readonly name: string
  /** For the table. */
  readonly what: string
  /** Begins it. It goes on by what is called back, until the field is over. */
  readonly begin: (field: Field) => void
}

export interface Achieved {
  /** Frames, requests or calls, whichever the attack is made of, that the system took from it. */
  readonly sent: number
  /** Connections that were made. */
  readonly connections: number
  /** Of those, how many the server has ended. */
  readonly ended: number
}

/** After a connection that the server has ended: a port that refuses must not make a busy loop. */
const again_ms = 10

const dropped = Buffer.allocUnsafe(64 * 1024)

export interface Reading {
  /** Called with each piece that is read. Without it what is read is dropped. */
  readonly onData?: (piece: Buffer) => void
  /** False: the socket is not read at all. */
  readonly reads: boolean
}

export class Field {
  readonly ports: Server["ports"]
  sent = 0
  connections = 0
  ended = 0
  isOver = false
  readonly #sockets = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #endings = new Set<() => void>()
  #names = 0

  constructor(ports: Server["ports"]) {
    this.ports = ports
  }

  get achieved(): Achieved {
    const { connections, ended, sent } = this
    return { sent, connections, ended }
  }

  /** One that nobody else has. */
  name(of: string): string {
    return `attacker-${of}-${this.#names++}`
  }

  /** `begin` is called with the socket once it is connected; `end` when it has closed and the attack goes on. */
  connect(port: Port, { onData, reads }: Reading, begin: (socket: Socket) => void, end: () => void = () => {}): void {
    if (this.isOver) return
    const read = (length: number, buffer: Uint8Array): boolean => {
      onData?.(Buffer.from(buffer.buffer, buffer.byteOffset, length))
      return true
    }
    const socket = connect({
      host: "127.0.0.1",
      port: this.ports[port],
      noDelay: true,
      onread: { buffer: dropped, callback: read },
    })
    if (!reads) socket.pause()
    this.#sockets.add(socket)
    socket.once("connect", () => {
      this.connections++
      begin(socket)
    })
    // "close" follows.
    socket.on("error", () => {})
    socket.once("end", () => socket.destroy())
    socket.once("close", () => {
      this.#sockets.delete(socket)
      if (this.isOver) return
      if (!wasLeft.has(socket)) this.ended++
      this.later(again_ms, end)
    })
  }

  /** Ends a socket of our own accord. */
  leave(socket: Socket): void {
    wasLeft.add(socket)
    socket.destroy()
  }

  later(after_ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.isOver) act()
    }, after_ms)
    this.#timers.add(timer)
  }

  every(pause_ms: number, act: () => void): void {
    this.later(pause_ms, () => {
      act()
      this.every(pause_ms, act)
    })
  }

  /** For what is no socket of this field. */
  whenOver(act: () => void): void {
    this.#endings.add(act)
  }

  over(): void {
    this.isOver = true
    for (const end of this.#endings) end()
    for (const timer of this.#timers) clearTimeout(timer)
    for (const socket of this.#sockets) socket.destroy()
  }
}

const wasLeft = new WeakSet<Socket>()
