/** The demo's counts: one row for each party that sent something, held to what came of it. Pure. */
import type { EventId } from "@nimbus/domain/protocol"
import type { Account, Received } from "./Account.ts"

export interface Row {
  readonly name: string
  readonly sent: number
  readonly accepted: number
  /** Of what was sent, how much has its right result. */
  readonly received: number
  /** Results that should be there and are not. */
  readonly lost: number
  /** Results shown again, or that nobody had asked for. */
  readonly repeated: number
  /** Results shown after a later one, by seq or by number. */
  readonly outOfOrder: number
}

/** The row of a client: whatever it sent must have its result, the square. */
export const clientRow = (name: string, account: Account): Row => {
  const results = account.received.filter((item) => item.name !== messageName)
  const row = rowOf(name, account, results, (number) => ({ number, result: number ** 2 }))
  return { ...row, lost: row.sent - row.received }
}

/** The row of the messages to a client: whatever was accepted must have come to it. */
export const messagesRow = (name: string, sender: Account, client: Account): Row => {
  const results = client.received.filter((item) => item.name === messageName)
  return rowOf(name, sender, results, (number) => ({ number }))
}

/** The name that the demo's messages have. */
export const messageName = "note"

const rowOf = (
  name: string,
  { accepted, sent }: Pick<Account, "sent" | "accepted">,
  results: ReadonlyArray<Received>,
  expected: (number: number) => object,
): Row => {
  const seen = new Set<EventId>()
  const right = new Set<EventId>()
  let repeated = 0
  let outOfOrder = 0
  let last = { life: 0, seq: -1, number: 0 }
  for (const { data, id, life, seq } of results) {
    const number = sent.get(id)
    if (number === undefined || seen.has(id)) {
      repeated += 1
      continue
    }
    seen.add(id)
    if (JSON.stringify(data) === JSON.stringify(expected(number))) right.add(id)
    if ((life === last.life && seq <= last.seq) || number < last.number) outOfOrder += 1
    else last = { life, seq, number }
  }
  const taken = new Set([...accepted, ...right])
  const lost = taken.size - right.size
  return { name, sent: sent.size, accepted: taken.size, received: right.size, lost, repeated, outOfOrder }
}

export const totalOf = (rows: ReadonlyArray<Row>) => ({
  lost: sum(rows.map((row) => row.lost)),
  repeated: sum(rows.map((row) => row.repeated)),
  outOfOrder: sum(rows.map((row) => row.outOfOrder)),
})

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

const columns = ["sent", "accepted", "received", "lost", "repeated", "out of order"] as const

export const table = (rows: ReadonlyArray<Row>): string => {
  const left = Math.max(...rows.map(({ name }) => name.length))
  const line = (name: string, cells: ReadonlyArray<string | number>) =>
    [name.padEnd(left), ...cells.map((cell, i) => String(cell).padStart(Math.max(8, columns[i]!.length)))].join("  ")
  return [
    line("", columns),
    ...rows.map((row) =>
      line(row.name, [row.sent, row.accepted, row.received, row.lost, row.repeated, row.outOfOrder]),
    ),
  ].join("\n")
}
