import { assert, it } from "@effect/vitest"
import { timeoutOf } from "./Deadline.ts"

it.each([
  [undefined, undefined],
  ["0m", 0],
  ["1n", 1],
  ["2500u", 3],
  ["250m", 250],
  ["10S", 10_000],
  ["2M", 120_000],
  ["1H", 3_600_000],
  ["99999999H", undefined],
])("a call with grpc-timeout %s has %s ms", (timeout, ms) => assert.strictEqual(timeoutOf(timeout), ms))
