/**
 * What one client sent and what it was shown, and what of that breaks the promise.
 *
 * A client sends the numbers 1, 2, 3, … to be squared, the next once those before are accepted, and is shown the
 * squares. So whatever was killed meanwhile, it must have been shown exactly 1 to n, where n counts what was accepted.
 */

/** One client's own record, which no fault touches. */
export interface Ledger {
  /** Numbers 1 to this were accepted. */
  accepted: number
  /** The numbers whose squares were shown, in the order in which they were; NaN for anything that is no square. */
  readonly shown: Array<number>
  /** Of each answer that was shown. */
  readonly seqs: Array<number>
}

export interface Breaches {
  /** Accepted, and no answer shown. */
  readonly lost: number
  /** Answers shown again. */
  readonly repeated: number
  /** Answers shown after one of a higher number or seq. */
  readonly outOfOrder: number
  /** Shown, and never sent: errors, notices of loss, anything else. */
  readonly foreign: number
}

export const none: Breaches = { lost: 0, repeated: 0, outOfOrder: 0, foreign: 0 }

export const breachesOf = ({ accepted, seqs, shown }: Ledger): Breaches => {
  const seen = new Set<number>()
  let [repeated, outOfOrder, foreign, highest] = [0, 0, 0, 0]
  let highestSeq = -1
  for (const [i, number] of shown.entries()) {
    const seq = seqs[i] ?? Number.NaN
    if (!(number >= 1 && number <= accepted)) foreign++
    else if (seen.has(number)) repeated++
    else if (number < highest || !(seq > highestSeq)) outOfOrder++
    seen.add(number)
    highest = Math.max(highest, number)
    highestSeq = Math.max(highestSeq, seq)
  }
  let lost = 0
  for (let number = 1; number <= accepted; number++) if (!seen.has(number)) lost++
  return { lost, repeated, outOfOrder, foreign }
}

/** What can be judged while more is under way: answers come in order, so what is missing before the last is lost. */
export const upToLastShown = (ledger: Ledger): Ledger => ({
  ...ledger,
  accepted: Math.max(0, ...ledger.shown.slice(-1).filter(Number.isFinite)),
})

/** What came after `earlier` was counted. */
export const since = (earlier: Breaches, all: Breaches): Breaches => ({
  lost: all.lost - earlier.lost,
  repeated: all.repeated - earlier.repeated,
  outOfOrder: all.outOfOrder - earlier.outOfOrder,
  foreign: all.foreign - earlier.foreign,
})

export const sum = (all: ReadonlyArray<Breaches>): Breaches => ({
  lost: total(all.map(({ lost }) => lost)),
  repeated: total(all.map(({ repeated }) => repeated)),
  outOfOrder: total(all.map(({ outOfOrder }) => outOfOrder)),
  foreign: total(all.map(({ foreign }) => foreign)),
})

export const isSound = ({ foreign, lost, outOfOrder, repeated }: Breaches): boolean =>
  foreign + lost + outOfOrder + repeated === 0

/** What is needed to find out about a breach: the first places where what was shown is not the next number. */
export const detailsOf = ({ accepted, seqs, shown }: Ledger): string => {
  const places = shown.flatMap((number, i) => (number === (shown[i - 1] ?? 0) + 1 ? [] : i)).slice(0, 3)
  const around = (i: number) =>
    [i - 1, i, i + 1].map((at) => (shown[at] === undefined ? "none" : `${shown[at]} (seq ${seqs[at]})`)).join(", ")
  return [`${accepted} accepted, the last shown is ${shown.at(-1)}`, ...places.map(around)].join("; ")
}

const total = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, number) => sum + number, 0)
