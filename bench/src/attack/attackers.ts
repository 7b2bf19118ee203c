/** All attackers, in one process, which has less of the processor than those whom it attacks and those who measure. */
import { setPriority } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { attacks } from "./attacks/index.ts"
import { Field } from "./Field.ts"
import { AttackOrder, type AttackReport } from "./Talks.ts"

const niceness = 10
setPriority(niceness)

const run = async ({ attack: name, ports, seconds }: typeof AttackOrder.Type): Promise<AttackReport> => {
  const attack = attacks.find((attack) => attack.name === name)
  if (attack === undefined) throw new Error(`no attack ${name}`)
  const field = new Field(ports)
  const [began_ms, before] = [performance.now(), process.cpuUsage()]
  attack.begin(field)
  await sleep(seconds * 1_000)
  const { system, user } = process.cpuUsage(before)
  const took_ms = performance.now() - began_ms
  field.over()
  return { ...field.achieved, took_ms, cpu_ms: (system + user) / 1_000 }
}

const decode = Schema.decodeUnknownSync(AttackOrder)

process.on("message", async (message) => void process.send?.(await run(decode(message))))
process.once("disconnect", () => process.exit())
