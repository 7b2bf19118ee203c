/**
 * Leaves nothing behind, however the parent ends: a shell of its own session that knows the process groups to kill and
 * the directory to remove, and does both when its stdin closes. A parent that dies, by SIGKILL too, closes it.
 */
import { spawn } from "node:child_process"

/** Reads lines, each with all the groups there are; acts by the last of them. */
const script = `
trap "" HUP INT TERM
groups=
while read -r line; do groups=$line; done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
i=0
while [ $i -lt 50 ] && ! rm -rf "$1" 2>/dev/null; do i=$((i + 1)); sleep 0.1; done
`

export interface Reaper {
  /** Tells it the process groups that run now: all of them. */
  watch(groups: ReadonlyArray<number>): void
  /** Kills what is left and removes the directory. */
  finish(): Promise<void>
}

export const startReaper = (directory: string): Reaper => {
  const child = spawn("/bin/sh", ["-c", script, "reaper", directory], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  // Killed by somebody: there is nobody to tell then, and `finish` finds it gone.
  child.stdin.on("error", () => {})
  child.unref()
  return {
    watch: (groups) => {
      child.stdin.write(`${groups.join(" ")}\n`)
    },
    finish: () => {
      child.ref()
      child.stdin.end()
      return ended
    },
  }
}
