/** The flags of the sample client, without its implementation: a command that includes it loads only this module. */
import { Config, Effect, type Option, type Redacted } from "effect"
import { Flag } from "effect/cli"

/** Of the sample clients: who they are, where there are locks. */
export const token = Flag.Redacted("token").pipe(
  Flag.withFallbackConfig(Config.Redacted("NIMBUS_TOKEN")),
  Flag.withDescription(
    "What shows who this is, where there are locks (NIMBUS_TOKEN, which no list of processes shows)",
  ),
  Flag.optional,
)

/** The flags of the sample client. */
export const flags = {
  clientId: Flag.String("client_id").pipe(Flag.withDescription("Who this is: 1 to 128 of A-Za-z0-9._:@-")),
  start: Flag.Int("start").pipe(Flag.withDescription("The first number to square"), Flag.withDefault(1)),
  end: Flag.Int("end").pipe(Flag.withDescription("The last number to square"), Flag.withDefault(10)),
  addr: Flag.String("addr").pipe(Flag.withDescription("Where the gateway is"), Flag.withDefault("ws://127.0.0.1:3000")),
  token,
  timeout_sec: Flag.Int("timeout_sec").pipe(
    Flag.withDescription("How long the whole run may take, in seconds"),
    Flag.withDefault(60),
  ),
  memory: Flag.Directory("memory").pipe(
    Flag.withDescription("A directory to remember in across runs; without it each run begins anew"),
    Flag.optional,
  ),
}

/** Fails with one line if the flags ask for something impossible. */
export const checked = ({ end, start, timeout_sec }: Pick<Asked, "end" | "start" | "timeout_sec">) => {
  const fault =
    start > end
      ? `--start=${start} is above --end=${end}: there is no number to send`
      : timeout_sec < 1
        ? `--timeout_sec=${timeout_sec} leaves no time: give it one second at least`
        : undefined
  if (fault === undefined) return Effect.void
  return Effect.flatMap(
    Effect.promise(() => import("../Errors.ts")),
    ({ BadRequest }) => Effect.fail(new BadRequest({ reason: fault })),
  )
}

/** The values of the flags. */
export interface Asked {
  readonly addr: string
  readonly clientId: string
  readonly start: number
  readonly end: number
  readonly timeout_sec: number
  readonly memory: Option.Option<string>
  readonly token: Option.Option<Redacted.Redacted>
}

/** The usage line of its help. */
export const examples = [
  {
    command: "nimbus client --client_id=c1 --start=1 --end=10",
    description: "Ten events to the gateway on this machine",
  },
]
