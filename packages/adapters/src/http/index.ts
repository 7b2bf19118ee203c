/** Handlers and tasks that HTTP services have, in any language. */
export { HttpHandlerAnswerInvalid, HttpHandlerRefused, HttpHandlerUnavailable } from "../Errors.ts"
export * as ConnectHook from "./ConnectHook.ts"
export * as HttpHandler from "./HttpHandler.ts"
export { config as httpHandlersConfig, type HttpHandlerSettings, type HttpTaskSettings } from "./Settings.ts"
