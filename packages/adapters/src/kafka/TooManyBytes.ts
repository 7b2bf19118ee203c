/** A few compressed bytes can stand for a great many: no more than this come out. */
export class TooManyBytes extends Error {
  constructor(most_bytes: number) {
    super(`it has more than ${most_bytes} bytes uncompressed`)
  }
}
