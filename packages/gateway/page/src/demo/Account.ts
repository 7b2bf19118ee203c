/**
 * What a sample client was given, held against what it must be given: numbers from 1 on, each once, in order, by name.
 *
 * It counts and remembers one number per name, whatever comes.
 */
export class Account {
  received = 0
  repeated = 0
  missing = 0
  private readonly lasts = new Map<string, number>()

  note(name: string, number: number): void {
    const last = this.lasts.get(name) ?? 0
    this.received++
    if (number <= last) {
      this.repeated++
      return
    }
    this.missing += number - last - 1
    this.lasts.set(name, number)
  }
}
