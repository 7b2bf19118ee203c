/** What one request may still look through of the log: who runs an operation for somebody says how much. */
import { Context } from "effect"

export class ReadMeter {
  left_bytes: number

  constructor(bytes: number) {
    this.left_bytes = bytes
  }

  /** Of the request that this is done for. Without one, as in a command: endless. */
  static readonly current = Context.Reference<ReadMeter>("@nimbus/gateway/ReadMeter", {
    defaultValue: () => new ReadMeter(Infinity),
  })
}
