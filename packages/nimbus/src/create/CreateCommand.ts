/** `nimbus create`: an application to begin with, in a directory of its own. */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"

const directory = Argument.String("directory").pipe(Argument.withDescription("Where to: empty, or not there yet"))

/** As a shell takes it. */
const quoted = (text: string): string =>
  /^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`

/** `version`: which packages the application asks for. */
export const command = (version: string) =>
  Command.make("create", { directory }, ({ directory }) =>
    Effect.gen(function* () {
      const Starter = yield* Effect.promise(() => import("./Starter.ts"))
      yield* Starter.copy(directory, version)
      yield* Console.log(`An application is in ${directory}; its README.md says what is in it. Now:

  cd ${quoted(directory)}
  npm install
  npm start
`)
    }),
  ).pipe(Command.withDescription("Make an application to begin with: a handler, a task, a page, a test"))
