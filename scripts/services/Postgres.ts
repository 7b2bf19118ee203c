/** PostgreSQL with one superuser, `nimbus`, who needs no password. It refuses to run as root: see `unprivileged`. */
import { chownSync } from "node:fs"
import { join } from "node:path"
import type { Plan } from "./Service.ts"
import { findProgram, run, unprivileged } from "./Tools.ts"

export const missing = (): string | undefined => {
  const absent = ["initdb", "postgres", "pg_isready"].filter((name) => program(name) === undefined)
  return absent.length > 0 ? `${absent.join(", ")} of PostgreSQL not installed` : undefined
}

export const plan = (directory: string, port: number): Plan => {
  const user = unprivileged()
  const data = join(directory, "data")
  const url = `postgres://nimbus@127.0.0.1:${port}/postgres`
  return {
    name: "postgres",
    address: `127.0.0.1:${port}`,
    environment: { NIMBUS_POSTGRES_URL: url },
    command: program("postgres") ?? "postgres",
    args: ["-D", data, "-h", "127.0.0.1", "-p", `${port}`, "-k", directory],
    user,
    // Does not wait for its clients to leave, as SIGTERM would.
    stop_signal: "SIGINT",
    prepare: async () => {
      if (user !== undefined) chownSync(directory, user.uid, user.gid)
      const args = ["-D", data, "-U", "nimbus", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
      await run(program("initdb") ?? "initdb", args, { timeout_ms: 60_000, user })
    },
    isReady: () =>
      run(program("pg_isready") ?? "pg_isready", ["-q", "-d", url], { timeout_ms: 2_000 }).then(
        () => true,
        () => false,
      ),
  }
}

const program = findProgram
