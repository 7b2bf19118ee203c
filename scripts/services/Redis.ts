/**
 * Redis without persistence: a restart finds it empty, unless a test told it to SAVE before. Then it starts with that
 * older state.
 */
import type { Plan } from "./Service.ts"
import { ask, findProgram } from "./Tools.ts"

export const missing = (): string | undefined =>
  findProgram("redis-server") === undefined ? "redis-server is not installed" : undefined

export const plan = (port: number): Plan => ({
  name: "redis",
  address: `127.0.0.1:${port}`,
  environment: { NIMBUS_REDIS_ADDRESS: `127.0.0.1:${port}` },
  command: findProgram("redis-server") ?? "redis-server",
  args: `--bind 127.0.0.1 --port ${port} --dir . --appendonly no --maxmemory-policy noeviction --save`
    .split(" ")
    .concat(""),
  stop_signal: "SIGTERM",
  isReady: async () => (await ask(port, Buffer.from("PING\r\n")))?.toString().startsWith("+PONG") ?? false,
})
