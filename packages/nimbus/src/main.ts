#!/usr/bin/env node
/**
 * The `nimbus` command: `Program.ts`, compiled once and kept for the next time, which takes most of a command's time. Where
 * it can't be kept, as in a directory that is not ours to write to, it is compiled each time.
 */
import { fileURLToPath } from "node:url"
import { checkNode } from "./NodeVersion.ts"

checkNode()
const { enableCompileCache } = await import("node:module")
// Not in the system's temporary directory, where others could lay down what we run.
enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/compiled", import.meta.url)))
await import("./Program.ts")
