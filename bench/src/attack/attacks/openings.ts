/** Sessions that are opened and closed, of one client and of ever new ones. */
import { upgrade } from "../../fuzz/WebSocketTalk.ts"
import type { Attack, Field } from "../Field.ts"
import { converse } from "../Flood.ts"

const loops = 16

/** Leaves as soon as the server has answered. */
const openAndClose = (field: Field, nameOf: () => string): void =>
  converse(
    field,
    "http",
    [{ says: upgrade(`/v1/stream?clientId=${nameOf()}`), until: "101 Switching" }],
    (socket) => {
      field.sent++
      field.leave(socket)
    },
    () => openAndClose(field, nameOf),
  )

export const openings: ReadonlyArray<Attack> = [
  {
    name: "openings-one",
    what: "16 connections of one client open and close",
    begin: (field) => {
      for (let n = 0; n < loops; n++) openAndClose(field, () => "attacker-one")
    },
  },
  {
    name: "openings-fresh",
    what: "16 connections open and close, each as another client",
    begin: (field) => {
      for (let n = 0; n < loops; n++) openAndClose(field, () => field.name("fresh"))
    },
  },
]
