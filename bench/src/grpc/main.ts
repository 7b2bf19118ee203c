/**
 * `npm run bench:grpc -- libraries`: the libraries for the gRPC door beside each other, as bare echo servers of one
 * bidirectional stream each: messages per second, and what a reader that stalls costs the server.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { sleep } from "../Load.ts"
import { connectGrpc, type GrpcClient } from "./GrpcLoad.ts"

const libraries = ["grpc-js", "connect", "http2"] as const
const warm_up_ms = 2_000
const measure_ms = 4_000

const start = async (library: string): Promise<{ readonly child: ChildProcess; readonly port: number }> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("echo.ts", import.meta.url)), library], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  process.once("exit", () => child.kill("SIGKILL"))
  const [line] = await once(createInterface({ input: child.stdout }), "line")
  return { child, port: Number(line) }
}

const rss = (child: ChildProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024

const rate = async (port: number, clients: number, underWay: number): Promise<number> => {
  const all = await Promise.all(
    Array.from({ length: clients }, (_, i) => connectGrpc({ port, clientId: `c${i}`, underWay })),
  )
  await sleep(warm_up_ms)
  const count = () => all.reduce((sum, { received }) => sum + received, 0)
  const [before, from] = [count(), performance.now()]
  await sleep(measure_ms)
  const perSecond = ((count() - before) / (performance.now() - from)) * 1000
  for (const client of all) client.close()
  return perSecond
}

/** 100 clients send a million events each way beyond what they read: [MB that the server took in, MB it grew by]. */
const stalled = async (child: ChildProcess, port: number) => {
  const before = rss(child)
  const clients = await Promise.all(
    Array.from({ length: 100 }, (_, i) => connectGrpc({ port, clientId: `s${i}`, underWay: 0 })),
  )
  for (const { stream } of clients) stream.pause()
  for (const client of clients) client.send(100_000)
  await sleep(3_000)
  const unsent_bytes = clients.reduce((sum: number, { stream }: GrpcClient) => sum + stream.writableLength, 0)
  const grown = (rss(child) - before) / 1024 / 1024
  for (const client of clients) client.close()
  return { grown_mib: grown, unsent_mib: unsent_bytes / 1024 / 1024 }
}

const rows = []
for (const library of libraries) {
  const { child, port } = await start(library)
  const one = await rate(port, 1, 512)
  const hundred = await rate(port, 100, 64)
  const { grown_mib, unsent_mib } = await stalled(child, port)
  rows.push({
    library,
    "1 client, messages/s": Math.round(one),
    "100 clients, messages/s": Math.round(hundred),
    "100 stalled readers, server grows by MiB": Math.round(grown_mib),
    "and leaves unread MiB": Math.round(unsent_mib),
  })
  child.kill()
  await once(child, "exit")
}
console.table(rows)
process.exit(0)
