/**
 * The oldest Node that the processes run on. A program looks before it imports anything else: on an older one an import
 * would fail first, with a message about something that Node does not have.
 */
const oldest = { major: 22, minor: 19 }

/** Ends the process with one line where Node is too old. */
export const checkNode = (): void => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return
  console.error(
    `nimbus: this is Node ${process.versions.node}; Node ${oldest.major}.${oldest.minor} or later is needed`,
  )
  process.exit(1)
}
