/** What the client offers on Node alone. */
export { layerFile } from "./FileMemory.ts"
export { command } from "./command/ClientCommand.ts"
