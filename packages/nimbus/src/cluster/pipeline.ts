#!/usr/bin/env node
/** Runs one pipeline process of a cluster with the sample handlers, until a signal comes. */
import { checkNode } from "../NodeVersion.ts"

checkNode()
const [{ Handlers }, { run }] = await Promise.all([import("@nimbus/domain"), import("./PipelineProcess.ts")])
run(Handlers.layer(Handlers.samples))
