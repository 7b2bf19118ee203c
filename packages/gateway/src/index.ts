/** The doors of Nimbus, and the one delivery core behind them. */
export * as Gateway from "./Gateway.ts"
export { ChatAdapter } from "./chat/ChatAdapter.ts"
export { Delivery } from "./delivery/Delivery.ts"
export type { Attached, Door, Hello, Notice } from "./Door.ts"
export { Pod } from "./Pod.ts"
export { gatewayLimits, type GatewayLimits, Limits } from "./Limits.ts"
export { httpConfig, type HttpOptions } from "./http/HttpFront.ts"
export { type GrpcOptions, GrpcServer } from "./grpc/GrpcServer.ts"
