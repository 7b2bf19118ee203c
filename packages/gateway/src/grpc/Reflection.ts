/**
 * `grpc.reflection.v1`: the contract, for tools such as grpcurl that come without it. And `v1alpha`, its name of before,
 * for tools that know no other, such as ghz: the same messages under it.
 */
import { create, createRegistry, type DescFile, fromBinary, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt"
import { Code, type ConnectRouter } from "@connectrpc/connect"
import { file_grpc_health_v1_health } from "./gen/grpc/health/v1/health_pb.js"
import {
  ErrorResponseSchema,
  file_grpc_reflection_v1_reflection,
  FileDescriptorResponseSchema,
  ListServiceResponseSchema,
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "./gen/grpc/reflection/v1/reflection_pb.js"
import * as v1alpha from "./gen/grpc/reflection/v1alpha/reflection_pb.js"
import { file_nimbus } from "./gen/nimbus_pb.js"

export const reflection = (router: ConnectRouter): ConnectRouter =>
  router
    .service(ServerReflection, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) yield respond(request)
      },
    })
    .service(v1alpha.ServerReflection, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) yield respondAlpha(request)
      },
    })

const files = [
  file_nimbus,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  v1alpha.file_grpc_reflection_v1alpha_reflection,
]
const names = files.flatMap((file) => file.services).map(({ typeName }) => ({ name: typeName }))
const registry = createRegistry(...files)

/** With all that it imports, itself first. */
const withImports = (file: DescFile): ReadonlyArray<DescFile> => [
  ...new Set([file, ...file.dependencies.flatMap(withImports)]),
]

const byName = new Map(files.flatMap(withImports).map((file) => [file.proto.name, file]))

type Answer = ServerReflectionResponse["messageResponse"]

const respond = (request: ServerReflectionRequest): ServerReflectionResponse =>
  create(ServerReflectionResponseSchema, {
    validHost: request.host,
    originalRequest: request,
    messageResponse: answer(request),
  })

/** Both have the same bytes. */
const respondAlpha = (request: v1alpha.ServerReflectionRequest): v1alpha.ServerReflectionResponse => {
  const asked = fromBinary(ServerReflectionRequestSchema, toBinary(v1alpha.ServerReflectionRequestSchema, request))
  return fromBinary(v1alpha.ServerReflectionResponseSchema, toBinary(ServerReflectionResponseSchema, respond(asked)))
}

const answer = ({ messageRequest }: ServerReflectionRequest): Answer => {
  switch (messageRequest.case) {
    case "listServices":
      return { case: "listServicesResponse", value: create(ListServiceResponseSchema, { service: names }) }
    case "fileByFilename":
      return fileAnswer(byName.get(messageRequest.value), messageRequest.value)
    case "fileContainingSymbol":
      return fileAnswer(fileOf(messageRequest.value), messageRequest.value)
    case "fileContainingExtension":
    case "allExtensionNumbersOfType":
      return failure(Code.NotFound, "there are no extensions")
    default:
      return failure(Code.InvalidArgument, "nothing was asked")
  }
}

/** A type, a service, or one of their members. */
const fileOf = (symbol: string): DescFile | undefined => {
  const parent = symbol.slice(0, Math.max(0, symbol.lastIndexOf(".")))
  return (registry.get(symbol) ?? registry.get(parent))?.file
}

const fileAnswer = (file: DescFile | undefined, name: string): Answer => {
  if (file === undefined) return failure(Code.NotFound, `${name} is not known`)
  const fileDescriptorProto = withImports(file).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto))
  return { case: "fileDescriptorResponse", value: create(FileDescriptorResponseSchema, { fileDescriptorProto }) }
}

const failure = (errorCode: Code, errorMessage: string): Answer => ({
  case: "errorResponse",
  value: create(ErrorResponseSchema, { errorCode, errorMessage }),
})
