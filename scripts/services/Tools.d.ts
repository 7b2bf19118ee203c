/** A line on stderr: stdout belongs to the command that the services are for. */
export declare const report: (line: string) => void
/** Where a program is: on the PATH, or where Debian hides the programs of PostgreSQL. */
export declare const findProgram: (name: string) => string | undefined
export interface RunOptions {
  readonly timeout_ms: number
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly user?: User | undefined
}
/** Runs a program to its end; returns what it printed, or fails with the end of that. */
export declare const run: (command: string, args: ReadonlyArray<string>, options: RunOptions) => Promise<string>
/** For apt-get: downloads again what a network lost, and waits for another apt that is at work. */
export declare const aptPatience: string[]
export interface User {
  readonly uid: number
  readonly gid: number
}
/** Whom to run a program as that refuses to run as root; `undefined`: as we are. */
export declare const unprivileged: () => User | undefined
/**
 * Ports that nobody listens on, all different. They lie below those that a system hands out on its own, so nobody gets
 * one by chance between now and when it is listened on.
 */
export declare const freePorts: (count: number) => Promise<ReadonlyArray<number>>
/** One of those ports. */
export declare const at: (ports: ReadonlyArray<number>, index: number) => number
/** Asks one question over TCP; returns the first bytes that come back, or nothing within `timeout_ms`. */
export declare const ask: (port: number, question: Uint8Array, timeout_ms?: number) => Promise<Buffer | undefined>
/** Until `condition` holds; `false` when it did not within `within_ms`. */
export declare const until: (condition: () => boolean | Promise<boolean>, within_ms: number) => Promise<boolean>
