/** All of Nimbus in one process, as layers: `Nimbus.layer` on a data directory, `Nimbus.layerMemory` for tests. */
export * as Nimbus from "./Nimbus.ts"
