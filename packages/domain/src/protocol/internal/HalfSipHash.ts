/**
 * HalfSipHash with 64 bits of output, of a text: a keyed hash of which nobody can say where two texts meet without trying
 * 2^32 of them, and for a given text 2^64.
 *
 * Source of the algorithm: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the reference
 * implementation's variant of 32-bit words. The text counts as its UTF-16 code units, each as two bytes, the lower first.
 * The rounds are 1 and 3, as in the hash tables of Rust and Ruby.
 */

/** The two words of the key, or of the hash. */
export interface Words {
  low: number
  high: number
}

/** The hash of a text, written into `out`. `rounds` for each word, and `last` at the end, twice. */
export const halfSipHash = (text: string, key: Readonly<Words>, out: Words, rounds = 1, last = 3): void => {
  const { length } = text
  v0 = key.low
  v1 = key.high ^ 0xee
  v2 = 0x6c796765 ^ key.low
  v3 = 0x74656462 ^ key.high
  const paired = length & ~1
  for (let i = 0; i < paired; i += 2) word(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16), rounds)
  word(((2 * length) << 24) | (paired < length ? text.charCodeAt(paired) : 0), rounds)
  v2 ^= 0xee
  mix(last)
  out.low = (v1 ^ v3) >>> 0
  v1 ^= 0xdd
  mix(last)
  out.high = (v1 ^ v3) >>> 0
}

let v0 = 0
let v1 = 0
let v2 = 0
let v3 = 0

const word = (m: number, rounds: number): void => {
  v3 ^= m
  mix(rounds)
  v0 ^= m
}

const mix = (rounds: number): void => {
  let a = v0
  let b = v1
  let c = v2
  let d = v3
  for (let i = 0; i < rounds; i++) {
    a = (a + b) | 0
    b = ((b << 5) | (b >>> 27)) ^ a
    a = (a << 16) | (a >>> 16)
    c = (c + d) | 0
    d = ((d << 8) | (d >>> 24)) ^ c
    a = (a + d) | 0
    d = ((d << 7) | (d >>> 25)) ^ a
    c = (c + b) | 0
    b = ((b << 13) | (b >>> 19)) ^ c
    c = (c << 16) | (c >>> 16)
  }
  v0 = a
  v1 = b
  v2 = c
  v3 = d
}
