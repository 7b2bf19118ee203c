/**
 * `npm run attack -- --seconds 30 --attacks all`: attack after attack on one server with a heap of 300 MB, while an honest
 * client sends 20 events a second. Ends with 1 if a promise is broken (`Judgement.ts`).
 */
import { parseArgs } from "node:util"
import { megabytes } from "../fuzz/Fuzz.ts"
import { attacks } from "./attacks/index.ts"
import type { Measured, Row } from "./Sieges.ts"
import { besiege } from "./Sieges.ts"

const { values } = parseArgs({
  options: {
    /** Names with commas between them, or all. */
    attacks: { type: "string", default: "all" },
    /** Of each attack. */
    seconds: { type: "string", default: "30" },
    /** How long connections and memory may take to return. */
    settle: { type: "string", default: "60" },
    /** Between two of them. */
    calm: { type: "string", default: "5" },
  },
})

const names = values.attacks.split(",")
const chosen = values.attacks === "all" ? attacks : attacks.filter(({ name }) => names.includes(name))
const [seconds, calm_seconds, settle_seconds] = [Number(values.seconds), Number(values.calm), Number(values.settle)]
const isWithin = (n: number, least: number, most: number): boolean => n >= least && n <= most
const isPossible = isWithin(seconds, 1, 3_600) && isWithin(calm_seconds, 0, 60) && isWithin(settle_seconds, 1, 600)
const isKnown = values.attacks === "all" || chosen.length === names.length
if (!isKnown || !isPossible) {
  console.error(
    `--attacks all|${attacks.map(({ name }) => name).join(",")} --seconds 1 to 3600 --calm 0 to 60 --settle 1 to 600`,
  )
  process.exit(2)
}

const header = [
  "attack",
  "sent/s",
  "connections (ended)",
  "refused by the server",
  "honest p50, p99, max, ms",
  "of events",
  "missing, repeated",
  "event loop stood still, ms",
  "heap and buffers before, peak, after, MB",
  "resident before, peak, after, MB",
  "sockets before, after",
  "settled after, s",
  "cores: server, attackers",
  "verdict",
]

const whole = (n: number | undefined): string => (n === undefined ? "none" : n.toFixed(0))

const cells = ({ achieved, after, before, during, honest, refused, rss_peak_bytes, settled_ms }: Measured) => [
  whole((achieved.sent / achieved.took_ms) * 1_000),
  `${achieved.connections} (${achieved.ended})`,
  [...refused].map(([code, count]) => `${code} ${count}`).join(", ") || "nothing",
  [honest.p50_ms, honest.p99_ms, honest.max_ms].map(whole).join(", "),
  String(honest.sent),
  `${honest.missing}, ${honest.repeated + honest.disordered}`,
  `${whole(during.delay_ms)} (its own ${whole(honest.own_stall_ms)})`,
  [before.memory_bytes, during.peak_bytes, after.memory_bytes].map(megabytes).join(", "),
  [before.rss_bytes, rss_peak_bytes, after.rss_bytes].map(megabytes).join(", "),
  `${before.sockets}, ${after.sockets}`,
  (settled_ms / 1_000).toFixed(1),
  `${((during.cpu_ms - before.cpu_ms) / achieved.took_ms).toFixed(2)}, ${(achieved.cpu_ms / achieved.took_ms).toFixed(2)}`,
]

const rowOf = ({ attack, breaches, measured }: Row): ReadonlyArray<string> => [
  attack.name,
  ...(measured === undefined ? header.slice(2).map(() => "") : cells(measured)),
  breaches.length === 0 ? "held" : "**broken**",
]

const print = (row: ReadonlyArray<string>): void => console.log(`| ${row.join(" | ")} |`)

print(header)
print(header.map(() => "---"))
const report = (row: Row): void => {
  print(rowOf(row))
  for (const breach of row.breaches) console.error(`BREACH (${row.attack.name}: ${row.attack.what}): ${breach}`)
}
const rows = await besiege({ attacks: chosen, seconds, calm_seconds, settle_ms: settle_seconds * 1_000, report })
const broken = rows.filter(({ breaches }) => breaches.length > 0)
const isWhole = rows.length === chosen.length && broken.length === 0
console.log(
  isWhole
    ? `All ${rows.length} attacks were withstood.`
    : `${broken.length} of ${chosen.length} attacks broke a promise.`,
)
process.exitCode = isWhole ? 0 : 1
