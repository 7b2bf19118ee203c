/** The HTTP API as data: its endpoints, shapes and refusals, and the documents that gateways serve of it. */
export * from "./Api.ts"
export * from "./FrameSchemas.ts"
export * from "./Problems.ts"
export * from "./Shapes.ts"
