/**
 * `npm run fuzz -- --transport all --frames 1000000 --seed 1`: hostile frames for one transport after the other, each
 * on a server of its own, while honest clients use all transports. Ends with 1 if anything is not as it should be.
 *
 * The seed decides what is said; how the connections take turns is the machine's affair.
 */
import { parseArgs } from "node:util"
import { boundOf, transports, fuzz, megabytes, type Report } from "./Fuzz.ts"

const { values } = parseArgs({
  options: {
    /** One of the transports, or all. */
    transport: { type: "string", default: "all" },
    /** For each transport. */
    frames: { type: "string", default: "1000000" },
    /** For each transport, after which it is left with fewer frames. */
    seconds: { type: "string" },
    seed: { type: "string", default: "1" },
    /** The server has locks. */
    locks: { type: "boolean", default: false },
  },
})

const chosen = values.transport === "all" ? transports : transports.filter(({ name }) => name === values.transport)
const most_ms = values.seconds === undefined ? undefined : Number(values.seconds) * 1000
const [frames, seed] = [Number(values.frames), Number(values.seed)]
if (chosen.length === 0 || !Number.isInteger(frames) || frames < 10 || !Number.isInteger(seed)) {
  console.error(`--transport all|${transports.map(({ name }) => name).join("|")} --frames 10 or more --seed a number`)
  process.exit(2)
}

const cells = ({
  after,
  attacks,
  before,
  delay_ms,
  half,
  honest,
  took_ms,
}: Report): ReadonlyArray<ReadonlyArray<string>> =>
  attacks.map(({ connections, transport, frames, outcomes }) => [
    transport.name,
    String(frames),
    String(connections),
    (took_ms / 1000).toFixed(0),
    ((frames / took_ms) * 1000).toFixed(0),
    String(honest.reduce((sum, { sent }) => sum + sent, 0)),
    `${megabytes(before.rss_bytes)}, ${megabytes(half.rss_bytes)}, ${megabytes(after.rss_bytes)} (${megabytes(boundOf(half))})`,
    `${before.sockets}, ${after.sockets}`,
    `${before.handles}, ${after.handles}`,
    delay_ms.toFixed(0),
    [...outcomes]
      .toSorted(([, a], [, b]) => b - a)
      .map(([outcome, count]) => `${outcome} ${count}`)
      .join(", "),
  ])

const header = [
  "transport",
  "frames read",
  "connections",
  "s",
  "frames/s",
  "honest events",
  "MB before, at half, after (bound)",
  "sockets before, after",
  "handles before, after",
  "longest stall, ms",
  "outcomes",
]

const print = (row: ReadonlyArray<string>): void => console.log(`| ${row.join(" | ")} |`)

const rows: Array<ReadonlyArray<string>> = []
for (const transport of chosen) {
  const report = await fuzz({
    transports: [transport],
    frames,
    seed,
    most_ms,
    isLocked: values.locks,
    report: (line) => console.error(line),
  })
  rows.push(...cells(report))
  for (const breach of report.breaches) {
    process.exitCode = 1
    console.error(`BREACH (${transport.name}, seed ${seed}): ${breach}`)
  }
}
for (const row of [header, header.map(() => "---"), ...rows]) print(row)
console.log(process.exitCode === 1 ? "There were breaches." : "Nothing was harmed.")
