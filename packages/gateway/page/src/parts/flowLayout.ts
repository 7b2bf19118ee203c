/** Where the parts of the flow stand, in the units of the drawing. Labels have a line above and a line below their way. */
import type { PlaceName, WayName } from "../state/flow.ts"

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface Route {
  readonly d: string
  /** Of the label's first line. */
  readonly x: number
  readonly y: number
  readonly anchor: "start" | "middle" | "end"
}

export interface Layout {
  readonly viewBox: string
  readonly places: Readonly<Record<PlaceName, Box>>
  readonly ways: Readonly<Record<WayName, Route>>
}

const box = (x: number, y: number): Box => ({ x, y, width: 130, height: 58 })

export const wide: Layout = {
  viewBox: "0 0 960 232",
  places: {
    transports: box(2, 10),
    events: box(278, 10),
    results: box(554, 10),
    dlq: box(828, 10),
    mailboxes: box(828, 166),
  },
  ways: {
    accepted: { d: "M132,39 H275", x: 203, y: 31, anchor: "middle" },
    handled: { d: "M408,39 H551", x: 479, y: 31, anchor: "middle" },
    spilled: { d: "M684,39 H825", x: 754, y: 31, anchor: "middle" },
    put: { d: "M893,68 V163", x: 883, y: 113, anchor: "end" },
    pushed: { d: "M619,68 V115 H95 V71", x: 357, y: 107, anchor: "middle" },
    replayed: { d: "M828,195 H40 V71", x: 357, y: 187, anchor: "middle" },
  },
}

export const narrow: Layout = {
  viewBox: "0 0 340 490",
  places: {
    transports: box(2, 6),
    events: box(2, 112),
    results: box(2, 218),
    dlq: box(2, 324),
    mailboxes: box(2, 428),
  },
  ways: {
    accepted: { d: "M67,64 V109", x: 76, y: 82, anchor: "start" },
    handled: { d: "M67,170 V215", x: 76, y: 188, anchor: "start" },
    spilled: { d: "M67,276 V321", x: 76, y: 294, anchor: "start" },
    put: { d: "M67,382 V425", x: 76, y: 400, anchor: "start" },
    pushed: { d: "M132,247 H190 V46 H135", x: 198, y: 136, anchor: "start" },
    replayed: { d: "M132,457 H326 V22 H135", x: 318, y: 347, anchor: "end" },
  },
}
