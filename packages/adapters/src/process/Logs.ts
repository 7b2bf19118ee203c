/** What a process says of its work: each in one line, on stdout, as `name=value`. */
import { Logger } from "effect"

export const layer = Logger.layer([Logger.consoleLogFmt])
