/**
 * Bare gRPC echo servers, one library each, all of the same contract and with the same code for its messages: what a
 * transport on that library could reach at best. `node echo.ts grpc-js|connect|http2`; prints its port.
 *
 * `http2` is Node's own server with gRPC's frames read and written by hand, a chunk at a time.
 */
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2"
import type { AddressInfo } from "node:net"
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import * as grpc from "@grpc/grpc-js"
import {
  type EventRequest,
  EventRequestSchema,
  type EventResponse,
  EventResponseSchema,
  NimbusService,
} from "@nimbus/gateway/proto"

const answer = ({ eventName, number }: EventRequest): EventResponse =>
  create(EventResponseSchema, { eventName, number, result: number * number, seq: 1n })

const startGrpcJs = (): Promise<number> => {
  const server = new grpc.Server({ "grpc-node.flow_control_window": 1024 * 1024 })
  const method: grpc.MethodDefinition<EventRequest, EventResponse> = {
    path: "/nimbus.NimbusService/ProcessEvent",
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => Buffer.from(toBinary(EventRequestSchema, message)),
    requestDeserialize: (bytes) => fromBinary(EventRequestSchema, bytes),
    responseSerialize: (message) => Buffer.from(toBinary(EventResponseSchema, message)),
    responseDeserialize: (bytes) => fromBinary(EventResponseSchema, bytes),
  }
  const echo: grpc.handleBidiStreamingCall<EventRequest, EventResponse> = (call) => {
    call.on("data", (request: EventRequest) => {
      if (!call.write(answer(request))) {
        call.pause()
        call.once("drain", () => call.resume())
      }
    })
    call.on("end", () => call.end())
    call.on("error", () => call.end())
  }
  server.addService({ ProcessEvent: method }, { ProcessEvent: echo })
  return new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  )
}

const startConnect = (): Promise<number> =>
  listen(
    createHttp2Server(
      settings,
      connectNodeAdapter({
        connect: false,
        grpcWeb: false,
        routes: (router) =>
          router.service(NimbusService, {
            async *processEvent(requests) {
              for await (const request of requests) yield answer(request)
            },
          }),
      }),
    ),
  )

const settings = { settings: { initialWindowSize: 1024 * 1024 } }

const startHttp2 = (): Promise<number> => {
  const server = createHttp2Server(settings)
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" })
    echoFrames(stream)
    stream.on("error", () => stream.destroy())
  })
  return listen(server)
}

const echoFrames = (stream: ServerHttp2Stream): void => {
  let rest: Buffer = Buffer.alloc(0)
  stream.on("data", (chunk: Buffer) => {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const answers: Array<Uint8Array> = []
    while (bytes.length >= 5) {
      const end = 5 + bytes.readUInt32BE(1)
      if (bytes.length < end) break
      const message = toBinary(EventResponseSchema, answer(fromBinary(EventRequestSchema, bytes.subarray(5, end))))
      const head = Buffer.alloc(5)
      head.writeUInt32BE(message.length, 1)
      answers.push(head, message)
      bytes = bytes.subarray(end)
    }
    rest = bytes
    if (!stream.write(Buffer.concat(answers))) {
      stream.pause()
      stream.once("drain", () => stream.resume())
    }
  })
}

const listen = (server: ReturnType<typeof createHttp2Server>): Promise<number> =>
  new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address: string | AddressInfo | null = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    }),
  )

const libraries: Readonly<Record<string, () => Promise<number>>> = {
  "grpc-js": startGrpcJs,
  connect: startConnect,
  http2: startHttp2,
}
const start = libraries[process.argv[2] ?? ""]
if (start === undefined) throw new Error(`name one of ${Object.keys(libraries).join(", ")}`)
console.log(await start())
