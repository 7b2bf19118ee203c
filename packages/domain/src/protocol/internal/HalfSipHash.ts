/**
 * HalfSipHash-1-3 with 64 bits of output, of an id of one owner and one kind: a keyed hash of which nobody can say where two
 * of them meet without trying 2^32, and for a given one 2^64.
 *
 * Source of the algorithm: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the reference
 * implementation's variant of 32-bit words. The rounds are those of the hash tables of Rust and Ruby. What it hashes are
 * these words, which can be understood in one way alone:
 *
 * ```
 *   2 × length of the owner + kind │ the owner │ the id │ length of the id
 *                                    ╰ two UTF-16 code units a word, the first one lower, and 0 for one that is missing
 * ```
 */

/** The two words of the key, or of the hash. */
export interface Words {
  low: number
  high: number
}

/** The hash, written into `out`, which may be the key. One loop over all words, so that the state stays in registers. */
export const halfSipHash = (key: Readonly<Words>, kind: 0 | 1, owner: string, id: string, out: Words): void => {
  const ofOwner = (owner.length + 1) >>> 1
  const ofBoth = ofOwner + ((id.length + 1) >>> 1)
  let a = key.low
  let b = key.high ^ 0xee
  let c = 0x6c796765 ^ key.low
  let d = 0x74656462 ^ key.high
  for (let i = -1; i < ofBoth + 8; i++) {
    let word = 0
    if (i < 0) word = 2 * owner.length + kind
    else if (i < ofOwner) word = wordOf(owner, 2 * i)
    else if (i < ofBoth) word = wordOf(id, 2 * (i - ofOwner))
    else if (i === ofBoth) word = id.length
    else if (i === ofBoth + 1) word = (ofBoth + 2) << 26
    else if (i === ofBoth + 2) c ^= 0xee
    else if (i === ofBoth + 5) {
      out.low = b ^ d
      b ^= 0xdd
    }
    d ^= word
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
    a ^= word
  }
  out.high = b ^ d
}

const wordOf = (text: string, at: number): number =>
  text.charCodeAt(at) | (at + 1 < text.length ? text.charCodeAt(at + 1) << 16 : 0)
