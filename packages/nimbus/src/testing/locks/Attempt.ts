/** Something that somebody tries at a transport of a gateway with locks. */

/** The ports of one gateway. */
export interface Place {
  readonly http: number
  readonly grpc: number
}

/** Something that one capability allows. */
export interface Attempt {
  readonly transport: string
  /** What is tried, as a test is called. */
  readonly what: string
  readonly capability: string
  /** It is about `alice` or her room: who may the same of something else may not do it. */
  readonly isAbout: boolean
  /** Those without which it could not be tried. */
  readonly besides: ReadonlyArray<string>
  /** `OK`, or the code of what refused it. */
  readonly attempt: (place: Place, token: string | undefined) => Promise<string>
}

/** For an answer; it only ends what would never come. */
export const patience_ms = 20_000

/** Whose things they are about. */
export const client = "alice"
export const room = "alices"
/** A seq that nobody was sent. */
export const unsentSeq = 2 ** 40
