/** A socket: frames in order, each way, until it dies with all that is in it. The two ends learn that at different times. */
import type { Cursor, Item, Seq, Status } from "@nimbus/domain/protocol"

export type Frame =
  | { readonly _tag: "Welcome"; readonly after: Cursor }
  | { readonly _tag: "Result"; readonly item: Item }
  | { readonly _tag: "Status"; readonly status: Status.StatusName }
  | { readonly _tag: "Lost"; readonly after: Cursor; readonly upTo: Seq | undefined }

export class Socket {
  isOpen = true
  private down: Array<Frame> = []
  private up: Array<Seq> = []

  /** Frames on their way to the client. */
  get waiting(): number {
    return this.down.length
  }

  get isIdle(): boolean {
    return this.down.length === 0 && this.up.length === 0
  }

  toClient(frame: Frame): void {
    if (this.isOpen) this.down.push(frame)
  }

  atClient(): Frame | undefined {
    return this.down.shift()
  }

  toGateway(ack: Seq): void {
    if (this.isOpen) this.up.push(ack)
  }

  atGateway(): Seq | undefined {
    return this.up.shift()
  }

  die(): void {
    this.isOpen = false
    this.down = []
    this.up = []
  }
}
