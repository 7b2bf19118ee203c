import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { topicsOf } from "./Topics.ts"

it("names each topic that an installation can be given", () => {
  const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8")
  const settings = [...page.matchAll(/^\| `(NIMBUS_KAFKA_[A-Z]+_TOPIC)`/gm)].map(([, name]) => name)
  assert.isNotEmpty(settings)
  assert.deepStrictEqual(Object.keys(topicsOf("own")).toSorted(), settings.toSorted())
})
