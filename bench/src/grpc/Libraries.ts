/**
 * The libraries for the gRPC transport beside each other, as bare echo servers: messages per second, and what a reader
 * that stalls costs.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { sleep } from "../Load.ts"
import { connectGrpc, events } from "./GrpcLoad.ts"

export const libraries = ["grpc-js", "connect", "http2"] as const
export type Library = (typeof libraries)[number]

export interface EchoServer {
  readonly port: number
  /** Resident bytes now. */
  rss(): number
  stop(): Promise<void>
}

export const startGrpcEcho = async (library: Library): Promise<EchoServer> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("echo.ts", import.meta.url)), library], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const end = () => child.kill("SIGKILL")
  process.once("exit", end)
  const [line] = await once(createInterface({ input: child.stdout }), "line")
  return {
    port: Number(line),
    rss: () => rss(child),
    stop: async () => {
      child.kill()
      await once(child, "exit")
      process.off("exit", end)
    },
  }
}

const rss = (child: ChildProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024

/** 100 clients that read nothing send 100,000 events each: how much the server grows by, in MiB. */
export const stalled = async (server: EchoServer): Promise<number> => {
  const before = server.rss()
  const clients = await Promise.all(
    Array.from({ length: 100 }, (_, i) => connectGrpc({ port: server.port, clientId: `s${i}`, underWay: 0 })),
  )
  for (const { stream } of clients) stream.pause()
  const bytes = events(100_000)
  for (const { stream } of clients) stream.write(bytes)
  await sleep(3_000)
  const grown_bytes = server.rss() - before
  for (const client of clients) client.close()
  return grown_bytes / 1024 / 1024
}
