/** What the client offers on Node alone. */
export { layerFile } from "./FileMemory.ts"
export * as Sample from "./command/ClientCommand.ts"
