#!/usr/bin/env node
/** Runs one gateway of a cluster, until a signal comes. */
import { checkNode } from "../NodeVersion.ts"

checkNode()
const { run } = await import("./GatewayProcess.ts")
run()
