/**
 * What a hostile connection says, in rounds: some hostile frames, then a fence, which is something valid that the server
 * answers in its turn. The answer shows that the frames before it were read. A round whose last frame breaks the
 * connection itself has no fence; it is over when the server closes.
 */
import type { Dice } from "@nimbus/domain/testing/dice"
import type { Tokens } from "./Tokens.ts"

export interface Round {
  readonly bytes: Buffer
  /** Hostile frames in it. */
  readonly frames: number
  /** The server can't go on after this one. */
  readonly isLast: boolean
}

export interface Talk {
  /** What the connection begins with; at times hostile itself. */
  opening(): Round
  round(): Round
  /** Reads what the server says; returns whether the last round, or the opening, was answered by it. */
  hear(chunk: Buffer): boolean
  /** The server has said that it closes, and waits for our word. */
  readonly isClosing: boolean
}

export interface TalkOptions {
  readonly dice: Dice
  readonly client: string
  /** Where the server has locks. */
  readonly tokens?: Tokens | undefined
  /** Counts an outcome. */
  readonly tell: (outcome: string) => void
}

export interface HostileTransport {
  readonly name: string
  readonly port: "http" | "grpc"
  /** Rounds after which a connection is left. */
  readonly rounds: number
  readonly talk: (options: TalkOptions) => Talk
}

/** Splits a stream into frames of which `sizeOf` knows the whole length, or not yet. */
export class Splitter {
  #rest: Buffer = Buffer.alloc(0)
  readonly #sizeOf: (bytes: Buffer, at: number) => number | undefined

  constructor(sizeOf: (bytes: Buffer, at: number) => number | undefined) {
    this.#sizeOf = sizeOf
  }

  take(chunk: Buffer): ReadonlyArray<Buffer> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Array<Buffer> = []
    let at = 0
    for (;;) {
      const size = this.#sizeOf(bytes, at)
      if (size === undefined || at + size > bytes.length) break
      frames.push(bytes.subarray(at, at + size))
      at += size
    }
    this.#rest = bytes.subarray(at)
    return frames
  }
}
