/** Changes what a class of kafkajs does, in this process and once: what it has no option for. */
import { createRequire } from "node:module"
import { Predicate } from "effect"

/** `path` is below kafkajs's `src`. Another version of kafkajs may not have these methods: that ends the start. */
export const mend = <Prototype>(
  path: string,
  methods: ReadonlyArray<keyof Prototype & string>,
  change: (prototype: Prototype) => void,
): void => {
  if (mended.has(path)) return
  const module: unknown = createRequire(import.meta.url)(`kafkajs/src/${path}`)
  const hasThem = (u: unknown): u is Prototype =>
    methods.every((name) => Predicate.hasProperty(u, name) && typeof u[name] === "function")
  if (!Predicate.hasProperty(module, "prototype") || !hasThem(module.prototype)) {
    throw new Error(`this kafkajs has no ${methods.join(", ")} in ${path}`)
  }
  change(module.prototype)
  mended.add(path)
}

const mended = new Set<string>()
