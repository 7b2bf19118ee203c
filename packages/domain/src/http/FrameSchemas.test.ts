import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ClientFrame, ServerFrame } from "../protocol/Frames.ts"
import { framesJsonSchema } from "./FrameSchemas.ts"

const document = framesJsonSchema()
const definitions = Object(document["$defs"])

/** With every reference replaced by what it names, and without descriptions. */
const plain = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(plain)
  if (typeof schema !== "object" || schema === null) return schema
  if ("$ref" in schema) return plain(definitions[String(schema.$ref).replace("#/$defs/", "")])
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => key !== "description" || typeof value !== "string")
      .map(([key, value]) => [key, plain(value)]),
  )
}

describe("framesJsonSchema", () => {
  it.each([
    ["ClientFrame", ClientFrame],
    ["ServerFrame", ServerFrame],
  ] as const)("says of a %s what its decoder says, and nothing else", (name, schema) => {
    assert.deepStrictEqual(plain(definitions[name]), Schema.toJsonSchemaDocument(schema).schema)
  })

  it("describes every definition", () => {
    assert.isAbove(Object.keys(definitions).length, 14)
    const bare = Object.entries(definitions).filter(([, schema]) => !Object(schema).description)
    assert.deepStrictEqual(bare, [])
  })
})
