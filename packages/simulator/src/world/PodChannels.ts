/** The pods' channels: a publish goes to whoever listens, and says whether anyone does. */
import type { Delivering, PodId, Push } from "@nimbus/domain/protocol"
import { Channel } from "./Channel.ts"

export class PodChannels {
  private readonly inboxes = new Map<PodId, { readonly channel: Channel<Delivering>; isDeaf: boolean }>()
  private pushes: Array<Push> = []

  open(pod: PodId): Channel<Delivering> {
    const channel = new Channel<Delivering>()
    this.inboxes.set(pod, { channel, isDeaf: false })
    return channel
  }

  close(pod: PodId): void {
    this.inboxes.delete(pod)
  }

  /** While a pod is deaf, what is published to it has no receiver. */
  deafen(pod: PodId, isDeaf: boolean): void {
    const inbox = this.inboxes.get(pod)
    if (inbox !== undefined) inbox.isDeaf = isDeaf
  }

  publish(pod: PodId, messages: ReadonlyArray<Delivering>): boolean {
    for (const message of messages) if (message._tag === "Push") this.pushes.push(message)
    const inbox = this.inboxes.get(pod)
    if (inbox === undefined || inbox.isDeaf) return false
    for (const message of messages) inbox.channel.send(message)
    return true
  }

  /** What routers said since the last call: for checks. */
  takePushes(): ReadonlyArray<Push> {
    const taken = this.pushes
    this.pushes = []
    return taken
  }
}
