/**
 * The sockets of a run: text both ways, in order, until they are closed or break. A broken one is noticed at each end in
 * its own time; one that is half open, by one end much later. Gateways stand behind one address: each new connection may
 * come to another.
 */
import type { Dice } from "@nimbus/domain/testing/dice"
import type { Kernel } from "./Kernel.ts"
import type { Process } from "./Process.ts"
import type { Trace } from "./Trace.ts"

/** One end of a socket. */
export interface End {
  /** From now on; what came before comes now. Called in the process of this end. */
  listen(listener: Listener): void
  send(text: string): void
  close(code: number, reason: string): void
  /** Sent from here and not yet read by the other end. */
  readonly unsent_bytes: number
}

export interface Listener {
  text(text: string): void
  /** Once, after everything that came before it; not where this end has closed it. */
  closed(code: number, reason: string): void
  /** The other end has read something. */
  drained(): void
}

export type Accept = (end: End, url: string) => void

/** What a socket reports that broke without a close. */
export const abnormal = 1006

/** How late one end of a half-open socket learns that it is dead: by its own pings, or by TCP's. */
const half_open_ms = 8_000

export class Network {
  /** Set by a fault: no bytes move. */
  isStalled = false
  private readonly kernel: Kernel
  private readonly trace: Trace
  private readonly dice: Dice
  private readonly listeners = new Map<Process, Accept>()
  private readonly sockets = new Set<Socket>()
  private names = 0

  constructor(kernel: Kernel, trace: Trace, dice: Dice) {
    this.kernel = kernel
    this.trace = trace
    this.dice = dice
  }

  get openSockets(): ReadonlyArray<Socket> {
    return [...this.sockets]
  }

  listen(process: Process, accept: Accept): void {
    this.listeners.set(process, accept)
    process.onDeath(() => this.listeners.delete(process))
  }

  /** Stops taking new connections. */
  refuse(process: Process): void {
    this.listeners.delete(process)
  }

  /** `answer` gets an end once it is connected, or nothing where nobody listens. Answers how to give up. */
  dial(process: Process, url: string, answer: (end: End | undefined) => void): () => void {
    let isGivenUp = false
    this.kernel.after(this.dice.upTo(5), () => {
      const [gateway, accept] = this.dice.pick([...this.listeners]) ?? []
      if (isGivenUp || process.isDead) return
      if (gateway === undefined || accept === undefined) return process.enter(() => answer(undefined))
      const socket = new Socket(`s${++this.names}`, process, gateway, this.kernel, this.dice, () => this.isStalled)
      this.trace.say(process.name, () => `connects to ${gateway.name} as ${socket.name}`)
      this.sockets.add(socket)
      socket.whenOver(() => this.sockets.delete(socket))
      gateway.enter(() => accept(socket.gatewayEnd, url))
      this.kernel.after(this.dice.upTo(3), () => process.enter(() => answer(socket.clientEnd)))
    })
    return () => {
      isGivenUp = true
    }
  }

  /** Breaks the sockets of a client. */
  cutOf(client: string): void {
    for (const socket of this.sockets) if (socket.client.name.startsWith(`${client}.`)) socket.cut(50, 50)
  }

  /** Breaks a socket; answers whether there was one. */
  cut(halfOpen: boolean): boolean {
    const socket = this.dice.pick(this.openSockets)
    if (socket === undefined) return false
    this.trace.say(socket.name, () => `breaks${halfOpen ? ", half open" : ""}`)
    const late = this.dice.oneIn(2)
    socket.cut(halfOpen && late ? half_open_ms : 100, halfOpen && !late ? half_open_ms : 100)
    return true
  }
}

/** How often a stalled network is tried again. */
const stalled_ms = 200

export class Socket {
  readonly name: string
  readonly client: Process
  readonly gateway: Process
  readonly clientEnd: SocketEnd
  readonly gatewayEnd: SocketEnd
  private readonly kernel: Kernel
  private readonly dice: Dice
  private readonly whenDone: Array<() => void> = []
  isCut = false

