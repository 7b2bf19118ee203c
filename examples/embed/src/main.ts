import { Console, Effect } from "effect"
import { layer, orderAs } from "./Orders.ts"

const program = Effect.flatMap(orderAs("ada", "tea", 2), (result) => Console.log(result.data))

await Effect.runPromise(Effect.provide(program, layer))
