/**
 * All of Nimbus in one process: a gateway and the pipeline on embedded parts.
 *
 * What must last, the log and the mailboxes, comes from outside or is in memory; what is soft, the registry and the
 * channels, is in memory either way. The application's handlers come from outside: `Handlers.layer([...])`.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import {
  AckChannelMemory,
  ClientOffsetsMemory,
  type EventLog,
  EventLogMemory,
  LockedServices,
  type Mailbox,
  MailboxMemory,
  Members,
  PodChannelMemory,
  RegistryMemory,
  ServiceSpans,
  TicketsMemory,
  Topics,
} from "@nimbus/domain/services"
import { Gateway, type HttpOptions } from "@nimbus/gateway"
import { Pipeline } from "@nimbus/pipeline"
import { Effect, Layer } from "effect"
import * as Announcement from "./admin/Announcement.ts"
import * as Locks from "./Locks.ts"
import * as Settings from "./Settings.ts"
import { storesIn } from "./Stores.ts"

const soft = Layer.mergeAll(
  Members.layerMemory,
  PodChannelMemory.layerMemory(),
  AckChannelMemory.layerMemory(),
  ClientOffsetsMemory.layerMemory(),
  TicketsMemory.layerMemory(),
)

const memory = Layer.mergeAll(
  EventLogMemory.layerMemory({ partitions: 4 }),
  MailboxMemory.layerMemory(),
  RegistryMemory.layerMemory(),
)

/** The archive, where there is one, is left alone until there is something to write. */
const pipelineWith = (settings: Pipeline.PipelineOptions) =>
  Pipeline.layerSwitched({ ...settings, storageWriter: { lazy: true } })

const pipeline = Layer.unwrap(Effect.map(Pipeline.settings, pipelineWith))

type Stores<E> = Layer.Layer<EventLog | Mailbox, E, Topics>

const over = <A, E, R, ES>(gateway: Layer.Layer<A, E, R>, stores: Stores<ES>) =>
  gateway.pipe(
    // Below the gateway, whose page has a switch for each consumer.
    Layer.provideMerge(pipeline),
    Layer.provideMerge(LockedServices.layer),
    Layer.provideMerge(ServiceSpans.over(Layer.mergeAll(stores, RegistryMemory.layer, soft))),
    Layer.provideMerge(Topics.layer),
  )

/** On these stores, and otherwise as the environment says: see docs/configuration.md. */
export const layerOn = <E>(stores: Stores<E>) =>
  over(Gateway.layer, stores).pipe(Layer.provide(Gateway.mayListen), Layer.provideMerge(Locks.layer))

/**
 * What `nimbus start` runs: on the data directory `NIMBUS_DATA`, and otherwise as the environment says. The directory
 * says where the server is, so that the operators' commands find it.
 */
export const layer = Announcement.layer.pipe(
  Layer.provideMerge(layerOn(storesIn(Settings.data))),
  Layer.provide(NodeFileSystem.layer),
)

/** On these stores, at another address than the environment says. */
export const layerAt = <E>(address: HttpOptions, stores: Stores<E>) => over(Gateway.layerAt(address), stores)

/**
 * In memory, without the environment: for tests and for services that need nothing to last. It has neither the page nor
 * the admin API, so the operators' commands can't ask it; `{ admin: Option.some({ _tag: "Loopback" }) }` opens both to
 * this machine, and `nimbus status --url …` then asks it.
 */
export const layerMemory = (options: Partial<Parameters<typeof Gateway.layerWith>[0]> = {}) =>
  Gateway.layerWith({ host: "127.0.0.1", port: 0, ...options }).pipe(
    Layer.provideMerge(pipelineWith({})),
    Layer.provideMerge(ServiceSpans.over(Layer.mergeAll(memory, soft))),
    Layer.provideMerge(Topics.layerDefault),
  )

/** Where clients of this process connect to. */
export const url = Effect.map(Gateway.url, (address) => address.replace(/^http/, "ws"))
