/** The sample gRPC client as a command: `nimbus grpc-client --client_id=c1 --start=1 --end=10`. */
import { checked, token } from "@nimbus/client/flags"
import { Effect } from "effect"
import { Command, Flag } from "effect/cli"

const flags = {
  clientId: Flag.String("client_id").pipe(Flag.withDescription("Who this is: 1 to 128 of A-Za-z0-9._:@-")),
  start: Flag.Int("start").pipe(Flag.withDescription("The first number to square"), Flag.withDefault(1)),
  end: Flag.Int("end").pipe(Flag.withDescription("The last number to square"), Flag.withDefault(10)),
  addr: Flag.String("addr").pipe(
    Flag.withDescription("Where the gateway is: host:port, or https://host:port"),
    Flag.withDefault("127.0.0.1:50051"),
  ),
  token,
  timeout_sec: Flag.Int("timeout_sec").pipe(
    Flag.withDescription("How long the whole run may take, in seconds"),
    Flag.withDefault(60),
  ),
}

export const command = Command.make("grpc-client", flags, (asked) =>
  Effect.gen(function* () {
    yield* checked(asked)
    const { run } = yield* Effect.promise(() => import("./GrpcClient.ts"))
    return yield* run(asked)
  }),
).pipe(Command.withDescription("The same by gRPC: send a range of numbers to be squared, and print the answers"))
