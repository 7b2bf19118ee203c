/** All clients, spread over load processes: told what to do, and watched. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type Breaches, sum } from "./Ledger.ts"

interface Placed {
  readonly clientId: string
  readonly url: string
}

export interface Beginning {
  readonly order: "begin"
  readonly clients: ReadonlyArray<Placed>
  readonly directory: string | undefined
  readonly rate: number
  readonly batch: number
  readonly asksTasks: boolean
}

/** Obeyed one after the other, each told to be done. */
export type ToClients =
  | Beginning
  | { readonly order: "move"; readonly clients: ReadonlyArray<{ readonly index: number; readonly url: string }> }
  | { readonly order: "burst"; readonly within_ms: number }
  /** The first of `every` clients sends so many events at once. */
  | { readonly order: "flood"; readonly every: number; readonly count: number }
  | { readonly order: "mark" | "finish" | "review" | "judge" | "leave" }

export interface Numbered {
  readonly number: number
  readonly order: ToClients
}

export interface Progress {
  readonly live: number
  /** Clients that were shown the answer to an event sent after the last mark. */
  readonly answered: number
  readonly accepted: number
  readonly shown: number
  /** That were asked, and those of them that have not ended. */
  readonly tasks: number
  readonly openTasks: number
  readonly failures: ReadonlyArray<string>
}

export type FromClients =
  | ({ readonly about: "progress" } & Progress)
  | { readonly about: "done"; readonly number: number }
  | ({ readonly about: "verdict" } & Verdict)

export interface Verdict {
  readonly breaches: Breaches
  /** A line for each client that something is wrong with. */
  readonly details: ReadonlyArray<string>
}

const program = fileURLToPath(new URL("clients.ts", import.meta.url))

/** One load process, seen from its parent. */
class Squad {
  readonly child: ChildProcess
  progress: Progress = { live: 0, answered: 0, accepted: 0, shown: 0, tasks: 0, openTasks: 0, failures: [] }
  verdict: Verdict | undefined
  ending: string | undefined
  readonly #waiting = new Map<number, () => void>()
  #number = 0

  constructor(onProgress: () => void) {
    this.child = fork(program, { detached: true, stdio: ["ignore", "inherit", "inherit", "ipc"] })
    this.child.on("message", (message: FromClients) => {
      if (message.about === "verdict") this.verdict = message
      else if (message.about === "done") this.#waiting.get(message.number)?.()
      else {
        this.progress = message
        onProgress()
      }
    })
    this.child.once("exit", (code, signal) => {
      this.ending = `a load process ended with ${signal ?? code}`
      onProgress()
      for (const resolve of this.#waiting.values()) resolve()
    })
  }

  obey(order: ToClients): Promise<void> {
    const number = this.#number++
    return new Promise((resolve) => {
      this.#waiting.set(number, () => {
        this.#waiting.delete(number)
        resolve()
      })
      if (this.child.connected) this.child.send({ number, order })
      else resolve()
    })
  }
}

export interface FleetOptions {
  readonly clients: number
  readonly processes: number
  /** For the clients' memories; `undefined`: they are kept in the load processes. */
  readonly directory: string | undefined
  /** Events per second of each client. */
  readonly rate: number
  /** A client sends in batches of one to this. */
  readonly batch: number
  /** Clients ask tasks, too. */
  readonly asksTasks: boolean
}

export class Fleet {
  readonly size: number
  readonly #options: FleetOptions
  readonly #squads: ReadonlyArray<Squad>
  readonly #watchers = new Set<(progress: Progress) => void>()

  constructor(options: FleetOptions) {
    this.size = options.clients
    this.#options = options
    this.#squads = Array.from(
      { length: options.processes },
      () =>
        new Squad(() => {
          for (const watcher of this.#watchers) watcher(this.progress)
        }),
    )
  }

  get groups(): ReadonlyArray<number> {
    return this.#squads.flatMap(({ child }) => child.pid ?? [])
  }

  get progress(): Progress {
    const all = this.#squads.map(({ progress }) => progress)
    const total = (of: (progress: Progress) => number) => all.reduce((sum, progress) => sum + of(progress), 0)
    return {
      live: total(({ live }) => live),
      answered: total(({ answered }) => answered),
      accepted: total(({ accepted }) => accepted),
      shown: total(({ shown }) => shown),
      tasks: total(({ tasks }) => tasks),
      openTasks: total(({ openTasks }) => openTasks),
      failures: [...all.flatMap(({ failures }) => failures), ...this.#squads.flatMap(({ ending }) => ending ?? [])],
    }
  }

  get isWell(): boolean {
    const { answered, live } = this.progress
    return live === this.size && answered === this.size
  }

  /** Calls back at each change, until what it answers is called. */
  watch(watcher: (progress: Progress) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** Begins to send and to receive; `place` says at which gateway a client is. */
  async begin(place: (client: number) => string): Promise<void> {
    const { asksTasks, batch, directory, rate } = this.#options
    await this.#all((squad) => ({
      order: "begin",
      directory,
      rate,
      batch,
      asksTasks,
      clients: this.#of(squad).map((client) => ({ clientId: `chaos-${client}`, url: place(client) })),
    }))
  }

  /** These clients end their lives and begin the next elsewhere. */
  async move(to: ReadonlyMap<number, string>): Promise<void> {
    await this.#all((squad) => ({
      order: "move",
      clients: this.#of(squad).flatMap((client, index) => {
        const url = to.get(client)
        return url === undefined ? [] : [{ index, url }]
      }),
    }))
  }

  async mark(): Promise<void> {
    await this.#all(() => ({ order: "mark" }))
  }

  /** Each client sends within this time, and answers to that are what is waited for. */
  async burst(within_ms: number): Promise<void> {
    await this.#all(() => ({ order: "burst", within_ms }))
  }

  /** One in `every` clients sends so many events at once. */
  async flood(every: number, count: number): Promise<void> {
    await this.#all(() => ({ order: "flood", every, count }))
  }

  async finish(): Promise<void> {
    await this.#all(() => ({ order: "finish" }))
  }

  /** What broke the promise so far, up to the last answer that each client was shown. */
  review(): Promise<Verdict> {
    return this.#ask("review")
  }

  /** The same of everything, after `finish`. */
  judge(): Promise<Verdict> {
    return this.#ask("judge")
  }

  async #ask(order: "review" | "judge"): Promise<Verdict> {
    await this.#all(() => ({ order }))
    const verdicts = this.#squads.flatMap(({ verdict }) => verdict ?? [])
    return { breaches: sum(verdicts.map(({ breaches }) => breaches)), details: verdicts.flatMap((v) => v.details) }
  }

  async leave(): Promise<void> {
    await this.#all(() => ({ order: "leave" }))
  }

  async #all(order: (squad: number) => ToClients): Promise<void> {
    await Promise.all(this.#squads.map((squad, i) => squad.obey(order(i))))
  }

  #of(squad: number): ReadonlyArray<number> {
    return Array.from({ length: this.size }, (_, i) => i).filter((i) => i % this.#squads.length === squad)
  }
}
