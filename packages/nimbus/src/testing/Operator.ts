/** An operator at the command line, in this process: what a command printed, and how it failed. */
import { NodeServices } from "@effect/platform-node"
import * as Cluster from "@nimbus/adapters/cluster"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import { ConfigProvider, Effect, Exit, Layer } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { reached } from "../admin/ClusterStatus.ts"
import * as ClientCommand from "../admin/ClientCommand.ts"
import * as Commands from "../admin/Commands.ts"
import * as Where from "../admin/Where.ts"
import * as Settings from "../Settings.ts"

export type Env = Readonly<Record<string, string>>

/** The stores of a data directory, as `NIMBUS_DATA` names it. */
export const embedded = Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(
  Layer.provide(Layer.unwrap(Effect.map(Settings.data, (directory) => LmdbStore.layerWith({ directory })))),
)

export const cluster = Layer.unwrap(Effect.map(Cluster.config, (settings) => Cluster.layerWith(settings)))

const operations = Where.operations({ embedded, cluster })

const clusterStatus = Effect.flatMap(Cluster.config, (settings) => reached(Cluster.partsWith(settings)))

const nimbus = Command.make("nimbus").pipe(
  Command.withSubcommands([ClientCommand.command(operations), ...Commands.commands(operations, clusterStatus)]),
)

export interface Said {
  readonly stdout: string
  readonly stderr: string
  /** The code of the error that it failed with. */
  readonly code: string | undefined
}

/** Runs `nimbus …` with these settings and no others. */
export const operator =
  (env: Env) =>
  (...args: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Command.runWith(nimbus, { version: "test" })(args))
      return {
        stdout: (yield* TestConsole.logLines).join("\n"),
        stderr: (yield* TestConsole.errorLines).join("\n"),
        code: Exit.match(exit, { onSuccess: () => undefined, onFailure: codeOf }),
      } satisfies Said
    }).pipe(
      Effect.provide(
        Layer.mergeAll(NodeServices.layer, TestConsole.layer, ConfigProvider.layer(ConfigProvider.fromEnv({ env }))),
        { local: true },
      ),
    )

const codeOf = (cause: unknown): string => {
  const reasons: ReadonlyArray<{ readonly error?: { readonly code?: string } }> = Object(cause).reasons
  return String(reasons[0]?.error?.code ?? reasons[0]?.error)
}
