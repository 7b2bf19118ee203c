#!/usr/bin/env node
/** Runs one pipeline process of a cluster, with the handlers that the environment names, until a signal comes. */
import { checkNode } from "../NodeVersion.ts"

checkNode()
const [{ layer }, { main }] = await Promise.all([import("../EnvironmentHandlers.ts"), import("./PipelineProcess.ts")])
main(layer)
