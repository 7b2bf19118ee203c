/**
 * What a sample client was given, held against what it must be given: numbers from 1 on, each once, in order, by name.
 *
 * What has no number, or a name that is none of the page's, was sent by somebody else: it is counted and nothing more.
 */
export class Account {
  received = 0
  repeated = 0
  missing = 0
  private readonly lasts = new Map([
    ["sq", 0],
    ["news", 0],
  ])

  note(name: string, number: number | undefined): void {
    this.received++
    const last = this.lasts.get(name)
    if (number === undefined || last === undefined) return
    if (number <= last) {
      this.repeated++
      return
    }
    this.missing += number - last - 1
    this.lasts.set(name, number)
  }
}