  constructor(name: string, client: Process, gateway: Process, kernel: Kernel, dice: Dice, isStalled: () => boolean) {
    this.name = name
    this.client = client
    this.gateway = gateway
    this.kernel = kernel
    this.dice = dice
    const arrival = { kernel, dice, isStalled, isCut: () => this.isCut }
    this.clientEnd = new SocketEnd(client, arrival)
    this.gatewayEnd = new SocketEnd(gateway, arrival)
    this.clientEnd.peer = this.gatewayEnd
    this.gatewayEnd.peer = this.clientEnd
    client.onDeath(() => this.cut(50, 50))
    gateway.onDeath(() => this.cut(50, 50))
    this.clientEnd.whenClosed = this.gatewayEnd.whenClosed = () => this.over()
  }

  whenOver(run: () => void): void {
    this.whenDone.push(run)
  }

  /** Nothing gets through any more; each end learns of it within so long. */
  cut(client_ms: number, gateway_ms: number): void {
    if (this.isCut) return
    this.isCut = true
    this.over()
    this.kernel.after(this.dice.upTo(client_ms), () => this.clientEnd.breaks())
    this.kernel.after(this.dice.upTo(gateway_ms), () => this.gatewayEnd.breaks())
  }

  private over(): void {
    for (const run of this.whenDone.splice(0)) run()
  }
}

interface Arrival {
  readonly kernel: Kernel
  readonly dice: Dice
  readonly isStalled: () => boolean
  readonly isCut: () => boolean
}

class SocketEnd implements End {
  unsent_bytes = 0
  peer: SocketEnd | undefined = undefined
  whenClosed: () => void = () => {}
  private readonly process: Process
  private readonly arrival: Arrival
  private isClosed = false
  private listener: Listener | undefined = undefined
  private early: Array<(listener: Listener) => void> = []
  /** What is on its way from here, in order. */
  private readonly onTheWay: Array<() => void> = []

  constructor(process: Process, arrival: Arrival) {
    this.process = process
    this.arrival = arrival
  }

  listen(listener: Listener): void {
    this.listener = listener
    for (const tell of this.early.splice(0)) tell(listener)
  }

  send(text: string): void {
    const { peer } = this
    if (this.isClosed || peer === undefined) return
    this.unsent_bytes += text.length
    this.carry(() => {
      peer.process.enter(() => {
        this.unsent_bytes -= text.length
        peer.hear(text)
        this.arrival.kernel.soon(() => this.process.enter(() => this.isClosed || this.listener?.drained()))
      })
    })
  }

  close(code: number, reason: string): void {
    const { peer } = this
    if (this.isClosed || peer === undefined) return
    this.isClosed = true
    this.carry(() => peer.process.enter(() => peer.ends(code, reason)))
    this.whenClosed()
  }

  breaks(): void {
    this.process.enter(() => this.ends(abnormal, "the connection broke"))
  }

  private ends(code: number, reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.tell((listener) => listener.closed(code, reason))
    this.whenClosed()
  }

  private hear(text: string): void {
    if (!this.isClosed) this.tell((listener) => listener.text(text))
  }

  private tell(what: (listener: Listener) => void): void {
    if (this.listener === undefined) this.early.push(what)
    else what(this.listener)
  }

  private carry(arrive: () => void): void {
    this.onTheWay.push(arrive)
    if (this.onTheWay.length === 1) this.goOn()
  }

  /** One after the other, so that nothing overtakes; several of one moment arrive together. */
  private goOn(): void {
    const { dice, isCut, isStalled, kernel } = this.arrival
    const wait_ms = isStalled() ? stalled_ms : dice.below(4)
    kernel.after(wait_ms, () => {
      if (isCut()) return
      if (isStalled()) return this.goOn()
      for (const arrive of this.onTheWay.splice(0)) arrive()
      if (this.onTheWay.length > 0) this.goOn()
    })
  }
}
