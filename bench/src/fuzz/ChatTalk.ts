/** Hostile chat: Socket.IO and Engine.IO packets over WebSocket that are wrong, or whose words are. */
import type { Dice } from "@nimbus/domain/testing/dice"
import { mutateBytes, mutateJson, odd } from "./Mutations.ts"
import { webSocketTransport } from "./WebSocketTalk.ts"

const messages = [
  '["message",{"text":"hello"}]',
  '["message",{"text":"hello","list":[1,2,3]},"m1"]',
  '["broadcast",{"text":"to all"}]',
  '["message",null,"m2"]',
  '["cancel","e1"]',
]

const auths = ['427["auth",{"token":"a.b.c"}]', '42["auth"]', '428["auth",7]', '42["auth",{"token":{}},null]']

export const chat = webSocketTransport({
  name: "chat",
  path: () => "/socket.io/?EIO=4&transport=websocket",
  hello: { says: '40{"room":"hostile"}', answer: '42["live"' },
  // Engine.IO closes on many of them, without a word: what came after is not counted.
  framesPerRound: 8,
  payload: (dice, isLocked) => {
    if (isLocked && dice.below(40) === 0) return Buffer.from(dice.oneOf(auths))
    return dice.below(100) < 97 ? event(dice) : packet(dice)
  },
  outcome: (text) => {
    if (text.startsWith("43")) return text.includes('"error"') ? `told ${codeOf(text)}` : "accepted after all"
    if (text.startsWith('42["refused"')) return `told ${codeOf(text)}`
    return text.startsWith("44") ? "connect refused" : undefined
  },
})

const codeOf = (text: string): string => /"code":"(\w+)"/.exec(text)?.[1] ?? "nothing"

/** A well-formed packet around hostile arguments; most keep the name of the event. */
const event = (dice: Dice): Buffer => {
  const args = mutateJson(dice.oneOf(messages), dice)
  const isWhole = args[0] === 0x5b && args[1] === 0x22 && args.at(-1) === 0x5d && isJson(args)
  // What is no list with a name first ends the connection: less often, or nothing else would be reached.
  if (!isWhole && dice.below(40) > 0) return event(dice)
  return Buffer.concat([Buffer.from(dice.below(2) === 0 ? "42" : `42${dice.below(1_000)}`), args])
}

const isJson = (bytes: Buffer): boolean => {
  try {
    JSON.parse(bytes.toString())
    return true
  } catch {
    return false
  }
}

const packets: ReadonlyArray<(dice: Dice) => string> = [
  (dice) => `4${dice.below(10)}`,
  (dice) => `4${dice.below(10)}${dice.oneOf(messages)}`,
  (dice) => `42${odd(dice)}${dice.oneOf(messages)}`,
  (dice) => `${dice.oneOf(["0", "1", "2", "3", "5", "6", "7", "8", "9", "b", ""])}${dice.oneOf(["", "probe", "{}"])}`,
  (dice) => `40/${dice.oneOf(["nowhere", "", "admin", "x".repeat(1_000)])},`,
  (dice) =>
    `40${dice.oneOf(["{}", '{"room":7}', '{"room":"hostile","offset":{}}', "[", '{"room":"hostile","offset":"1e9"}'])}`,
  (dice) =>
    `45${dice.oneOf(["1-", "2-", "99999999999-", "-", "1e9-", "0-"])}["message",{"_placeholder":true,"num":${odd(dice)}}]`,
  (dice) => `46${dice.below(3)}-${dice.below(100)}[{"_placeholder":true,"num":0}]`,
  (dice) => `43${odd(dice)}["answer"]`,
  (dice) =>
    `42["${dice.oneOf(["connect", "disconnect", "disconnecting", "error", "newListener", "__proto__", "constructor"])}"]`,
  (dice) => `42[${odd(dice)},{}]`,
]

const packet = (dice: Dice): Buffer => {
  const bytes = Buffer.from(dice.oneOf(packets)(dice))
  return dice.below(8) === 0 ? mutateBytes(bytes, dice) : bytes
}
