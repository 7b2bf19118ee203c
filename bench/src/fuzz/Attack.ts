/**
 * An attack on one transport: a few connections at once, each of which goes on round after round and comes back when it
 * is closed, until enough frames have certainly been read by the server.
 *
 * Of a round whose fence was answered all frames count; of one that the server closed in the middle, where it had been
 * expected to go on, only the first.
 */
import { connect, type Socket } from "node:net"
import { Dice } from "@nimbus/domain/testing/dice"
import type { Server } from "./Server.ts"
import type { Tokens } from "./Tokens.ts"
import type { HostileTransport, Round, Talk } from "./Talk.ts"

export interface AttackOptions {
  readonly transport: HostileTransport
  readonly frames: number
  readonly seed: number
  readonly ports: Server["ports"]
  /** Where the server has locks. */
  readonly tokens?: Tokens | undefined
  /** Connections at once. */
  readonly connections?: number
  /** Called with the frames counted so far. */
  readonly onProgress?: (frames: number) => void
}

/** How long the server may take to answer a fence. */
const answer_ms = 10_000
/** How long we wait for a close after a frame that may leave the server waiting for more. */
const close_ms = 200
/** Without a frame counted for this long, the attack is given up. */
const stalled_ms = 60_000

/**
 * Clients that the hostile connections say they are; few, so that what is kept for each can't hide a leak. Most are of
 * one connection at a time: those of two supersede each other, and come nowhere.
 */
const hostile_clients = 32

export class Attack {
  readonly transport: HostileTransport
  readonly outcomes = new Map<string, number>()
  frames = 0
  connections = 0
  isOver = false
  readonly #options: AttackOptions
  readonly #dice: Dice
  readonly #sockets = new Set<Socket>()
  #counted_ms = performance.now()
  #finish = () => {}

  constructor(options: AttackOptions) {
    this.#options = options
    this.transport = options.transport
    this.#dice = new Dice(options.seed)
  }

  /** Done once the frames are counted, or nothing is counted any more. */
  run(): Promise<void> {
    return new Promise((resolve) => {
      const watch = setInterval(() => {
        if (performance.now() - this.#counted_ms > stalled_ms) this.#finish()
      }, 1_000)
      this.#finish = () => {
        this.isOver = true
        clearInterval(watch)
        for (const socket of this.#sockets) socket.destroy()
        resolve()
      }
      for (let slot = this.#options.connections ?? 16; slot > 0; slot--) this.#connect(slot)
    })
  }

  giveUp(): void {
    this.#finish()
  }

  tell(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
  }

  count(frames: number): void {
    this.frames += frames
    if (frames > 0) this.#counted_ms = performance.now()
    this.#options.onProgress?.(this.frames)
    if (this.frames >= this.#options.frames && !this.isOver) this.#finish()
  }

  #connect(slot: number): void {
    if (this.isOver) return
    this.connections++
    const seed = this.#dice.below(2 ** 31)
    const dice = new Dice(seed)
    const talk = this.transport.talk({
      dice,
      client: `h${dice.below(20) === 0 ? dice.below(hostile_clients) : 2 * slot - dice.below(2)}`,
      tokens: this.#options.tokens,
      tell: (outcome) => this.tell(outcome),
    })
    const socket = connect({ host: "127.0.0.1", port: this.#options.ports[this.transport.port], noDelay: true })
    this.#sockets.add(socket)
    new Assailant(this, talk, socket, dice).begin()
    socket.once("close", () => {
      this.#sockets.delete(socket)
      // A port that refuses must not make a busy loop.
      setTimeout(() => this.#connect(slot), socket.bytesRead === 0 ? 10 : 0)
    })
  }
}

/** One connection. */
class Assailant {
  readonly #attack: Attack
  readonly #talk: Talk
  readonly #socket: Socket
  readonly #dice: Dice
  #round: Round = { bytes: Buffer.alloc(0), frames: 0, isLast: false }
  #left: number
  #isCounted = false
  #timer: NodeJS.Timeout | undefined

  constructor(attack: Attack, talk: Talk, socket: Socket, dice: Dice) {
    this.#attack = attack
    this.#talk = talk
    this.#socket = socket
    this.#dice = dice
    this.#left = attack.transport.rounds
  }

  begin(): void {
    const socket = this.#socket
    socket.once("connect", () => this.#say(this.#talk.opening()))
    socket.on("data", (chunk: Buffer) => {
      const isAnswered = this.#talk.hear(chunk)
      if (this.#talk.isClosing) return void socket.destroy()
      if (!isAnswered || this.#round.isLast || socket.destroyed) return
      this.#count(this.#round.frames)
      if (this.#left-- === 0) this.#leave()
      else this.#say(this.#talk.round())
    })
    socket.on("error", () => this.#attack.tell("reset by the server"))
    socket.once("close", () => {
      clearTimeout(this.#timer)
      this.#count(this.#round.isLast ? this.#round.frames : Math.min(1, this.#round.frames))
    })
  }

  #say(round: Round): void {
    clearTimeout(this.#timer)
    this.#round = round
    this.#isCounted = false
    this.#socket.write(round.bytes)
    this.#timer = setTimeout(
      () => {
        this.#attack.tell(round.isLast ? "left waiting for more" : "no answer")
        this.#socket.destroy()
      },
      round.isLast ? close_ms : answer_ms,
    )
  }

  #count(frames: number): void {
    if (this.#isCounted || this.#attack.isOver) return
    this.#isCounted = true
    this.#attack.count(frames)
  }

  /** In one of the ways in which connections end. */
  #leave(): void {
    clearTimeout(this.#timer)
    const way = this.#dice.below(3)
    if (way === 0) this.#socket.resetAndDestroy()
    else if (way === 1) this.#socket.destroy()
    else {
      this.#socket.end()
      this.#timer = setTimeout(() => this.#socket.destroy(), close_ms)
    }
  }
}
