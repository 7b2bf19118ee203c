/** All topics of an installation, by the setting that names each: one that a test leaves out is shared with all other tests. */
const settings = [
  "EVENTS",
  "RESULTS",
  "DLQ",
  "TASKS",
  "QUARANTINE",
  "JOURNEY",
  "CHATS",
  "MESSAGES",
  "REVOCATIONS",
  "AUDIT",
]

/** The settings that give an installation of this name topics of its own. */
export const topicsOf = (name: string): Readonly<Record<string, string>> =>
  Object.fromEntries(settings.map((topic) => [`NIMBUS_KAFKA_${topic}_TOPIC`, `${name}-${topic}`]))
