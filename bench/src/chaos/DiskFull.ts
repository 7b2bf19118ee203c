/**
 * The embedded server on a disk of its own, a small tmpfs, that somebody fills: once while it runs, and once more with
 * the server killed on the full disk. Needs the right to mount.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { startReaper } from "../../../scripts/services/Reaper.ts"
import { at, freePorts, run } from "../../../scripts/services/Tools.ts"
import { ClusterNode } from "./Cluster.ts"
import type { Fault } from "./Faults.ts"
import { Fleet } from "./Fleet.ts"
import { judge } from "./Judgement.ts"
import { recover, type Recovery } from "./Recovery.ts"
import { printTable } from "./Table.ts"

export interface DiskFullOptions {
  readonly clients: number
  /** Events per second of each client. */
  readonly rate: number
  readonly logs: string | undefined
  readonly say: (line: string) => void
}

const disk_mb = 64
const full_ms = 8_000
const mount_timeout_ms = 5_000

/** Whether it was survived. */
export const diskFull = async ({ clients, logs, rate, say }: DiskFullOptions): Promise<boolean> => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-disk-"))
  const disk = join(directory, "disk")
  mkdirSync(disk)
  await run("mount", ["-t", "tmpfs", "-o", `size=${disk_mb}m`, "nimbus-chaos", disk], { timeout_ms: mount_timeout_ms })
  const reaper = startReaper(directory)
  const fleet = new Fleet({
    clients,
    processes: 2,
    rate,
    batch: 3,
    asksTasks: false,
    directory: join(directory, "memories"),
  })
  const logDirectory = resolve(logs ?? directory)
  mkdirSync(logDirectory, { recursive: true })
  const node = new ClusterNode({
    role: "embedded",
    port: at(await freePorts(1), 0),
    environment: { NIMBUS_DATA: join(disk, "data"), NIMBUS_STORAGE: "none" },
    directory: logDirectory,
    onChange: () => reaper.watch([...(node.group === undefined ? [] : [node.group]), ...fleet.groups]),
  })
  const check = () => {
    if (node.failure !== undefined) throw new Error(node.failure)
  }
  const recoveries: Array<Recovery> = []
  try {
    await node.start()
    await fleet.begin(() => `ws://127.0.0.1:${node.port}`)
    await recover({ name: "connecting", strike: async () => {}, mend: async () => {} }, fleet, check)
    for (const fault of diskFaults(disk, node, fleet, say)) {
      say(fault.name)
      recoveries.push(await recover(fault, fleet, check))
    }
    const isSound = await judge(fleet)
    check()
    printTable(recoveries)
    return isSound
  } finally {
    await fleet.leave()
    await node.end("SIGTERM")
    await run("umount", ["--lazy", disk], { timeout_ms: mount_timeout_ms })
    await reaper.finish()
  }
}

const diskFaults = (
  disk: string,
  node: ClusterNode,
  fleet: Fleet,
  say: (line: string) => void,
): ReadonlyArray<Fault> => {
  const filler = join(disk, "filler")
  const stayFull = async () => {
    const { accepted } = fleet.progress
    await sleep(full_ms)
    say(`  ${fleet.progress.accepted - accepted} events accepted on the full disk`)
  }
  return [
    {
      name: `disk full for ${full_ms / 1000} s`,
      strike: async () => fill(filler),
      mend: async () => {
        await stayFull()
        rmSync(filler)
      },
    },
    {
      name: `disk full for ${full_ms / 1000} s, server killed on it`,
      strike: async () => fill(filler),
      mend: async () => {
        await stayFull()
        await node.end("SIGKILL")
        rmSync(filler)
        await node.start()
      },
    },
  ]
}

/** Takes what is free, to the last block. */
const fill = (path: string): void => {
  const file = openSync(path, "w")
  for (let size = 1024 * 1024; size >= 4_096;) {
    try {
      writeSync(file, Buffer.alloc(size))
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error
      size /= 2
    }
  }
  closeSync(file)
}
