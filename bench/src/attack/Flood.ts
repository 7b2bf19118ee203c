/** Connections on which, after an opening, the same is said again and again, as fast as it is taken. */
import type { Socket } from "node:net"
import type { Field, Port } from "./Field.ts"

export interface Flood {
  readonly port: Port
  readonly connections: number
  /** What is said first, step by step. `n` is the same for a connection that comes again. */
  readonly opening: (n: number) => ReadonlyArray<Step>
  /** Said from then on. */
  readonly chunk: Chunk
  /** Whether it reads once it is open. */
  readonly reads: boolean
  /** The chunk is said only once, and the connection stays. */
  readonly once?: boolean
}

export interface Step {
  readonly says: Buffer
  /** What the server answers before it goes on. Without it, nothing is waited for. */
  readonly until?: string
}

export interface Chunk {
  readonly bytes: Buffer
  /** Frames, requests or calls in it. */
  readonly count: number
}

/** So many of them that they are worth a write. */
export const chunkOf = (frames: ReadonlyArray<Buffer>, bytes = 64 * 1024): Chunk => {
  const all = Buffer.concat(frames)
  const times = Math.max(1, Math.floor(bytes / all.length))
  return { bytes: Buffer.concat(Array.from({ length: times }, () => all)), count: times * frames.length }
}

export const flood =
  (options: Flood) =>
  (field: Field): void => {
    for (let n = 0; n < options.connections; n++) open(field, options, n)
  }

const open = (field: Field, options: Flood, n: number): void => {
  const begin = (socket: Socket): void => {
    if (!options.reads) socket.pause()
    say(field, socket, options)
  }
  converse(field, options.port, options.opening(n), begin, () => open(field, options, n))
}

/** Connects, and goes through the steps; then `begin`. When it is closed, `end`. */
export const converse = (
  field: Field,
  port: Port,
  steps: ReadonlyArray<Step>,
  begin: (socket: Socket) => void,
  end: () => void,
): void => {
  let at = 0
  let socket: Socket | undefined
  const goOn = (): void => {
    if (socket === undefined) return
    const step = steps[at]
    if (step === undefined) return begin(socket)
    socket.write(step.says)
    if (step.until !== undefined) return
    at++
    goOn()
  }
  const onData = (piece: Buffer): void => {
    const until = steps[at]?.until
    if (until === undefined || !piece.includes(until)) return
    at++
    goOn()
  }
  field.connect(
    port,
    { onData, reads: true },
    (connected) => {
      socket = connected
      goOn()
    },
    end,
  )
}

const say = (field: Field, socket: Socket, options: Flood): void => {
  socket.write(options.chunk.bytes, (error) => {
    if (error != null || field.isOver) return
    field.sent += options.chunk.count
    if (options.once !== true) say(field, socket, options)
  })
}
